"""Owns the making of ids: Stripe's prefixes, never twice the same, not even after a restart with the same
seed."""

from __future__ import annotations

import random
import string

_ALPHABET = string.ascii_letters + string.digits
# Seeded by the system on purpose: a consumer's stored ids must stay unique across runs of the sandbox.
_source = random.Random()


def new_id(prefix: str) -> str:
    """Return a new id such as `pi_…`, as long as Stripe's."""
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
    return "".join(_source.choices(_ALPHABET, k=length))
