"""Receives the providers' webhooks: verify on the raw body, store, ring, 200. Nothing is applied here."""

from __future__ import annotations

import logging
import time

from flask import Blueprint, Response, jsonify, request

from domain.errors import NotFound, WebhookRefused
from models import intake
from models.audit import record_event
from models.failpoint import reach
from models.session import transact
from webhooks.context import Services, services

blueprint = Blueprint("webhooks", __name__)

_log = logging.getLogger(__name__)
# One refusal a second is evidence enough; a flood of forgeries must not fill the audit trail.
_REFUSALS_APART_SECONDS = 1.0
_last_refusal: dict[str, float] = {}


@blueprint.route("/webhooks/<provider>", methods=["POST", "HEAD"])
@blueprint.route("/webhooks/<provider>/<secret>", methods=["POST", "HEAD"])
def receive(provider: str, secret: str = "") -> Response:
    """Store a verified event once and acknowledge it. HEAD: some providers look whether somebody is there.

    `secret`: for providers that sign nothing; the gateway reads it out of the address."""
    found = services()
    gateway = found.gateways.get(provider)
    if gateway is None:
        raise NotFound("no such provider here")
    if request.method == "HEAD":
        return jsonify({})
    body, now = request.get_data(cache=False), found.clock.now()
    try:
        delivery = gateway.verify_webhook(body, dict(request.headers), now, _address(found))
        _refuse_nul(delivery.payload)
    except WebhookRefused as error:
        _note_refusal(found, provider, str(error))
        raise
    publish = transact(
        found.engine,
        lambda connection: intake.store_webhook_event(
            connection, provider, delivery.event_id, delivery.type, delivery.payload, now
        ),
    )
    reach("webhook.stored")
    if publish is not None:
        found.publish([publish])
    return jsonify({"received": True})


def _address(found: Services) -> str:
    """Return the address that the webhook came to, as the provider knows it."""
    base = found.public_url.rstrip("/") or request.host_url.rstrip("/")
    return base + request.full_path.rstrip("?")


def _refuse_nul(payload: str) -> None:
    if "\x00" in payload:
        raise WebhookRefused("holds a NUL byte")


def _note_refusal(found: Services, provider: str, reason: str) -> None:
    """Keep the fact, and nothing of what came."""
    _log.warning("security: webhook for %s refused: %s", provider, reason)
    if time.monotonic() - _last_refusal.get(provider, -_REFUSALS_APART_SECONDS) < _REFUSALS_APART_SECONDS:
        return
    _last_refusal[provider] = time.monotonic()
    data, now = {"provider": provider, "reason": reason}, found.clock.now()
    transact(
        found.engine,
        lambda connection: record_event(connection, None, "webhook_refused", None, None, "web", now, data),
    )
