"""How much one run of the comparison may ask of a provider."""

from __future__ import annotations

import time


class Budget:
    """Calls and seconds. Neither is a limit to the call: what has begun is finished, and then the run ends."""

    def __init__(self, calls: int, seconds: float) -> None:
        self._calls = calls
        self._ends = time.monotonic() + seconds

    @property
    def calls(self) -> int:
        """How many calls are left."""
        return self._calls

    @property
    def is_spent(self) -> bool:
        """Whether the run ends here."""
        return self._calls <= 0 or time.monotonic() >= self._ends

    def spend(self, calls: int = 1) -> None:
        """Count calls."""
        self._calls -= calls
