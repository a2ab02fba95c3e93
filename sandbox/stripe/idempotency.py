"""Idempotency keys: the first response of a key is stored for a day and sent again.

https://docs.stripe.com/api/idempotent_requests: for every POST, the status and body of the first response after the
start of execution, 500s included. The refusals of validation and of simultaneous requests are not stored.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from sandbox.stripe.errors import InvalidParameter, idempotency_in_use, idempotency_mismatch

# Stripe may drop a key after at least 24 hours [docs]; the sandbox drops it then.
KEPT_SECONDS = 24 * 3600.0
LONGEST_KEY = 255


@dataclass(frozen=True)
class StoredResponse:
    """A final response; `original` is the id of the request that first received it."""

    status: int
    body: bytes
    original: str
    headers: tuple[tuple[str, str], ...] = ()


@dataclass
class _Entry:
    fingerprint: str
    at: float
    response: StoredResponse | None = None


class IdempotencyKeys:
    """The keys of one account; guarded by the state's lock."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._entries: dict[str, _Entry] = {}

    def begin(self, key: str | None, fingerprint: str) -> StoredResponse | None:
        """Reserve the key for a request, or return its stored response.

        Raise a StripeError for a key in use, or for one of other parameters or another endpoint.
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
        if entry.response is None:
            raise idempotency_in_use()
        return entry.response

    def finish(self, key: str | None, response: StoredResponse) -> None:
        """Store the response of an executed request."""
        if key is not None:
            self._entries[key].response = response

    def release(self, key: str | None) -> None:
        """Release a reserved key without a response; a stored response stays."""
        entry = self._entries.get(key) if key is not None else None
        if key is not None and entry is not None and entry.response is None:
            del self._entries[key]

    def _forget_old(self) -> None:
        # Time only moves forward, so the first entry is always the oldest.
        oldest_kept = self._now() - KEPT_SECONDS
        while self._entries:
            key, entry = next(iter(self._entries.items()))
            if entry.at > oldest_kept or entry.response is None:
                return
            del self._entries[key]
