"""Stripe's events about subscriptions that Stripe Billing charges and retries by itself. Celeriac only follows them.

Sources: docs.stripe.com/billing/subscriptions/webhooks, and the SDK 16.1.0, read 2026-11-28."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from domain.dunning.case import SubscriptionStatus
from domain.dunning.provider_subscription import ProviderSubscription
from gateways.base import WebhookEvent
from gateways.provider_model import ProviderModel, Text, Word

_CREATED = "customer.subscription.created"
_SUBSCRIPTION_EVENTS = (
    _CREATED,
    "customer.subscription.deleted",
    "customer.subscription.paused",
    "customer.subscription.resumed",
    "customer.subscription.updated",
)
# What a payment of an invoice says of its subscription.
_INVOICE_EVENTS = {
    "invoice.paid": SubscriptionStatus.ACTIVE,
    "invoice.payment_failed": SubscriptionStatus.PAST_DUE,
}
TYPES = frozenset({*_SUBSCRIPTION_EVENTS, *_INVOICE_EVENTS})
_STATUSES = {
    "incomplete": SubscriptionStatus.INCOMPLETE,
    "incomplete_expired": SubscriptionStatus.CANCELED,
    "trialing": SubscriptionStatus.ACTIVE,
    "active": SubscriptionStatus.ACTIVE,
    "past_due": SubscriptionStatus.PAST_DUE,
    "paused": SubscriptionStatus.PAUSED,
    "unpaid": SubscriptionStatus.UNPAID,
    "canceled": SubscriptionStatus.CANCELED,
}


class _Named(ProviderModel):
    id: Text


class Subscription(ProviderModel):
    """A Subscription."""

    object: Literal["subscription"]
    id: Text
    status: Word = None


class _SubscriptionDetails(ProviderModel):
    subscription: _Named | Text


class _Parent(ProviderModel):
    subscription_details: _SubscriptionDetails | None = None


class _Invoice(ProviderModel):
    """An Invoice. Since API version 2025-03-31 its parent names the subscription."""

    object: Literal["invoice"]
    parent: _Parent | None = None


def about_subscription(type: str, value: dict[str, Any], at: datetime) -> WebhookEvent | None:
    """Return what an event of one of `TYPES` says; None for an invoice of no subscription, and for an unknown status.

    Raises MalformedResponse."""
    told = _of_invoice(type, value, at) if type in _INVOICE_EVENTS else _of_subscription(type, value, at)
    return WebhookEvent("", None, None, subscription=told) if told is not None else None


def _of_subscription(type: str, value: dict[str, Any], at: datetime) -> ProviderSubscription | None:
    subscription = Subscription.parse(value)
    status = _STATUSES.get(subscription.status or "")
    if status is None:
        subscription.log_unknown("status")
        return None
    return ProviderSubscription(subscription.id, status, at, is_first=type == _CREATED)


def _of_invoice(type: str, value: dict[str, Any], at: datetime) -> ProviderSubscription | None:
    parent = _Invoice.parse(value).parent
    details = parent.subscription_details if parent is not None else None
    if details is None:
        return None
    named = details.subscription
    return ProviderSubscription(named if isinstance(named, str) else named.id, _INVOICE_EVENTS[type], at, is_hint=True)
