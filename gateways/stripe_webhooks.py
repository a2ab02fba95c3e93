"""Stripe's webhooks: which are believed, and what a stored one says."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

import stripe

from domain.errors import WebhookRefused
from domain.outcome import Outcome
from gateways.base import Delivery, Notice
from gateways.stripe_answers import MALFORMED, outcome_of_intent, outcome_of_refund
from gateways.stripe_disputes import fact_of

# Stripe allows five minutes between signing and receiving; a stamp from the future is as wrong as an old one.
_TOLERANCE = timedelta(minutes=5)


def verify(
    body: bytes, headers: Mapping[str, str], now: datetime, secrets: tuple[str, ...], *, is_live: bool
) -> Delivery:
    """Accept a body signed with any of the secrets, at most five minutes from now, of our mode."""
    header = headers.get("Stripe-Signature", "")
    if not any(_is_signed(body, header, secret) for secret in secrets):
        raise WebhookRefused("bad signature")
    stamp = next(int(part[2:]) for part in header.split(",") if part.startswith("t="))
    if abs(now.timestamp() - stamp) > _TOLERANCE.total_seconds():
        raise WebhookRefused("signed too long ago or in the future")
    try:
        event = json.loads(body)
        delivery = Delivery(str(event["id"]), str(event["type"]), _without_secrets(body, event))
    except (ValueError, KeyError, TypeError, RecursionError):
        raise WebhookRefused("not a Stripe event") from None
    names = (delivery.event_id, delivery.type)
    if not all(len(name) <= 100 and name.isascii() and name.isprintable() for name in names):
        raise WebhookRefused("not a Stripe event")
    if bool(event.get("livemode")) != is_live:
        raise WebhookRefused("event of the other mode (live or test)")
    return delivery


def read(payload: str) -> Notice | None:
    """Read intents, refunds and disputes; every other object tells nothing that those do not."""
    event = json.loads(payload)
    thing = event.get("data", {}).get("object", {})
    attempt_id = (thing.get("metadata") or {}).get("attempt_id")
    if event["type"].startswith("payment_intent.") and thing.get("object") == "payment_intent":
        return Notice(thing["id"], attempt_id, _told(outcome_of_intent, thing))
    if event["type"].startswith("refund.") and thing.get("object") == "refund":
        return Notice(thing["id"], attempt_id, _told(outcome_of_refund, thing), thing.get("payment_intent"))
    if thing.get("object") == "dispute" and thing.get("payment_intent"):
        fact = fact_of(event["type"], thing)
        return Notice(_id(thing["payment_intent"]), None, None, fact=fact) if fact else None
    return None


def _id(thing: Any) -> str:
    return str(thing if isinstance(thing, str) else thing["id"])


def _told(read: Callable[[Any], Outcome], thing: Any) -> Outcome | None:
    """Return what an event says of its object; None when it says too little."""
    try:
        return read(thing)
    except MALFORMED:
        return None


def _without_secrets(body: bytes, event: Any) -> str:
    """Return the event as text; a client secret in it is a credential and is not kept."""
    if b"client_secret" in body:
        return json.dumps(_strip(event))
    return body.decode()


def _strip(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _strip(item) for key, item in value.items() if key != "client_secret"}
    return [_strip(item) for item in value] if isinstance(value, list) else value


def _is_signed(body: bytes, header: str, secret: str) -> bool:
    try:
        return bool(stripe.WebhookSignature.verify_header(body, header, secret))
    except (stripe.SignatureVerificationError, ValueError, TypeError):
        return False  # TypeError: a signature that is not ASCII
