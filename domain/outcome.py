"""What a gateway may answer to a verb: a closed set of values. A decline is a value, not an exception."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from domain.decline import Decline


@dataclass(frozen=True, slots=True)
class Approved:
    """The provider's books show the money authorized, captured, voided or refunded, as was asked.

    `may_still_move`, of a void: nothing was charged so far and nothing had to be canceled, but a call of ours that is
    still on its way could charge it."""

    reference: str
    authorized: int = 0
    captured: int = 0
    voided: bool = False
    refunded: int = 0
    authorization_expires_at: datetime | None = None
    may_still_charge: bool = False


@dataclass(frozen=True, slots=True)
class Declined:
    """Refused by issuer or provider, definitely nothing charged."""

    reference: str | None
    decline: Decline


@dataclass(frozen=True, slots=True)
class AuthenticationRequired:
    """An off-session charge that the issuer wants authenticated: nothing was charged, and only the
    customer, brought back on-session with a new payment, can go on."""

    reference: str | None
    decline: Decline


@dataclass(frozen=True, slots=True)
class ActionRequired:
    """The customer has to do something first (3-D Secure, approve at the provider, confirm in the front end)."""

    reference: str
    next_action: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class CustomerApproved:
    """The customer has agreed at the provider, or only a charge can tell whether he has: the charge goes on
    with the same object. Nothing has moved yet."""

    reference: str


@dataclass(frozen=True, slots=True)
class Pending:
    """Accepted by the provider, decided later (SEPA, ACH: days)."""

    reference: str


@dataclass(frozen=True, slots=True)
class AmountMismatch:
    """The provider holds money that does not match what was asked (too little, too much, too late); a person decides.

    `received`: in minor units of the payment's currency. `reason`: underpaid, overpaid, delayed, multiple, …"""

    reference: str
    received: int
    reason: str


# The reason of the doubt about an attempt whose worker left no answer.
WORKER_LOST = "worker_lost"


@dataclass(frozen=True, slots=True)
class InDoubt:
    """Sent, and not known whether money moved: time-out, reset, 5xx, an answer that makes no sense."""

    reason: str
    reference: str | None = None


@dataclass(frozen=True, slots=True)
class NotSent:
    """Proven not executed: never reached the provider, or refused by it before execution.

    `is_retryable`: the same call may succeed later (refused connection, rate limit). Otherwise the
    request itself is at fault (unknown token, wrong key) and trying again changes nothing."""

    reason: str
    is_retryable: bool = True
    reference: str | None = None


Outcome = (
    Approved
    | Declined
    | AuthenticationRequired
    | ActionRequired
    | CustomerApproved
    | Pending
    | AmountMismatch
    | InDoubt
    | NotSent
)
