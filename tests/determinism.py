"""Clocks and ids that a test controls, so that a replay of it sees the same dates."""

from __future__ import annotations

import threading
from datetime import UTC, datetime

START = datetime(2026, 11, 23, 12, tzinfo=UTC)


class StillClock:
    """Takes the place of a process's clock, and stands still until a test moves it."""

    def __init__(self) -> None:
        self.time = START

    def now(self) -> datetime:
        """Return the time."""
        return self.time


class FrozenTime:
    """Takes the place of the module `time`: a monotonic clock, in seconds, that a test moves. Its sleep never ends."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def monotonic(self) -> float:
        """Return the seconds so far."""
        return self.seconds

    def sleep(self, _seconds: float) -> None:
        """Wait for ever."""
        threading.Event().wait()


class CountedIds:
    """Takes the place of the module `secrets`: random numbers are counted instead."""

    def __init__(self) -> None:
        self.count = 0

    def token_hex(self, size: int) -> str:
        """Return the next number, as long as a random one."""
        self.count += 1
        return f"{self.count:0{2 * size}x}"
