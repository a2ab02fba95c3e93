"""Instruments: what identifies the card or account that was tried, whatever token stands for it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

from domain.decline import DeclineClass


@dataclass(frozen=True, slots=True)
class Instrument:
    """The instrument of a try, as its provider shows it. `fingerprint`: the same for all tokens of one card or account.
    `network`: the card's network or the debit's scheme, in lower case, where there is one. `token`: the provider's id
    of the saved method. `country`: of the issuer or the bank, as two letters. `bin`: the first six to eight digits of
    a card, which name its issuer; few accounts are shown them."""

    fingerprint: str
    network: str | None = None
    token: str | None = None
    country: str | None = None
    bin: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class KnownInstrument:
    """What the books have of an instrument that was declined before. `blocked_as`: why it is not charged while its
    customer is away, if so; the gravest of all its tokens."""

    fingerprint: str
    network: str | None
    blocked_as: DeclineClass | None = None


def fingerprint_of_token(provider: str, token: str) -> str:
    """Return the fingerprint of an instrument whose provider shows none. Two tokens of one card differ in it, so that
    the tries of each are counted by themselves.

    >>> fingerprint_of_token("paypal", "8kk8451t")[:20]
    'token:c91aa07d62ba82'
    """
    return f"token:{hashlib.sha256(f'{provider}:{token}'.encode()).hexdigest()[:48]}"
