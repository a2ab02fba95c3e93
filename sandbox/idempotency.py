"""Responses kept by idempotency key: a repeated request gets the first response and executes nothing."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from copy import deepcopy
from typing import Any


class IdempotentResponses:
    """The kept responses of one account. A refusal is not kept, so the same key can succeed later."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._responses: dict[Hashable, tuple[float, Any]] = {}

    def once(self, key: Hashable | None, seconds: float, run: Callable[[], Any]) -> Any:
        """Return the response kept for this key, or run and keep it for this many seconds. None is no key."""
        if key is None:
            return run()
        kept_until, kept = self._responses.get(key, (0.0, None))
        if self._now() < kept_until:
            return kept
        response = run()
        # A copy, because the objects inside the response change later.
        self._responses[key] = (self._now() + seconds, deepcopy(response))
        return response
