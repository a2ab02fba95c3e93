"""PayPal's events about subscriptions that PayPal itself bills and retries. Celeriac only follows them.

Sources: PayPal's OpenAPI of Subscriptions v1, developer.paypal.com, webhook event names, read 2026-11-28."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from domain.dunning.case import SubscriptionStatus
from domain.dunning.provider_subscription import ProviderSubscription
from gateways.paypal.side_events import Sale, Subscription
from gateways.provider_model import ProviderModel

_CREATED, _FAILED = "BILLING.SUBSCRIPTION.CREATED", "BILLING.SUBSCRIPTION.PAYMENT.FAILED"
_PAID = "PAYMENT.SALE.COMPLETED"
_STATUSES = {
    "APPROVAL_PENDING": SubscriptionStatus.INCOMPLETE,
    "APPROVED": SubscriptionStatus.INCOMPLETE,
    "ACTIVE": SubscriptionStatus.ACTIVE,
    "SUSPENDED": SubscriptionStatus.PAUSED,
    "CANCELLED": SubscriptionStatus.CANCELED,
    "EXPIRED": SubscriptionStatus.CANCELED,
}


class _Failures(ProviderModel):
    """The billing of a subscription. The count is of payments that failed in a row (Subscriptions v1)."""

    failed_payments_count: int | None = None


class _Billed(ProviderModel):
    billing_info: _Failures | None = None


def told_of_subscription(type: str, resource: Any, at: datetime | None) -> ProviderSubscription | None:
    """Return what an event says of a subscription; None for any other event, an unknown status, and without a time.

    `at`: when the event was created. Raises MalformedResponse."""
    if at is None:
        return None
    if type == _PAID:
        reference = Sale.parse(resource).billing_agreement_id
        return ProviderSubscription(reference, SubscriptionStatus.ACTIVE, at, is_hint=True) if reference else None
    if not type.startswith("BILLING.SUBSCRIPTION."):
        return None
    subscription = Subscription.parse(resource)
    status = _STATUSES.get(subscription.status or "")
    if status is None:
        subscription.log_unknown("status")
        return None
    # PayPal shows a subscription with a failed payment as ACTIVE until it is suspended.
    if status is SubscriptionStatus.ACTIVE and (type == _FAILED or _has_failures(resource)):
        status = SubscriptionStatus.PAST_DUE
    return ProviderSubscription(subscription.id, status, at, is_first=type == _CREATED)


def _has_failures(resource: Any) -> bool:
    billing = _Billed.parse(resource).billing_info
    return bool(billing and billing.failed_payments_count)
