"""The sandbox's clock, which tests move forward, and the scheduler of actions that fall due by that clock."""

from __future__ import annotations

import heapq
import itertools
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime

Action = Callable[[], None]

# A condition cannot wait longer than threading.TIMEOUT_MAX. One wake-up an hour costs nothing.
LONGEST_WAIT_SECONDS = 3600.0


def iso_seconds(instant: float) -> str:
    """Return seconds since the epoch as ISO 8601 text in whole seconds.

    >>> iso_seconds(0.5)
    '1970-01-01T00:00:00Z'
    """
    return datetime.fromtimestamp(instant, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def iso_milliseconds(instant: float) -> str:
    """Return seconds since the epoch as ISO 8601 text with milliseconds.

    >>> iso_milliseconds(0.5)
    '1970-01-01T00:00:00.500Z'
    """
    return datetime.fromtimestamp(instant, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class Clock:
    """Real time plus an offset that only grows."""

    def __init__(self) -> None:
        self.offset_seconds = 0.0

    def now(self) -> float:
        """Return the sandbox's time in seconds since the epoch."""
        return time.time() + self.offset_seconds

    def advance(self, seconds: float) -> None:
        """Move the clock forward; raise ValueError for a move backwards."""
        if seconds < 0:
            raise ValueError("the clock only moves forward")
        self.offset_seconds += seconds


class Scheduler:
    """Runs actions in the order of their due time by the sandbox clock, under the state's lock.

    One thread waits for the next action, so that delayed outcomes happen without a request. The thread starts with the
    first action: most sandboxes in tests schedule nothing and need none.
    """

    def __init__(self, clock: Clock, lock: threading.RLock) -> None:
        self._clock = clock
        self._changed = threading.Condition(lock)
        self._due: list[tuple[float, int, Action]] = []
        # Breaks ties between equal due times: actions cannot be compared.
        self._sequence = itertools.count()
        self._thread: threading.Thread | None = None
        self._is_closed = False

    def run_at(self, due_at: float, action: Action) -> None:
        """Run the action once the sandbox clock reads `due_at` or later."""
        with self._changed:
            heapq.heappush(self._due, (due_at, next(self._sequence), action))
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="sandbox-scheduler", daemon=True)
                self._thread.start()
            self._changed.notify()

    def run_due(self) -> None:
        """Run every action that is due."""
        with self._changed:
            while self._due and self._due[0][0] <= self._clock.now():
                heapq.heappop(self._due)[2]()

    def close(self) -> None:
        """End the thread; actions that are not due yet never run."""
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
        return min(max(self._due[0][0] - self._clock.now(), 0.0), LONGEST_WAIT_SECONDS)
