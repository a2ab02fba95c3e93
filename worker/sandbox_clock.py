"""Follows the sandbox's clock, which people and tests may move. Only ever used against a sandbox."""

from __future__ import annotations

import threading
import time
from datetime import timedelta

import requests

# Every process follows within this long.
_FOLLOW_SECONDS = 0.5


class SandboxClock:
    """Callable that gives how far the sandbox's clock is ahead."""

    def __init__(self, base: str) -> None:
        self._url = f"{base.rstrip('/')}/_sandbox/clock"
        self._session = requests.Session()
        self._lock = threading.Lock()
        self._offset = timedelta()
        self._asked_at = float("-inf")

    def __call__(self) -> timedelta:
        """Return the offset; one thread at a time asks for it."""
        if time.monotonic() - self._asked_at > _FOLLOW_SECONDS and self._lock.acquire(blocking=False):
            try:
                self._offset = self._ask()
                self._asked_at = time.monotonic()
            finally:
                self._lock.release()
        return self._offset

    def _ask(self) -> timedelta:
        try:
            response = self._session.get(self._url, timeout=2)
            return timedelta(seconds=float(response.json()["offset_seconds"]))
        except (requests.RequestException, ValueError, KeyError, TypeError):
            # Another server that speaks Stripe's API has no such clock, and a restarting one will tell again.
            return self._offset
