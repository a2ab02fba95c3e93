"""Owns the memory of answers by idempotency key: a repeat gets what the first request got."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from copy import deepcopy
from typing import Any


class Repeats:
    """The answers of one account. Refusals are not kept."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._answers: dict[Hashable, tuple[float, Any]] = {}

    def once(self, key: Hashable | None, seconds: float, run: Callable[[], Any]) -> Any:
        """Return what `run` returns, or what it returned for the same key within so many seconds."""
        if key is None:
            return run()
        kept_until, known = self._answers.get(key, (0.0, None))
        if self._now() < kept_until:
            return known
        answer = run()
        # As it was then: what is answered goes on changing.
        self._answers[key] = (self._now() + seconds, deepcopy(answer))
        return answer
