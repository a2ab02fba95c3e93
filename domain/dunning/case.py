"""Dunning cases and subscriptions: the states that they have."""

from __future__ import annotations

from enum import StrEnum

from domain.decline import DeclineClass
from domain.errors import Conflict


class CaseState(StrEnum):
    """Where a dunning case stands. The last two are final."""

    RETRYING = "retrying"
    IN_GRACE = "in_grace"
    RECOVERED = "recovered"
    UNCOLLECTIBLE = "uncollectible"


# A date or an attempt moves these on.
OPEN_CASES = frozenset({CaseState.RETRYING, CaseState.IN_GRACE})


class SubscriptionStatus(StrEnum):
    """Whether a subscription's payments are up to date. Some come from a provider's own engine only: a subscription
    that it has not collected for yet, has paused, or has given up collecting for."""

    INCOMPLETE = "incomplete"
    ACTIVE = "active"
    PAST_DUE = "past_due"
    PAUSED = "paused"
    UNPAID = "unpaid"
    CANCELED = "canceled"


# So often, more than a day, no issuer could be asked: a person has to know.
MOST_UNSENT = 3


def require_not_canceled(status: SubscriptionStatus) -> None:
    """Refuse a new payment of a subscription that has ended. Raises Conflict."""
    if has_ended(status):
        raise Conflict("the subscription is canceled; start a new one")


def has_ended(status: SubscriptionStatus | None) -> bool:
    """Tell whether a subscription has ended."""
    return status is SubscriptionStatus.CANCELED


def needs_no_other_case(status: SubscriptionStatus) -> bool:
    """Tell whether a subscription gets this status only if no other payment of it is in dunning: another unpaid
    invoice keeps it past due."""
    return status is SubscriptionStatus.ACTIVE


def may_retry(decline_class: DeclineClass) -> bool:
    """Tell whether the same instrument may be tried again: only after a soft decline."""
    return decline_class is DeclineClass.SOFT
