"""Dunning: when a softly declined subscription payment is retried, and when its grace period ends.

`charging` opens and moves a case when a charge fails; this file holds the dates and the statuses."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
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
    """Whether a subscription's payments are up to date."""

    ACTIVE = "active"
    PAST_DUE = "past_due"
    CANCELED = "canceled"


_UNSENT = tuple(timedelta(hours=hours) for hours in (1, 6, 24))
# So often, more than a day, no issuer could be asked: a person has to know.
MOST_UNSENT = len(_UNSENT)


@dataclass(frozen=True, slots=True)
class DunningPolicy:
    """`delays_days`: the day of each retry, counted from the first failure. `attempts`: how many retries there are.
    `grace_days`: from the last failure to the cancellation."""

    delays_days: tuple[int, ...] = (3, 7, 14)
    attempts: int = 3
    grace_days: int = 7

    def retry_at(self, first_failed_at: datetime, retry: int) -> datetime | None:
        """Return when retry number `retry` (from 1) is due, or None when no more are planned."""
        if retry > self.attempts:
            return None
        listed = self.delays_days[retry - 1] if retry <= len(self.delays_days) else exponential_days(retry)
        # A day by the formula may lie before the last listed day; retries never go backwards.
        return first_failed_at + timedelta(days=max(listed, *self.delays_days[: retry - 1], 0))

    def grace_ends_at(self, failed_at: datetime) -> datetime:
        """Return the end of the grace period that starts with this failure."""
        return failed_at + timedelta(days=self.grace_days)


def unsent_delay(unsent: int) -> timedelta:
    """Return how long a charge rests that has reached no issuer so often in a row, until the provider may be back.

    >>> [unsent_delay(times) // timedelta(hours=1) for times in (1, 2, 3, 4)]
    [1, 6, 24, 24]
    """
    return _UNSENT[min(unsent, len(_UNSENT)) - 1]


def exponential_days(retry: int) -> int:
    """Return the day of a retry by exponential backoff: 3.5 days doubled each time, rounded down.

    >>> [exponential_days(n) for n in (1, 2, 3, 4)]
    [3, 7, 14, 28]
    """
    return int(3.5 * 2 ** (retry - 1))


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
