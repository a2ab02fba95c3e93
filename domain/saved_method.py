"""A payment method that a provider keeps for a customer: what is known of it, and whether it may still be charged."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from domain.check_results import CheckResults
from domain.decline import Decline
from domain.errors import NotFound
from domain.instrument import Instrument


class MethodStatus(StrEnum):
    """Whether a saved method may be charged. The last is final."""

    ACTIVE = "active"
    INACTIVE = "inactive"  # its mandate is no longer active: not while the customer is away
    DETACHED = "detached"


class MethodChange(StrEnum):
    """Who has changed a saved method, so that a charge that failed may pass now."""

    UPDATER = "updater"  # the card network's account updater
    METHOD_UPDATED = "method_updated"  # the customer, the application or an operator


@dataclass(frozen=True, slots=True)
class ShownMethod:
    """What an event says of a saved method. `at`: when, by the provider's clock.

    `token_hash`: as of `token_hash()`. `token`: where it may be stored. `customer`: the provider's customer. `expires`:
    as 2030-12. `is_detached`: it can never be charged again. `change`: its data have changed at the provider."""

    token_hash: str
    at: datetime
    token: str | None = None
    customer: str | None = None
    kind: str | None = None
    brand: str | None = None
    last4: str | None = None
    expires: str | None = None
    is_detached: bool = False
    change: MethodChange | None = None


@dataclass(frozen=True, slots=True)
class ShownMandate:
    """What an event says of the mandate of a saved method. `at`: when, by the provider's clock."""

    token_hash: str
    at: datetime
    is_active: bool


@dataclass(frozen=True, slots=True)
class FailedSetup:
    """What an event says of a payment method that was not saved, because its issuer or its holder refused.

    `reference`: the setup's. `customer`: the provider's customer, where the setup has one. `decline`, `instrument`,
    `checks`, `try_reference`: as those of the outcome `Declined`; one setup may be tried many times."""

    reference: str
    at: datetime
    customer: str | None
    decline: Decline
    instrument: Instrument | None = None
    checks: CheckResults | None = None
    try_reference: str | None = None


def token_hash(token: str) -> str:
    """Return the hash by which a token is found without being stored. SHA-256, in hex."""
    return hashlib.sha256(token.encode()).hexdigest()


def is_newer(known_at: datetime | None, at: datetime, *, is_news: bool = False) -> bool:
    """Tell whether an event is newer than what is known, by the provider's clock. That shows whole seconds: of the same
    second an event counts if it `is_news`, a change to what is not known yet.

    >>> noon = datetime(2026, 11, 20, 12)
    >>> is_newer(noon, noon), is_newer(noon, noon, is_news=True), is_newer(noon, noon.replace(hour=11), is_news=True)
    (False, True, False)
    """
    return known_at is None or at > known_at or (is_news and at == known_at)


def status_of_mandate(known: MethodStatus, *, is_active: bool) -> MethodStatus:
    """Return the status of a method whose mandate is shown.

    >>> str(status_of_mandate(MethodStatus.ACTIVE, is_active=False))
    'inactive'
    >>> str(status_of_mandate(MethodStatus.DETACHED, is_active=True))
    'detached'
    """
    if known is MethodStatus.DETACHED:
        return known
    return MethodStatus.ACTIVE if is_active else MethodStatus.INACTIVE


def require_there(status: MethodStatus) -> None:
    """Refuse to choose a method that is removed. Raises NotFound.

    >>> require_there(MethodStatus.DETACHED)
    Traceback (most recent call last):
    ...
    domain.errors.NotFound: this method is removed; list the saved methods, and choose one of them
    """
    if status is MethodStatus.DETACHED:
        raise NotFound("this method is removed; list the saved methods, and choose one of them")


# Why a charge is not sent, as the code of a decline.
_REFUSALS = {MethodStatus.INACTIVE: "mandate_inactive", MethodStatus.DETACHED: "method_detached"}


def reason_not_to_charge(status: MethodStatus | None, *, is_off_session: bool) -> str | None:
    """Return why a saved method is not charged; None if it may be. A customer who is there may agree anew.

    >>> reason_not_to_charge(MethodStatus.INACTIVE, is_off_session=True)
    'mandate_inactive'
    >>> [reason_not_to_charge(status, is_off_session=True) for status in (None, MethodStatus.ACTIVE)]
    [None, None]
    """
    return _REFUSALS.get(status) if is_off_session and status is not None else None
