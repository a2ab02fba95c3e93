"""Idempotency keys, derived from the attempt and the call, so that every repeat has the same key."""

from __future__ import annotations

import uuid

# Never changes: another namespace would give the same attempts other keys.
_NAMESPACE = uuid.UUID("7b9d4f0e-6a55-4c0d-9a0b-6f3f5f0c9d11")


def key_of(attempt_id: str, call: str) -> str:
    """Return the key of one call of an attempt, in the form of a random UUID, which every provider accepts.

    >>> key_of("at_1", "capture") == key_of("at_1", "capture") != key_of("at_1", "cancel")
    True
    >>> uuid.UUID(key_of("at_1", "capture")).version
    4
    """
    return str(uuid.UUID(bytes=uuid.uuid5(_NAMESPACE, f"{attempt_id}:{call}").bytes, version=4))
