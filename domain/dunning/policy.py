"""The plan of retries: on which days a softly declined payment is tried again, and how long its grace period is."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta


@dataclass(frozen=True, slots=True)
class DunningPolicy:
    """`delays_days`: the day of each retry, counted from the first failure. `attempts`: how many retries there are.
    `grace_days`: from the last failure to the cancellation."""

    delays_days: tuple[int, ...] = (3, 7, 14)
    attempts: int = 3
    grace_days: int = 7

    @property
    def window(self) -> timedelta:
        """The time from the first failure to the end of grace, if every retry fails.

        >>> DunningPolicy().window.days
        21
        """
        start = datetime(2000, 1, 1)
        return self.grace_ends_at(self.retry_at(start, self.attempts) or start) - start

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


def exponential_days(retry: int) -> int:
    """Return the day of a retry by exponential backoff: 3.5 days doubled each time, rounded down.

    >>> [exponential_days(n) for n in (1, 2, 3, 4)]
    [3, 7, 14, 28]
    """
    return int(3.5 * 2 ** (retry - 1))
