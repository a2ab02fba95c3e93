"""A monotonic clock that stands still until a test moves it."""

from __future__ import annotations

import threading


class FrozenTime:
    """Takes the place of the module `time`, in seconds. Its sleep never ends."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def monotonic(self) -> float:
        """Return the seconds so far."""
        return self.seconds

    def sleep(self, _seconds: float) -> None:
        """Wait for ever."""
        threading.Event().wait()
