"""Owns the idempotency keys: the first answer of a key is kept for a day and given again.

https://docs.stripe.com/api/idempotent_requests: any POST; status and body of the first answer, 500s included,
once execution began; nothing is kept of requests that fail validation or meet a simultaneous twin.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from sandbox.stripe.errors import InvalidParameter, idempotency_in_use, idempotency_mismatch

# Keys may be dropped after at least 24 hours [docs]; the imitation drops them then.
KEPT_SECONDS = 24 * 3600.0
LONGEST_KEY = 255


@dataclass(frozen=True)
class Answer:
    """A finished answer; `original` is the id of the request that first got it."""

    status: int
    body: bytes
    original: str
    headers: tuple[tuple[str, str], ...] = ()


@dataclass
class _Entry:
    fingerprint: str
    at: float
    answer: Answer | None = None


class IdempotencyKeys:
    """The keys of one account; guarded by the state's lock."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._entries: dict[str, _Entry] = {}

    def begin(self, key: str | None, fingerprint: str) -> Answer | None:
        """Claim the key for a request, or return the answer that it already has.

        Raises the refusal of a key in use, or of one that was used for other parameters or another endpoint.
        """
        if key is None:
            return None
        if not key or len(key) > LONGEST_KEY:
            raise InvalidParameter(f"Idempotency keys must be 1 to {LONGEST_KEY} characters long.")
        self._forget_old()
        entry = self._entries.get(key)
        if entry is None:
            self._entries[key] = _Entry(fingerprint, self._now())
            return None
        if entry.fingerprint != fingerprint:
            raise idempotency_mismatch()
        if entry.answer is None:
            raise idempotency_in_use()
        return entry.answer

    def finish(self, key: str | None, answer: Answer) -> None:
        """Keep the answer of an executed request."""
        if key is not None:
            self._entries[key].answer = answer

    def release(self, key: str | None) -> None:
        """Forget a claim that came to no execution; a kept answer stays."""
        entry = self._entries.get(key) if key is not None else None
        if key is not None and entry is not None and entry.answer is None:
            del self._entries[key]

    def _forget_old(self) -> None:
        # Entries are in order of age, since time only moves forward: the oldest is always the first.
        oldest_kept = self._now() - KEPT_SECONDS
        while self._entries:
            key, entry = next(iter(self._entries.items()))
            if entry.at > oldest_kept or entry.answer is None:
                return
            del self._entries[key]
