"""Calendar months in UTC, by their first moment."""

from __future__ import annotations

import re
from datetime import UTC, datetime

from domain.errors import InvalidRequest

_MONTH = re.compile(r"\d{4}-(0[1-9]|1[0-2])", re.ASCII)


def month_named(text: str) -> datetime:
    """Return the month of a name such as 2026-11. Raises InvalidRequest."""
    if not _MONTH.fullmatch(text) or not 1970 <= int(text[:4]) < 9999:
        raise InvalidRequest("month must be the name of a month, such as 2026-11")
    return datetime(int(text[:4]), int(text[5:]), 1, tzinfo=UTC)


def month_of(instant: datetime) -> datetime:
    """Return the month in which an instant lies."""
    return datetime(instant.year, instant.month, 1, tzinfo=UTC)


def next_month(month: datetime, months: int = 1) -> datetime:
    """Return the month so many later, or earlier.

    >>> november = datetime(2026, 11, 1, tzinfo=UTC)
    >>> str(next_month(november, 2).date()), str(next_month(november, -11).date())
    ('2027-01-01', '2025-12-01')
    """
    counted = month.year * 12 + month.month - 1 + months
    return datetime(counted // 12, counted % 12 + 1, 1, tzinfo=UTC)
