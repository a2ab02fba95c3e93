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
from webhooks.services import Services, services

blueprint = Blueprint("webhooks", __name__)

_log = logging.getLogger(__name__)
# One refusal a second is evidence enough; a flood of forgeries must not fill the audit trail.
_REFUSALS_APART_SECONDS = 1.0
_last_refusal: dict[str, float] = {}


@blueprint.post("/webhooks/<provider>")
def receive(provider: str) -> Response:
    """Store a verified event once and acknowledge it."""
    found = services()
    gateway = found.gateways.get(provider)
    if gateway is None:
        raise NotFound("no such provider here")
    body, now = request.get_data(cache=False), found.clock.now()
    try:
        delivery = gateway.verify_webhook(body, dict(request.headers), now)
        _refuse_nul(delivery.payload)
    except WebhookRefused as error:
        _note_refusal(found, provider, str(error))
        raise
    ring = transact(
        found.engine,
        lambda connection: intake.keep_webhook(
            connection, provider, delivery.event_id, delivery.type, delivery.payload, now
        ),
    )
    reach("webhook.stored")
    if ring is not None:
        found.ring([ring])
    return jsonify({"received": True})


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
