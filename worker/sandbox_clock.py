"""Follows the sandbox's clock, which people and tests move forward. Only used with a sandbox."""

from __future__ import annotations

import threading
import time
from datetime import timedelta

import requests

# A move reaches every process within this time.
_REFRESH_SECONDS = 0.1


class SandboxClock:
    """A callable that returns how far the sandbox's clock is ahead of real time."""

    def __init__(self, base: str) -> None:
        self._url = f"{base.rstrip('/')}/_sandbox/clock"
        self._session = requests.Session()
        self._lock = threading.Lock()
        self._offset = timedelta()
        self._fetched_at = float("-inf")

    def __call__(self) -> timedelta:
        """Return the offset. One thread at a time fetches it, and the others wait: an old one may be weeks behind."""
        if self._is_old():
            with self._lock:
                if self._is_old():
                    self._offset = self._fetch()
                    self._fetched_at = time.monotonic()
        return self._offset

    def _is_old(self) -> bool:
        return time.monotonic() - self._fetched_at > _REFRESH_SECONDS

    def _fetch(self) -> timedelta:
        try:
            response = self._session.get(self._url, timeout=2)
            return timedelta(seconds=float(response.json()["offset_seconds"]))
        except (requests.RequestException, ValueError, KeyError, TypeError):
            # Another simulation of Stripe has no such clock, and a sandbox that restarts will respond again soon.
            return self._offset
