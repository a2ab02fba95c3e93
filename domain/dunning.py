"""Dunning: when a softly declined subscription payment is tried again, and when grace ends."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from domain.decline import DeclineClass


class CaseState(StrEnum):
    """Where a dunning case stands. The last two are the end."""

    RETRYING = "retrying"
    IN_GRACE = "in_grace"
    RECOVERED = "recovered"
    UNCOLLECTIBLE = "uncollectible"


class SubscriptionStatus(StrEnum):
    """What the application may offer the customer."""

    ACTIVE = "active"
    PAST_DUE = "past_due"
    CANCELED = "canceled"


@dataclass(frozen=True, slots=True)
class DunningPolicy:
    """Days after the first failure of each retry, how many there are, and the grace after the last."""

    delays_days: tuple[int, ...] = (3, 7, 14)
    attempts: int = 3
    grace_days: int = 7

    def retry_at(self, first_failed_at: datetime, retry: int) -> datetime | None:
        """Return when retry number `retry` (from 1) is due, or None when no more are planned."""
        if retry > self.attempts:
            return None
        listed = self.delays_days[retry - 1] if retry <= len(self.delays_days) else exponential_days(retry)
        # A formula day may lie before the last listed one; retries never go backwards.
        return first_failed_at + timedelta(days=max(listed, *self.delays_days[: retry - 1], 0))

    def grace_ends_at(self, failed_at: datetime) -> datetime:
        """Return the end of the grace that starts when the last retry has failed."""
        return failed_at + timedelta(days=self.grace_days)


def exponential_days(retry: int) -> int:
    """Exponential backoff in whole days after the first failure: 3.5 days doubled each time, rounded down.

    >>> [exponential_days(n) for n in (1, 2, 3, 4)]
    [3, 7, 14, 28]
    """
    return int(3.5 * 2 ** (retry - 1))


def may_retry(decline_class: DeclineClass) -> bool:
    """Only a soft decline is ever tried again on the same instrument."""
    return decline_class is DeclineClass.SOFT
