"""Idempotency keys, derived from the attempt and the call, so that every repeat has the same key."""

from __future__ import annotations

import uuid

from gateways.base import AttemptRequest

# Never changes: another namespace would give the same attempts other keys.
_NAMESPACE = uuid.UUID("7b9d4f0e-6a55-4c0d-9a0b-6f3f5f0c9d11")


def key_of(attempt: AttemptRequest, call: str) -> str:
    """Return the key of one call of an attempt, in the form of a random UUID, which every provider accepts."""
    name = f"{attempt.attempt_id}:{call}{key_suffix(attempt, ':')}"
    return str(uuid.UUID(bytes=uuid.uuid5(_NAMESPACE, name).bytes, version=4))


def key_suffix(attempt: AttemptRequest, separator: str) -> str:
    """Return what makes the attempt's present key different from those that are used up; nothing for its first."""
    return f"{separator}{attempt.key_number}" if attempt.key_number else ""
