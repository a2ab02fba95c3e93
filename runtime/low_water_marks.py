"""From which due date on the sweeps of a process look for overdue rows.

An entry of an index stays until no transaction can see its row any more: a backup, or a forgotten session, keeps those
of all payments since it began. A search from the first entry would read them all every two seconds."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

# A row may become visible so much later than it is due: its transaction lasts, and the clocks of hosts differ.
LATE = timedelta(seconds=10)
# How late a row may be found that became due even longer ago when it was written.
COMPLETE_EVERY = timedelta(minutes=5)


class LowWaterMarks:
    """Remembers, for each table, a due date before which no row was due. Threads may share it: marks that another one
    overwrites are only older ones."""

    def __init__(self) -> None:
        self._marks: Mapping[str, datetime] = {}
        self._complete_at: datetime | None = None

    def starts(self, now: datetime) -> Mapping[str, datetime]:
        """Return from which due date on each table is searched; empty: from the first one, in every table."""
        if self._complete_at is None or not self._complete_at <= now < self._complete_at + COMPLETE_EVERY:
            return {}
        # A clock that was set back reaches the marks again.
        return {table: min(mark, now - LATE) for table, mark in self._marks.items()}

    def move(self, starts: Mapping[str, datetime], oldest: Mapping[str, datetime | None], now: datetime) -> None:
        """Store what a search from there has found: the oldest due date of each table, published or not, if one is."""
        if not starts:
            self._complete_at = now
        self._marks = {table: min(due_at or now, now - LATE) for table, due_at in oldest.items()}
