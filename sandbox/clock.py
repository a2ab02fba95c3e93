"""Owns the sandbox's time: a clock that can be moved forward, and the agenda of what happens later by that
clock."""

from __future__ import annotations

import heapq
import itertools
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime

Action = Callable[[], None]


def stamp(at: float) -> str:
    """Return an instant as providers write it, in whole seconds.

    >>> stamp(0.5)
    '1970-01-01T00:00:00Z'
    """
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def fine_stamp(at: float) -> str:
    """Return an instant with its milliseconds.

    >>> fine_stamp(0.5)
    '1970-01-01T00:00:00.500Z'
    """
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class Clock:
    """Real time plus an offset that only grows."""

    def __init__(self) -> None:
        self.offset_seconds = 0.0

    def now(self) -> float:
        """Return the sandbox's time in seconds since the epoch."""
        return time.time() + self.offset_seconds

    def advance(self, seconds: float) -> None:
        """Move the clock forward; time never runs backwards."""
        if seconds < 0:
            raise ValueError("the clock only moves forward")
        self.offset_seconds += seconds


class Agenda:
    """Actions with a due time by the sandbox clock, run in order of due time under the state's lock.

    One thread waits for the next action, so that things also happen while nobody calls. It starts with the
    first action: a sandbox without delayed outcomes needs no thread.
    """

    def __init__(self, clock: Clock, lock: threading.RLock) -> None:
        self._clock = clock
        self._changed = threading.Condition(lock)
        self._due: list[tuple[float, int, Action]] = []
        self._order = itertools.count()
        self._thread: threading.Thread | None = None
        self._is_closed = False

    def at(self, due_at: float, action: Action) -> None:
        """Run the action once the sandbox clock reads `due_at` or later."""
        with self._changed:
            heapq.heappush(self._due, (due_at, next(self._order), action))
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="sandbox-agenda", daemon=True)
                self._thread.start()
            self._changed.notify()

    def run_due(self) -> None:
        """Run everything that is due by now."""
        with self._changed:
            while self._due and self._due[0][0] <= self._clock.now():
                heapq.heappop(self._due)[2]()

    def close(self) -> None:
        """End the waiting thread; what is still to come never happens."""
        with self._changed:
            self._is_closed = True
            self._changed.notify()

    def _run(self) -> None:
        with self._changed:
            while not self._is_closed:
                self.run_due()
                self._changed.wait(self._seconds_to_next())

    def _seconds_to_next(self) -> float | None:
        if not self._due:
            return None
        # A condition cannot wait longer than TIMEOUT_MAX; an hour is short enough everywhere and costs
        # nothing.
        return min(max(self._due[0][0] - self._clock.now(), 0.0), 3600.0)
