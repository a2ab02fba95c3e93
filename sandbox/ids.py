"""Owns the making of ids: never twice the same, not even after a restart with the same seed."""

from __future__ import annotations

import random
import string

CAPITALS = string.ascii_uppercase + string.digits
SMALL = string.ascii_lowercase + string.digits
# Seeded by the system on purpose: a consumer's stored ids must stay unique across runs of the sandbox.
_source = random.Random()


def random_text(length: int, alphabet: str = CAPITALS) -> str:
    """Return letters and digits without meaning."""
    return "".join(_source.choices(alphabet, k=length))
