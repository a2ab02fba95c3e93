"""Dunning policies: on which days a declined payment is tried again, and what follows when every retry has failed.

A case stores the policy that it began with, so that a change of policy changes new cases only."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from enum import StrEnum
from itertools import pairwise
from math import isfinite
from typing import Any

# The policy of a case for which no other one is chosen.
DEFAULT_POLICY = "standard"
# Far inside the networks' caps: Visa bills the 16th retry in 30 days, Mastercard the 36th (acquirers' notices, read
# 2026-11-23).
MOST_RETRIES = 8
# A code that no table has may forbid retries.
MOST_UNKNOWN_RETRIES = 2
# Card networks want retries of one card this far apart, also after our own system was down for days.
LEAST_GAP_HOURS = 20
# A debt that is older is collected by other means.
LONGEST_DELAY_DAYS = 90
LONGEST_GRACE_DAYS = 365
# Time to reach the next business day from any weekend, without taking the place of the next retry.
WIDEST_WINDOW_DAYS = 2.5


class GraceAnchor(StrEnum):
    """From when the days of grace count."""

    LAST_RETRY = "last_retry"
    FIRST_FAILURE = "first_failure"


class EndAction(StrEnum):
    """What becomes of the subscription when grace has ended without money."""

    CANCEL = "cancel"
    PAUSE = "pause"
    UNPAID = "unpaid"
    KEEP = "keep"


class ResumeAnchor(StrEnum):
    """Whether a paused subscription whose debt is paid keeps its billing date, or gets a new one."""

    KEPT = "kept"
    MOVED = "moved"


@dataclass(frozen=True, slots=True)
class DunningPolicy:
    """When a declined payment is tried again, and what follows. Days and hours may have fractions.

    `delays_days`: the day of each retry, counted from the first failure; days beyond the list follow the formula of
    `exponential_days`. `attempts`: how many retries there are. `grace_days`: from the `grace_anchor` to the
    `end_action`. `window_days`: how much later than its listed day a retry may be moved to a better hour; 0: never.
    `technical_delays_hours`: the pauses after a try that reached no issuer, which are no part of the plan.
    `least_gap_hours`: between any two tries of the plan. `most_unknown_retries`: how many follow a code that no table
    has. `is_monitor_only`: nothing is tried, the case is only watched."""

    delays_days: tuple[float, ...] = (3, 7, 14)
    attempts: int = 3
    grace_days: float = 7
    name: str = DEFAULT_POLICY
    grace_anchor: GraceAnchor = GraceAnchor.LAST_RETRY
    end_action: EndAction = EndAction.CANCEL
    resume_anchor: ResumeAnchor = ResumeAnchor.KEPT
    window_days: float = 0
    technical_delays_hours: tuple[float, ...] = (1, 6, 24)
    least_gap_hours: float = LEAST_GAP_HOURS
    most_unknown_retries: int = MOST_UNKNOWN_RETRIES
    is_monitor_only: bool = False

    @property
    def version(self) -> str:
        """A hash of all that the policy says, its name aside: the same in every process and on every day.

        >>> DunningPolicy().version == DunningPolicy(delays_days=(3.0, 7.0, 14.0), name="ours").version
        True
        >>> DunningPolicy().version == DunningPolicy(grace_days=8).version
        False
        """
        content = {name: value for name, value in self.to_json().items() if name != "name"}
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:12]

    @property
    def least_gap(self) -> timedelta:
        """The time between two tries of the plan."""
        return timedelta(hours=self.least_gap_hours)

    @property
    def window(self) -> timedelta:
        """How much later than listed a retry may be."""
        return timedelta(days=self.window_days)

    @property
    def most_technical(self) -> int:
        """How many technical declines in a row are tried again by the hour. By default that is more than a day: then a
        decline counts as soft, and a person has to know if no issuer could be asked.

        >>> DunningPolicy().most_technical
        3
        """
        return len(self.technical_delays_hours)

    @property
    def longest(self) -> timedelta:
        """The time from the first failure to the end of grace, if every retry fails.

        >>> DunningPolicy().longest.days
        21
        """
        start = datetime(2000, 1, 1)
        return self.grace_ends_at(start, self.retry_at(start, self.attempts) or start) - start

    def retry_at(self, first_failed_at: datetime, retry: int) -> datetime | None:
        """Return when retry number `retry` (from 1) is due, or None when no more are planned."""
        if retry > self.attempts:
            return None
        listed = self.delays_days[retry - 1] if retry <= len(self.delays_days) else exponential_days(retry)
        # A day by the formula may lie before the last listed day; retries never go backwards.
        return first_failed_at + timedelta(days=max(listed, *self.delays_days[: retry - 1], 0))

    def technical_delay(self, unsent: int) -> timedelta:
        """Return how long a charge rests that has reached no issuer so often in a row, until the provider may be back.

        >>> [DunningPolicy().technical_delay(times) // timedelta(hours=1) for times in (1, 2, 3, 4)]
        [1, 6, 24, 24]
        """
        return timedelta(hours=self.technical_delays_hours[min(unsent, len(self.technical_delays_hours)) - 1])

    def grace_ends_at(self, first_failed_at: datetime, last_failed_at: datetime) -> datetime:
        """Return when the `end_action` is due: never before the last retry has failed. A case keeps it once it is set.

        >>> first, last = datetime(2026, 11, 1), datetime(2026, 11, 15)
        >>> f"{DunningPolicy().grace_ends_at(first, last):%d.}"
        '22.'
        >>> from_first = DunningPolicy(grace_anchor=GraceAnchor.FIRST_FAILURE)
        >>> f"{from_first.grace_ends_at(first, last):%d.}", f"{from_first.grace_ends_at(first, first):%d.}"
        ('15.', '08.')
        """
        grace = timedelta(days=self.grace_days)
        if self.grace_anchor is GraceAnchor.FIRST_FAILURE:
            return max(first_failed_at + grace, last_failed_at)
        return last_failed_at + grace

    def access_ends_at(self, first_failed_at: datetime, grace_ends_at: datetime | None) -> datetime | None:
        """Return until when the subscription has access if nothing is paid; None while no end is known.

        `grace_ends_at`: of a case in grace, which an operator may have extended.

        >>> first = datetime(2026, 11, 1)
        >>> DunningPolicy().access_ends_at(first, None)
        >>> f"{DunningPolicy(grace_anchor=GraceAnchor.FIRST_FAILURE).access_ends_at(first, None):%d.}"
        '08.'
        """
        if self.grace_anchor is GraceAnchor.FIRST_FAILURE:
            ends_at = first_failed_at + timedelta(days=self.grace_days)
            return max(ends_at, grace_ends_at) if grace_ends_at is not None else ends_at
        return grace_ends_at

    def to_json(self) -> dict[str, Any]:
        """Return the policy as JSON has it. `from_json` reads it back."""
        return {field.name: _plain(getattr(self, field.name)) for field in fields(self)}

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> DunningPolicy:
        """Return the stored policy; what it leaves out is as in `standard`. Raises ValueError for an unknown key.

        It is not checked again: a case that began under wider limits still has to be readable."""
        unknown = sorted(set(stored) - {field.name for field in fields(cls)})
        if unknown:
            raise ValueError(f"{unknown[0]}: no policy has this key")
        return cls(**{name: _FROM_JSON[name](value) if name in _FROM_JSON else value for name, value in stored.items()})


_FROM_JSON: Mapping[str, Any] = {
    "delays_days": tuple,
    "technical_delays_hours": tuple,
    "grace_anchor": GraceAnchor,
    "end_action": EndAction,
    "resume_anchor": ResumeAnchor,
}

STANDARD = DunningPolicy()
# Nine tenths of what is recovered come within ten days (Recurly, April 2026): the fifth retry is due by then, moved or
# not.
STRONG = DunningPolicy((1, 3, 5, 7, 9, 13, 20, 27), attempts=8, name="strong", window_days=1)
# Watched for the 28 days over which recovery is compared.
MONITOR_ONLY = DunningPolicy(
    (), attempts=0, grace_days=28, name="monitor_only", end_action=EndAction.KEEP, is_monitor_only=True
)
SHIPPED = {policy.name: policy for policy in (STANDARD, STRONG, MONITOR_ONLY)}


def exponential_days(retry: int) -> int:
    """Return the day of a retry by exponential backoff: 3.5 days doubled each time, rounded down.

    >>> [exponential_days(n) for n in (1, 2, 3, 4)]
    [3, 7, 14, 28]
    """
    return int(3.5 * 2 ** (retry - 1))


def problems_of(policy: DunningPolicy) -> dict[str, str]:
    """Return what is wrong with a policy that an operator writes: one sentence for each field that is.

    >>> problems_of(STANDARD), problems_of(STRONG), problems_of(MONITOR_ONLY)
    ({}, {}, {})
    >>> problems_of(DunningPolicy(delays_days=(7, 3), grace_days=-1))
    {'delays_days': 'must increase, such as 3,7,14', 'grace_days': 'must be from 0 to 365'}
    """
    return dict(_problems(policy))


def _problems(policy: DunningPolicy) -> Iterator[tuple[str, str]]:
    yield from (("delays_days", problem) for problem in _delay_problems(policy))
    for field, least, most in (
        ("attempts", 0, MOST_RETRIES),
        ("grace_days", 0, LONGEST_GRACE_DAYS),
        ("window_days", 0, WIDEST_WINDOW_DAYS),
        ("least_gap_hours", LEAST_GAP_HOURS, LONGEST_DELAY_DAYS * 24),
        ("most_unknown_retries", 0, MOST_UNKNOWN_RETRIES),
    ):
        # Written so that what is no number is refused as well.
        if not least <= getattr(policy, field) <= most:
            yield field, f"must be from {least} to {most}"
    is_by_formula = len(policy.delays_days) < policy.attempts <= MOST_RETRIES
    if is_by_formula and exponential_days(policy.attempts) > LONGEST_DELAY_DAYS:
        yield "attempts", f"must not lead to a retry after day {LONGEST_DELAY_DAYS}; days beyond the list double"
    hours = policy.technical_delays_hours
    if not hours or not all(1 <= each <= LONGEST_DELAY_DAYS * 24 for each in hours) or list(hours) != sorted(hours):
        yield "technical_delays_hours", "must be hours of at least 1 that do not decrease, such as 1,6,24"


def _delay_problems(policy: DunningPolicy) -> Iterator[str]:
    days = policy.delays_days
    if not all(isfinite(day) and day > 0 for day in days):
        yield "must be above 0"
    elif any(before >= after for before, after in pairwise(days)):
        yield "must increase, such as 3,7,14"
    elif len(days) > MOST_RETRIES:
        yield f"must be at most {MOST_RETRIES} days"
    elif any(day > LONGEST_DELAY_DAYS for day in days):
        yield f"must be at most {LONGEST_DELAY_DAYS}"
    elif any((after - before) * 24 < policy.least_gap_hours for before, after in pairwise((0, *days))):
        yield f"must be at least {policy.least_gap_hours:g} hours apart, and as long after the first failure"


def _plain(value: object) -> object:
    """Return a value as JSON has it; a whole number has one form only, so that equal policies have equal hashes."""
    if isinstance(value, tuple):
        return [_plain(each) for each in value]
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value.value if isinstance(value, StrEnum) else value
