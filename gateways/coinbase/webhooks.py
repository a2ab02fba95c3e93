"""Webhooks of Coinbase Business: a checkout with its event type beside its fields, and no id of the event.

Source: docs.cdp.coinbase.com (webhooks of checkouts), read 2026-11-23."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from gateways.base import VerifiedWebhook, WebhookEvent
from gateways.coinbase import webhook_signatures
from gateways.coinbase.responses import CoinbaseModel, Refund, attempt_in, outcome_in_currency
from gateways.failures import MalformedResponse
from gateways.json_api import proven
from gateways.provider_model import Text
from gateways.signatures import picked, verified_webhook

_PAYMENT_EVENTS = frozenset({"checkout.payment.success", "checkout.payment.failed", "checkout.payment.expired"})
# The status of the refund that an event reports.
_REFUND_EVENTS = {"checkout.refund.success": "COMPLETED", "checkout.refund.failed": "FAILED"}
_REFUND_STATUSES = frozenset({"PENDING", *_REFUND_EVENTS.values()})
# Allow-list of the fields that are stored; personal data is dropped.
_STORED_FIELDS = {
    "id": None,
    "eventType": None,
    "metadata": {"attempt_id": None},
    "refunds": dict.fromkeys(
        ("id", "status", "reason", "completedAt", "amount", "currency", "fiatAmount", "fiatCurrency")
    ),
}


class EventIdentity(CoinbaseModel):
    """The fields that distinguish events. The last two are compared as text, whatever type they have."""

    id: Text
    event_type: Text
    status: str | None = None
    updated_at: Any = None
    refunded_amount: Any = None


class CheckoutEvent(CoinbaseModel):
    """A stored event of any type."""

    event_type: Text


class PaymentEvent(CoinbaseModel):
    """A stored event about the payment of a checkout."""

    id: Text
    metadata: Any = None


class RefundEvent(CoinbaseModel):
    """A stored event about a refund. It lists all refunds of the checkout and does not say which one it is about."""

    id: Text
    refunds: list[Refund]


def verify(body: bytes, headers: Mapping[str, str], secrets: Iterable[str], now: datetime) -> VerifiedWebhook:
    """Accept an event that any of the secrets signed at most five minutes from now. Raises WebhookRefused."""
    signature = webhook_signatures.verify(body, headers, secrets, now)
    # The body has no id of the event. The one in the header is only trusted where the signature covers the header.
    signed_id = headers.get("X-Event-Id", "") if signature.covers("X-Event-Id") else None

    def identify(fields: Any) -> tuple[str, str]:
        event = EventIdentity.parse(fields)
        return (_event_id(event) if signed_id is None else signed_id), event.event_type

    return verified_webhook(body, "a Coinbase event", identify, lambda event: picked(event, _STORED_FIELDS))


def read(payload: str) -> WebhookEvent | None:
    """Return the checkout or refund that a stored event is about; None for an event of another type.

    The event of a refund also carries its outcome, by which a refund that an operator made in Coinbase's dashboard can
    be recorded. Raises MalformedResponse."""
    fields = json.loads(payload)
    event_type = CheckoutEvent.parse(fields).event_type
    if event_type in _PAYMENT_EVENTS:
        payment = PaymentEvent.parse(fields)
        return WebhookEvent(payment.id, attempt_in(payment.metadata), None)
    if event_type in _REFUND_EVENTS:
        return _read_refund(RefundEvent.parse(fields), _REFUND_EVENTS[event_type])
    return None


def _event_id(event: EventIdentity) -> str:
    # After two partial refunds the status is the same; time and refunded amount distinguish their events.
    parts = (event.id, event.event_type, event.status, event.updated_at, event.refunded_amount)
    return ":".join(str(part) for part in parts if part is not None)


def _read_refund(event: RefundEvent, status: str) -> WebhookEvent:
    """Return the refund that the event is most likely about: the last one to end.

    Where another refund ended at the same time the outcome stays open, and a look-up follows. A refund with an unknown
    status may have ended as well."""
    unknown = [refund for refund in event.refunds if refund.status not in _REFUND_STATUSES]
    for refund in unknown:
        refund.log_unknown("status")
    ended = [refund for refund in event.refunds if refund.status == status or refund in unknown]
    if not ended:
        raise MalformedResponse("RefundEvent.refunds")
    last = max(reversed(ended), key=_ended_at)
    is_unique = [_ended_at(refund) for refund in ended].count(_ended_at(last)) == 1
    currency = last.fiat_currency or last.currency or ""
    is_definite = is_unique and not unknown
    outcome = proven(lambda: outcome_in_currency(last, currency)) if is_definite else None
    return WebhookEvent(last.id, last.reason, outcome, event.id)


def _ended_at(refund: Refund) -> str:
    return refund.completed_at or ""
