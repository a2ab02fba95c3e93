"""Stripe's webhooks: verify a delivery, and read a stored event."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Literal

import stripe

from domain.errors import WebhookRefused
from domain.outcome import Approved
from gateways.base import BalanceEvent, VerifiedWebhook, WebhookEvent, WebhookOfOtherMode
from gateways.json_api import proven
from gateways.provider_model import ProviderModel, Text, UnixTime, from_unix
from gateways.signatures import check_age, listed_webhooks, verified_webhook
from gateways.stripe import fraud_events, method_events, subscription_events
from gateways.stripe.fraud_events import about_fraud
from gateways.stripe.instruments import Mark
from gateways.stripe.method_events import about_method
from gateways.stripe.responses import FRAUDULENT, PaymentIntent, Refund, outcome_of_intent, outcome_of_refund
from gateways.stripe.side_events import TYPES, Dispute, side_event_of
from gateways.stripe.subscription_events import about_subscription

_KIND = "a Stripe event"
# The types that `read` reads and that Stripe knows (SDK 16.1.0), by name.
_READ_TYPES = (
    "cash_balance.funds_available",
    "customer_cash_balance_transaction.created",
    "payment_intent.amount_capturable_updated",
    "payment_intent.canceled",
    "payment_intent.created",
    "payment_intent.partially_funded",
    "payment_intent.payment_failed",
    "payment_intent.processing",
    "payment_intent.requires_action",
    "payment_intent.succeeded",
    "refund.created",
    "refund.failed",
    "refund.updated",
    *sorted(TYPES | fraud_events.TYPES | method_events.TYPES | subscription_events.TYPES),
)
# Stripe's list takes 20 names at once, and no wildcard among them (docs.stripe.com/api/events/list, read 2026-11-28).
_MOST_TYPES = 20
# All of them, in the order in which the list is asked for them.
LISTED_TYPES = tuple(_READ_TYPES[start : start + _MOST_TYPES] for start in range(0, len(_READ_TYPES), _MOST_TYPES))
# What tells of a refund to addresses of older API versions; Stripe lists `refund.updated` beside it.
_OLDER_REFUND_EVENT = "charge.refund.updated"
# What these events tell has happened when they were made; they only name the charge
# (docs.stripe.com/api/events/types, read 2026-11-28).
_MOVING = {"payment_intent.succeeded", "payment_intent.amount_capturable_updated"}
# A credential, who has sent a transfer, and who a customer is.
_NOT_STORED = (
    *("client_secret", "bank_transfer"),
    *("billing_details", "customer_acceptance", "owner"),
    *("customer_address", "customer_email", "customer_name", "customer_phone", "customer_shipping"),
    *("address_city", "address_line1", "address_line2", "address_state", "address_zip"),
)


class _Envelope(ProviderModel):
    id: Text
    type: Text
    livemode: bool = False


class _Event(ProviderModel):
    type: Text


class _TimedEvent(ProviderModel):
    type: Text
    created: UnixTime | None = None


class _Data(ProviderModel):
    object: dict[str, Any]
    previous_attributes: dict[str, Any] | None = None


class _ChangeEvent(ProviderModel):
    created: UnixTime
    data: _Data


class _EventWithObject(ProviderModel):
    data: _Data


class _Metadata(ProviderModel):
    attempt_id: str | None = None


class _IntentOfEvent(ProviderModel):
    object: Literal["payment_intent"]
    id: Text
    metadata: _Metadata | None = None


class _RefundOfEvent(ProviderModel):
    object: Literal["refund"]
    id: Text
    metadata: _Metadata | None = None
    payment_intent: str | None = None
    reason: Mark = None


class _IntentOfDispute(ProviderModel):
    id: Text


class _Customer(ProviderModel):
    id: Text


class _BalanceOfEvent(ProviderModel):
    object: Literal["cash_balance"]
    customer: _Customer | str
    available: dict[str, int] | None = None


class _BalanceTransactionOfEvent(ProviderModel):
    object: Literal["customer_cash_balance_transaction"]
    customer: _Customer | str
    currency: Text


class _DisputeOfEvent(ProviderModel):
    object: Literal["dispute"]
    payment_intent: _IntentOfDispute | str | None = None


def verify(
    body: bytes, headers: Mapping[str, str], now: datetime, secrets: tuple[str, ...], *, is_live: bool
) -> VerifiedWebhook:
    """Accept a body signed with any of the secrets, at most five minutes from now, of the account's mode.

    Raises WebhookOfOtherMode: Stripe sends events of both modes to a live Connect endpoint
    (support.stripe.com/questions/connect-account-webhook-configurations, read 2026-11-28)."""
    header = headers.get("Stripe-Signature", "")
    if not any(_is_signed(body, header, secret) for secret in secrets):
        raise WebhookRefused("bad signature")
    stamp = next(int(part[2:]) for part in header.split(",") if part.startswith("t="))
    check_age(stamp, now)

    kept = _strip if any(name.encode() in body for name in _NOT_STORED) else None
    return verified_webhook(body, _KIND, _identify(is_live=is_live), kept)


def listed(events: Iterable[Any], *, is_live: bool) -> list[VerifiedWebhook]:
    """Return the events of a page of Stripe's list. A key lists those of its own mode only."""
    return listed_webhooks(events, _KIND, _identify(is_live=is_live), _strip)


def _identify(*, is_live: bool) -> Callable[[Any], tuple[str, str]]:
    def identify(event: Any) -> tuple[str, str]:
        envelope = _Envelope.parse(event)
        if envelope.livemode != is_live:
            raise WebhookOfOtherMode("a live event" if envelope.livemode else "a test event")
        return envelope.id, envelope.type

    return identify


def read(payload: str) -> WebhookEvent | None:
    """Read an event about an intent, a refund, a dispute, a cash balance, a setup, a saved method, a subscription or a
    fraud; return None for every other type.

    Raises MalformedResponse for an event that does not name its object."""
    event = json.loads(payload)
    type = _Event.parse(event).type
    if type.startswith("payment_intent."):
        return _about_intent(_object_of(event), _TimedEvent.parse(event))
    if type.startswith("refund.") or type == _OLDER_REFUND_EVENT:
        return _about_refund(_object_of(event))
    if type == "cash_balance.funds_available":
        return _about_balance(_object_of(event))
    if type == "customer_cash_balance_transaction.created":
        return _about_balance_transaction(_object_of(event))
    if type in fraud_events.TYPES | method_events.TYPES | subscription_events.TYPES:
        return _about_change(type, _ChangeEvent.parse(event))
    return _about_dispute(type, _object_of(event)) if type in TYPES else None


def _object_of(event: Any) -> dict[str, Any]:
    return _EventWithObject.parse(event).data.object


def _about_intent(value: dict[str, Any], event: _TimedEvent) -> WebhookEvent:
    intent = _IntentOfEvent.parse(value)
    outcome = proven(lambda: outcome_of_intent(PaymentIntent.parse(value)))
    if isinstance(outcome, Approved) and event.type in _MOVING:
        outcome = replace(outcome, at=from_unix(event.created))
    return WebhookEvent(intent.id, _attempt_id(intent.metadata), outcome)


def _about_refund(value: dict[str, Any]) -> WebhookEvent:
    refund = _RefundOfEvent.parse(value)
    outcome = proven(lambda: outcome_of_refund(Refund.parse(value)))
    attempt_id, is_for_fraud = _attempt_id(refund.metadata), refund.reason == FRAUDULENT
    return WebhookEvent(refund.id, attempt_id, outcome, refund.payment_intent, is_for_fraud=is_for_fraud)


def _about_dispute(type: str, value: dict[str, Any]) -> WebhookEvent | None:
    intent = _DisputeOfEvent.parse(value).payment_intent
    if not intent:
        return None
    reference = intent if isinstance(intent, str) else intent.id
    dispute = Dispute.parse(value)
    return WebhookEvent(reference, None, None, side_event=side_event_of(type, dispute), dispute=dispute.id)


def _about_balance(value: dict[str, Any]) -> WebhookEvent:
    balance = _BalanceOfEvent.parse(value)
    return _of_balances(balance.customer, *(balance.available or {}))


def _about_balance_transaction(value: dict[str, Any]) -> WebhookEvent:
    transaction = _BalanceTransactionOfEvent.parse(value)
    return _of_balances(transaction.customer, transaction.currency)


def _of_balances(customer: _Customer | str, *currencies: str) -> WebhookEvent:
    name = customer if isinstance(customer, str) else customer.id
    return WebhookEvent("", None, None, balance=BalanceEvent(name, tuple(each.upper() for each in currencies)))


def _about_change(type: str, event: _ChangeEvent) -> WebhookEvent | None:
    at = datetime.fromtimestamp(event.created, UTC)
    if type in subscription_events.TYPES:
        return about_subscription(type, event.data.object, at)
    if type in fraud_events.TYPES:
        return about_fraud(type, event.data.object, at)
    return about_method(type, event.data.object, event.data.previous_attributes or {}, at)


def _attempt_id(metadata: _Metadata | None) -> str | None:
    return metadata.attempt_id if metadata else None


def _strip(value: Any) -> Any:
    if isinstance(value, dict):
        # Of a card as an older API shows it, which has an address.
        dropped = (*_NOT_STORED, "name") if "address_line1" in value else _NOT_STORED
        return {key: _strip(item) for key, item in value.items() if key not in dropped}
    return [_strip(item) for item in value] if isinstance(value, list) else value


def _is_signed(body: bytes, header: str, secret: str) -> bool:
    try:
        return bool(stripe.WebhookSignature.verify_header(body, header, secret))
    except (stripe.SignatureVerificationError, ValueError, TypeError):
        return False  # TypeError: a signature that is not ASCII
