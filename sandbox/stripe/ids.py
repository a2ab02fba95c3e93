"""Random ids with Stripe's prefixes and lengths."""

from __future__ import annotations

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
    """Return a card or bank account fingerprint."""
    return _random_text(16)


def _random_text(length: int) -> str:
    return random_text(length, _ALPHABET)
