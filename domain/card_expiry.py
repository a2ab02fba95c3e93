"""When a customer is reminded that a saved card expires: thirty, fourteen and three days before its last day ends."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

# Days before the end.
STEPS = (30, 14, 3)
# A step that could not be taken on its day is left out: what lies ahead is enough, and nobody gets two at once.
_LATEST = timedelta(days=1)


def end_of(expires: str | None) -> datetime | None:
    """Return when a card is over: after the last day of its month. `expires`: as 2030-12; None if it says no month.

    >>> str(end_of("2030-12")), end_of("2030-13"), end_of(None)
    ('2031-01-01 00:00:00+00:00', None, None)
    """
    year, _, month = (expires or "").partition("-")
    if not (year.isdigit() and month.isdigit() and 1 <= int(month) <= 12 and 1970 <= int(year) < 9999):
        return None
    months = int(year) * 12 + int(month)
    return datetime(months // 12, months % 12 + 1, 1, tzinfo=UTC)


def next_reminder(expires: str | None, now: datetime) -> datetime | None:
    """Return when the next reminder is due; None if none lies ahead.

    >>> noon = datetime(2026, 11, 20, 12, tzinfo=UTC)
    >>> str(next_reminder("2026-12", noon)), str(next_reminder("2026-11", noon)), next_reminder("2026-10", noon)
    ('2026-12-02 00:00:00+00:00', '2026-11-28 00:00:00+00:00', None)
    """
    end = end_of(expires)
    ahead = [end - timedelta(days=step) for step in STEPS if end - timedelta(days=step) > now] if end else []
    return min(ahead, default=None)


def step_due(expires: str | None, due_at: datetime, now: datetime) -> int | None:
    """Return which step a reminder is that has been due since then; None for one that is too late, or no step of this
    end.

    >>> due_at = datetime(2026, 12, 2, tzinfo=UTC)
    >>> step_due("2026-12", due_at, due_at), step_due("2026-12", due_at, due_at + timedelta(days=2))
    (30, None)
    """
    end = end_of(expires)
    if end is None or now - due_at > _LATEST:
        return None
    return next((step for step in STEPS if end - timedelta(days=step) == due_at), None)


def shown_end(expires: str) -> str:
    """Return an end as it stands on a card.

    >>> shown_end("2030-07")
    '07/2030'
    """
    year, _, month = expires.partition("-")
    return f"{month}/{year}"
