"""The schedule: when a declined payment is tried next under its policy. Calendars and time zones are passed in."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, tzinfo
from enum import StrEnum
from typing import NamedTuple, Protocol

from domain.dunning.draw import draw
from domain.dunning.policy import MOST_RETRIES, DunningPolicy

# Banks have booked the night's payments, and a person can react on the same day.
_MORNING = (7, 10)


class DeclineKind(StrEnum):
    """What the schedule reads of a decline after which the same instrument may be tried again. Technical: no issuer
    was asked. Money: the account had too little. Unknown: no table has the code."""

    TECHNICAL = "technical"
    MONEY = "money"
    SOFT = "soft"
    UNKNOWN = "unknown"


class Timing(StrEnum):
    """Why a try is planned for its time."""

    TECHNICAL = "technical"
    LISTED_DAY = "listed_day"
    MORNING = "morning"
    PAYDAY = "payday"


class Calendar(Protocol):
    """Days that matter to a retry. Dates are those of the customer's time zone."""

    def is_open(self, method: str, day: date) -> bool:
        """Tell whether the banks that settle this payment method work on that day."""
        ...

    def is_payday(self, country: str | None, day: date) -> bool:
        """Tell whether many people of a country (ISO 3166-1 alpha-2) get their pay on that day."""
        ...


class EveryDay:
    """The calendar where none is known: every day is open, and no day is a payday."""

    def is_open(self, method: str, day: date) -> bool:
        """Return True."""
        return True

    def is_payday(self, country: str | None, day: date) -> bool:
        """Return False."""
        return False


EVERY_DAY = EveryDay()


@dataclass(frozen=True, slots=True)
class RetryFacts:
    """What the next try of a case depends on.

    `retry`: the number of the last retry of the plan that was made or skipped, 0 before the first. `unsent`: how often
    in a row no issuer was asked, this time included. `last_tried_at`: when the instrument was tried last, by anybody.
    `wait`: how long the network wants no further try after that one. `most_retries`: how many the reason of the decline
    allows, None where only the policy limits them. `zone`, `country`: the customer's."""

    case_id: str
    first_failed_at: datetime
    last_tried_at: datetime
    now: datetime
    kind: DeclineKind = DeclineKind.SOFT
    retry: int = 0
    unsent: int = 0
    wait: timedelta = timedelta()
    most_retries: int | None = None
    method: str = ""
    zone: tzinfo = UTC
    country: str | None = None
    calendar: Calendar = EVERY_DAY


class Planned(NamedTuple):
    """The next try. `retry`: its number in the plan; that of the last one if it is no part of the plan."""

    at: datetime
    retry: int
    timing: Timing


def next_try(policy: DunningPolicy, facts: RetryFacts) -> Planned | None:
    """Return the next try, or None when the policy has none left.

    It is never earlier than the network's advice, and a retry of the plan keeps its distance from the last try. A day
    on which the plan cannot keep both is skipped and not caught up.

    >>> first = datetime(2026, 11, 2, 9, 30, tzinfo=UTC)
    >>> str(next_try(DunningPolicy(), RetryFacts("case_1", first, first, first)).at - first)
    '3 days, 0:00:00'
    >>> advised = RetryFacts("case_1", first, first, first, wait=timedelta(days=6))
    >>> next_try(DunningPolicy(), advised).retry, str(next_try(DunningPolicy(), advised).at - first)
    (2, '7 days, 0:00:00')
    """
    if policy.is_monitor_only:
        return None
    if facts.kind is DeclineKind.TECHNICAL:
        at = max(facts.now + policy.technical_delay(facts.unsent), facts.last_tried_at + facts.wait)
        return Planned(at, facts.retry, Timing.TECHNICAL)
    for retry in range(facts.retry + 1, _most_retries(policy, facts) + 1):
        planned = _within_window(policy, facts, retry)
        if planned is not None:
            return planned
    return None


def _most_retries(policy: DunningPolicy, facts: RetryFacts) -> int:
    by_reason = MOST_RETRIES if facts.most_retries is None else facts.most_retries
    by_kind = policy.most_unknown_retries if facts.kind is DeclineKind.UNKNOWN else MOST_RETRIES
    return min(policy.attempts, by_reason, by_kind)


def _within_window(policy: DunningPolicy, facts: RetryFacts, retry: int) -> Planned | None:
    """Return the best time for a retry from its listed day to the end of its window; None if all of it is too early."""
    listed = policy.retry_at(facts.first_failed_at, retry)
    if listed is None:
        return None
    latest = listed + policy.window
    allowed = max(listed, facts.last_tried_at + max(policy.least_gap, facts.wait))
    earliest = max(allowed, facts.now)
    if earliest > latest:
        return None
    if not policy.window_days:
        return Planned(listed, retry, Timing.LISTED_DAY)
    # Mornings are cut by what does not change, so that a time that is computed again later is the same.
    mornings = [each for each in _mornings(facts.zone, allowed, latest) if each.ends_at >= earliest]
    open_mornings = [each for each in mornings if facts.calendar.is_open(facts.method, each.day)]
    paydays = [each for each in open_mornings if _is_payday(facts, each)]
    for chosen, timing in ((paydays, Timing.PAYDAY), (open_mornings, Timing.MORNING)):
        if chosen:
            return Planned(_drawn(facts, retry, chosen[0]), retry, timing)
    return Planned(earliest, retry, Timing.LISTED_DAY)


def _drawn(facts: RetryFacts, retry: int, morning: _Morning) -> datetime:
    """Return the time of a case within a morning. One that is over already is drawn once more from what is left."""
    share = draw(facts.case_id, str(retry))
    at = morning.begins_at + share * (morning.ends_at - morning.begins_at)
    return at if at >= facts.now else facts.now + share * (morning.ends_at - facts.now)


class _Morning(NamedTuple):
    day: date
    begins_at: datetime
    ends_at: datetime


def _mornings(zone: tzinfo, earliest: datetime, latest: datetime) -> Iterator[_Morning]:
    """Yield the customer's mornings between two instants, as far as they lie between them.

    Where clocks are changed, a local hour may come twice or not at all: a morning begins with the last instant that
    has its first hour, and ends with the first that has its last. That of a day that does not exist ends before it
    begins."""
    day, last = earliest.astimezone(zone).date(), latest.astimezone(zone).date()
    while day <= last:
        begins_at = max(*_instants(zone, day, _MORNING[0]), earliest)
        ends_at = min(*_instants(zone, day, _MORNING[1]), latest)
        if begins_at <= ends_at:
            yield _Morning(day, begins_at, ends_at)
        day += timedelta(days=1)


def _instants(zone: tzinfo, day: date, hour: int) -> list[datetime]:
    """Return the instants that a local hour may stand for, as UTC."""
    local = datetime(day.year, day.month, day.day, hour, tzinfo=zone)
    return [local.replace(fold=fold).astimezone(UTC) for fold in (0, 1)]


def _is_payday(facts: RetryFacts, morning: _Morning) -> bool:
    return facts.kind is DeclineKind.MONEY and facts.calendar.is_payday(facts.country, morning.day)
