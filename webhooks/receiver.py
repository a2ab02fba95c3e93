"""Receives the providers' webhooks: verify the raw body, store the event, publish, 200. Applies nothing."""

from __future__ import annotations

import logging
import time
from datetime import datetime

from flask import Blueprint, Response, jsonify, request

from domain.errors import NotFound, WebhookDeferred, WebhookRefused
from gateways.base import Gateway, VerifiedWebhook, WebhookOfOtherMode
from gateways.registry import receivers
from models.audit import record_event
from models.failpoints import reach
from models.session import transact
from models.webhook_events import store_webhook_event
from webhooks.context import own_address, runtime

blueprint = Blueprint("webhooks", __name__)

_log = logging.getLogger(__name__)
# One refusal a second is evidence enough; a flood of forgeries must not fill the audit trail.
_REFUSALS_APART_SECONDS = 1.0
_last_refusal: dict[str, float] = {}
# Stripe sends events of test mode to a live endpoint by design: one row a minute says how many there are.
_COUNTS_APART_SECONDS = 60.0
_of_other_mode: dict[str, tuple[float, int]] = {}


@blueprint.route("/webhooks/<provider>", methods=["POST", "HEAD"])
@blueprint.route("/webhooks/<provider>/<secret>", methods=["POST", "HEAD"])
def receive(provider: str, secret: str = "") -> Response:
    """Store a verified event once and acknowledge it. HEAD: some providers check first that the address exists.

    `secret`: for providers that sign nothing; the gateway reads it out of the address."""
    gateways = receivers(runtime().gateways, provider)
    if not gateways:
        raise NotFound("no such provider here")
    if request.method == "HEAD":
        return jsonify({})
    body, now = request.get_data(cache=False), runtime().clock.now()
    try:
        product, verified = _verify(gateways, body, now)
        _refuse_nul(verified.payload)
    except WebhookRefused as error:
        _record_refusal(provider, str(error))
        raise
    except WebhookOfOtherMode as error:
        _count_other_mode(provider, error)
        return jsonify({"received": True})
    except WebhookDeferred as error:
        _log.warning("webhook for %s deferred: %s", provider, error)
        raise
    event = (product, verified.event_id, verified.type, verified.payload)
    message = transact(runtime().engine, store_webhook_event, *event, now)
    reach("webhook.stored")
    if message is not None:
        runtime().publish([message])
    return jsonify({"received": True})


def _verify(gateways: list[Gateway], body: bytes, now: datetime) -> tuple[str, VerifiedWebhook]:
    """Return the provider whose secret verifies a webhook, and the webhook. Raises the first refusal if none does."""
    refusal: WebhookRefused | None = None
    for gateway in gateways:
        try:
            return gateway.provider, gateway.verify_webhook(body, dict(request.headers), now, _address())
        except WebhookRefused as error:
            refusal = refusal or error
    raise refusal or WebhookRefused("nobody receives it")


def _address() -> str:
    """Return the address that the webhook came to, as the provider knows it."""
    return own_address() + request.full_path.rstrip("?")


def _refuse_nul(payload: str) -> None:
    if "\x00" in payload:
        raise WebhookRefused("holds a NUL byte")


def _count_other_mode(provider: str, error: WebhookOfOtherMode) -> None:
    """Count an event of the other mode. Where all are, the webhook's secret is that of the wrong mode."""
    _log.info("webhook for %s is of the other mode and not applied: %s", provider, error)
    counted_at, number = _of_other_mode.get(provider, (-_COUNTS_APART_SECONDS, 0))
    if time.monotonic() - counted_at < _COUNTS_APART_SECONDS:
        _of_other_mode[provider] = (counted_at, number + 1)
        return
    _of_other_mode[provider] = (time.monotonic(), 0)
    data, now = {"provider": provider, "number": number + 1, "mode": str(error)}, runtime().clock.now()
    transact(runtime().engine, record_event, "webhook_of_other_mode", actor="web", now=now, data=data)


def _record_refusal(provider: str, reason: str) -> None:
    """Record that a webhook was refused, and nothing of its content."""
    _log.warning("security: webhook for %s refused: %s", provider, reason)
    if time.monotonic() - _last_refusal.get(provider, -_REFUSALS_APART_SECONDS) < _REFUSALS_APART_SECONDS:
        return
    _last_refusal[provider] = time.monotonic()
    data, now = {"provider": provider, "reason": reason}, runtime().clock.now()
    transact(runtime().engine, record_event, "webhook_refused", actor="web", now=now, data=data)
