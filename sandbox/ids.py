"""Random ids, unique also across restarts with the same seed."""

from __future__ import annotations

import random
import string

CAPITALS = string.ascii_uppercase + string.digits
SMALL = string.ascii_lowercase + string.digits
# Not seeded by the sandbox's setting: a repeated id would collide with the ids that the product has stored.
_source = random.Random()


def random_text(length: int, alphabet: str = CAPITALS) -> str:
    """Return random letters and digits."""
    return "".join(_source.choices(alphabet, k=length))
