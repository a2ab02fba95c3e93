"""Random ids with Stripe's prefixes and lengths."""

from __future__ import annotations

import hashlib
import string

from sandbox.ids import random_text

_ALPHABET = string.ascii_letters + string.digits


def new_id(prefix: str) -> str:
    """Return a new id such as `pi_…`, with the length of Stripe's."""
    return prefix + _random_text(24)


def new_client_secret(id: str) -> str:
    """Return a client secret, which starts with the id of its object."""
    return f"{id}_secret_{_random_text(25)}"


def new_secret() -> str:
    """Return the signing secret of a webhook endpoint."""
    return "whsec_" + _random_text(32)


def new_fingerprint() -> str:
    """Return the fingerprint of a card that no other has the number of."""
    return _random_text(16)


def fingerprint_of(*number: str) -> str:
    """Return the fingerprint of a card's or account's number: the same for all payment methods with this number.

    >>> fingerprint_of("visa", "4242") == fingerprint_of("visa", "4242") != fingerprint_of("visa", "0002")
    True
    """
    digest = hashlib.sha256(":".join(number).encode()).digest()
    return "".join(_ALPHABET[byte % len(_ALPHABET)] for byte in digest[:16])


def _random_text(length: int) -> str:
    return random_text(length, _ALPHABET)
