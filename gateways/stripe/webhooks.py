"""Stripe's webhooks: which are believed, and what a stored one says."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

import stripe

from domain.errors import WebhookRefused
from domain.outcome import Outcome
from gateways.base import VerifiedWebhook, WebhookEvent
from gateways.json_api import MALFORMED
from gateways.signatures import check_age, verified_webhook
from gateways.stripe.responses import outcome_of_intent, outcome_of_refund
from gateways.stripe.side_events import side_event_of


def verify(
    body: bytes, headers: Mapping[str, str], now: datetime, secrets: tuple[str, ...], *, is_live: bool
) -> VerifiedWebhook:
    """Accept a body signed with any of the secrets, at most five minutes from now, of our mode."""
    header = headers.get("Stripe-Signature", "")
    if not any(_is_signed(body, header, secret) for secret in secrets):
        raise WebhookRefused("bad signature")
    stamp = next(int(part[2:]) for part in header.split(",") if part.startswith("t="))
    check_age(stamp, now)

    def identify(event: Any) -> tuple[Any, Any]:
        if bool(event.get("livemode")) != is_live:
            raise WebhookRefused("event of the other mode (live or test)")
        return event["id"], event["type"]

    # A client secret is a credential and is not kept.
    return verified_webhook(body, "a Stripe event", identify, _strip if b"client_secret" in body else None)


def read(payload: str) -> WebhookEvent | None:
    """Read intents, refunds and disputes; every other object tells nothing that those do not."""
    event = json.loads(payload)
    thing = event.get("data", {}).get("object", {})
    attempt_id = (thing.get("metadata") or {}).get("attempt_id")
    if event["type"].startswith("payment_intent.") and thing.get("object") == "payment_intent":
        return WebhookEvent(thing["id"], attempt_id, _told(outcome_of_intent, thing))
    if event["type"].startswith("refund.") and thing.get("object") == "refund":
        return WebhookEvent(thing["id"], attempt_id, _told(outcome_of_refund, thing), thing.get("payment_intent"))
    if thing.get("object") == "dispute" and thing.get("payment_intent"):
        side_event = side_event_of(event["type"], thing)
        return WebhookEvent(_id(thing["payment_intent"]), None, None, side_event=side_event) if side_event else None
    return None


def _id(thing: Any) -> str:
    return str(thing if isinstance(thing, str) else thing["id"])


def _told(read: Callable[[Any], Outcome], thing: Any) -> Outcome | None:
    """Return what an event says of its object; None when it says too little."""
    try:
        return read(thing)
    except MALFORMED:
        return None


def _strip(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _strip(item) for key, item in value.items() if key != "client_secret"}
    return [_strip(item) for item in value] if isinstance(value, list) else value


def _is_signed(body: bytes, header: str, secret: str) -> bool:
    try:
        return bool(stripe.WebhookSignature.verify_header(body, header, secret))
    except (stripe.SignatureVerificationError, ValueError, TypeError):
        return False  # TypeError: a signature that is not ASCII
