"""Which dunning cases statistics are about: those whose debt first failed within a range, in groups of one kind."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from domain.errors import InvalidRequest
from domain.months import next_month

# Over so long from the first failure recovery is compared: the last retry of every shipped policy is over by then.
HORIZON = timedelta(days=28)
# The month of the report and those before it, where no range is named.
_MONTHS_BY_DEFAULT = 6
_MOST_MONTHS = 120
_MONTH = re.compile(r"\d{4}-(0[1-9]|1[0-2])", re.ASCII)
_PARAMETERS = ("cohort", "from", "to", "group_by")


class GroupBy(StrEnum):
    """By what the cases are grouped."""

    COHORT = "cohort"
    DECLINE_CLASS = "class"
    TRY = "try"
    PROVIDER = "provider"
    CURRENCY = "currency"
    POLICY = "policy"
    HOLDOUT = "holdout"
    APPLICATION = "application"


@dataclass(frozen=True, slots=True)
class Cohort:
    """The cases whose debt first failed from `begin` on and before `end`."""

    begin: datetime
    end: datetime

    @property
    def months(self) -> tuple[tuple[str, datetime], ...]:
        """The calendar months of the range in UTC, each with its end.

        >>> Cohort(datetime(2026, 1, 15, tzinfo=UTC), datetime(2026, 3, 1, tzinfo=UTC)).months[-1][0]
        '2026-02'
        """
        return tuple(_months(self.begin, self.end))

    def is_complete(self, now: datetime) -> bool:
        """Tell whether every case of the range has reached the horizon.

        >>> january = Cohort(datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 2, 1, tzinfo=UTC))
        >>> [january.is_complete(datetime(2026, month, 1, tzinfo=UTC)) for month in (2, 3)]
        [False, True]
        """
        return self.end + HORIZON <= now


@dataclass(frozen=True, slots=True)
class StatisticsRequest:
    """Which cases, and in which groups; without groups only the whole is shown."""

    cohort: Cohort
    group_by: GroupBy | None = None


def parse_request(given: Mapping[str, str], now: datetime) -> StatisticsRequest:
    """Read the parameters of a request. Without a range it is this month and the five before it, until now.

    >>> noon = datetime(2026, 11, 28, 12, tzinfo=UTC)
    >>> str(parse_request({}, noon).cohort.begin), str(parse_request({"cohort": "2026-02"}, noon).cohort.end)
    ('2026-06-01 00:00:00+00:00', '2026-03-01 00:00:00+00:00')
    >>> parse_request({"from": "2026-02-01", "to": "2026-01-01"}, noon)
    Traceback (most recent call last):
    ...
    domain.errors.InvalidRequest: from must be before to
    """
    if set(given) - set(_PARAMETERS):
        raise InvalidRequest(f"unknown parameter; only {', '.join(_PARAMETERS)} are known")
    return StatisticsRequest(_cohort(given, now), _group_by(given.get("group_by")))


def _group_by(name: str | None) -> GroupBy | None:
    if name is not None and name not in list(GroupBy):
        raise InvalidRequest(f"group_by must be one of: {', '.join(GroupBy)}")
    return None if name is None else GroupBy(name)


def _cohort(given: Mapping[str, str], now: datetime) -> Cohort:
    if "cohort" in given:
        if "from" in given or "to" in given:
            raise InvalidRequest("name either a cohort or a range with from and to, not both")
        begin = _month(given["cohort"])
        return Cohort(begin, next_month(begin))
    end = _instant("to", given["to"]) if "to" in given else now
    begin = _instant("from", given["from"]) if "from" in given else _first_by_default(end)
    if begin >= end:
        raise InvalidRequest("from must be before to")
    if (end.year - begin.year) * 12 + end.month - begin.month >= _MOST_MONTHS:
        raise InvalidRequest(f"the range must be shorter than {_MOST_MONTHS} months")
    return Cohort(begin, end)


def _month(text: str) -> datetime:
    if not _MONTH.fullmatch(text) or not 1970 <= int(text[:4]) < 9999:
        raise InvalidRequest("cohort must be the month of the first failure, such as 2026-11")
    return datetime(int(text[:4]), int(text[5:]), 1, tzinfo=UTC)


def _instant(field: str, text: str) -> datetime:
    """Read a day, which begins at midnight UTC, or an instant with its zone."""
    try:
        read = datetime.fromisoformat(text)
        is_day = len(text) == len("2026-11-01")
        instant = read.replace(tzinfo=UTC) if is_day else read.astimezone(UTC) if read.tzinfo is not None else None
    except (ValueError, OverflowError):
        instant = None
    if instant is None or not 1970 <= instant.year < 9999:
        raise InvalidRequest(f"{field} must be a day, or an instant with its zone: 2026-11-01, 2026-11-01T12:00:00Z")
    return instant


def _first_by_default(end: datetime) -> datetime:
    months = end.year * 12 + end.month - 1 - (_MONTHS_BY_DEFAULT - 1)
    return datetime(max(months // 12, 1970), months % 12 + 1, 1, tzinfo=UTC)


def _months(begin: datetime, end: datetime) -> Iterator[tuple[str, datetime]]:
    month = datetime(begin.year, begin.month, 1, tzinfo=UTC)
    while month < end:
        following = next_month(month)
        yield f"{month:%Y-%m}", following
        month = following
