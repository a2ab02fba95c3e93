"""The outcomes of a gateway's verbs: a closed set of values. A decline is a value, not an exception."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime

from domain.check_results import CheckResults
from domain.decline import Decline
from domain.idempotency_key import FailedResponse
from domain.instrument import Instrument


@dataclass(frozen=True, slots=True)
class Approved:
    """The provider's books show the money authorized, captured, voided or refunded. Amounts in minor units.

    `may_still_charge`: with `voided`, nothing is charged so far, but a call that is still running could charge it.
    `at`: when the provider says that this money moved, the newest part of it; None where it shows no time. It is
    written into the books. `instrument`, `checks`: what was charged, and what was checked of it, where that is shown;
    the fraud score reads them. All three are no part of what the outcome says."""

    reference: str
    authorized: int = 0
    captured: int = 0
    voided: bool = False
    refunded: int = 0
    authorization_expires_at: datetime | None = None
    may_still_charge: bool = False
    at: datetime | None = field(default=None, compare=False)
    instrument: Instrument | None = field(default=None, compare=False)
    checks: CheckResults | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Declined:
    """The issuer or the provider refused. Nothing was charged. `instrument`: what was tried, where that is shown; it is
    written into the ledger of tries. `checks`: what was checked of it. `try_reference`: the provider's id of this try:
    an intent that a front end confirms is declined many times under one reference. All three are no part of what the
    outcome says."""

    reference: str | None
    decline: Decline
    instrument: Instrument | None = field(default=None, compare=False)
    checks: CheckResults | None = field(default=None, compare=False)
    try_reference: str | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class AuthenticationRequired:
    """The issuer wants an off-session charge authenticated. Nothing was charged; only a new payment with the customer
    present can succeed. `instrument`, `checks`, `try_reference`: as those of Declined."""

    reference: str | None
    decline: Decline
    instrument: Instrument | None = field(default=None, compare=False)
    checks: CheckResults | None = field(default=None, compare=False)
    try_reference: str | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class ActionRequired:
    """The customer has to act first: 3-D Secure, approve at the provider, confirm in the front end.

    `expires_at`: until when they can, where the provider shows it or documents it. It plans look-ups, and is no part of
    what the outcome says."""

    reference: str
    next_action: dict[str, str] = field(default_factory=dict)
    expires_at: datetime | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class CustomerApproved:
    """The customer has approved, or the provider cannot say without a charge call. No money has moved; call `charge`
    again with this reference."""

    reference: str


@dataclass(frozen=True, slots=True)
class Pending:
    """The provider has accepted and decides later (SEPA and ACH debits: days).

    `refunding`: of a refund, how much it will give back, where the provider shows that. `instrument`: as that of
    Declined."""

    reference: str
    refunding: int = 0
    instrument: Instrument | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class AmountMismatch:
    """The provider holds money that does not match what was asked: too little, too much, too late. A person decides.

    `received`: in minor units of the payment's currency. `reason`: underpaid, overpaid, delayed, multiple, …
    `at`: as that of Approved."""

    reference: str
    received: int
    reason: str
    at: datetime | None = field(default=None, compare=False)


# The reason of doubt about an attempt whose worker recorded no outcome.
WORKER_LOST = "worker_lost"


@dataclass(frozen=True, slots=True)
class InDoubt:
    """The call was sent, and whether money moved is unknown: time-out, reset, 5xx, a malformed response."""

    reason: str
    reference: str | None = None
    response: FailedResponse = FailedResponse.NONE


@dataclass(frozen=True, slots=True)
class NotSent:
    """Proven not executed: the call never reached the provider, or the provider refused it before execution.

    `is_retryable`: the same call may succeed later (refused connection, rate limit). Otherwise the request itself is
    at fault (unknown token, wrong key), and a repeat changes nothing. `param`: the field of the application's request
    that it has to mend. `message`: the provider's sentence, only where it repeats no value that was sent. `is_outage`:
    the provider's breaker is open, so that the failure is not the attempt's own, and uses up none of its tries."""

    reason: str
    is_retryable: bool = True
    reference: str | None = None
    param: str | None = None
    message: str | None = None
    response: FailedResponse = FailedResponse.NONE
    is_outage: bool = False


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


def with_time_told(shown: Outcome, told: Outcome | None) -> Outcome:
    """Return what a look-up shows; where it shows no time, with that of an event that tells the same.

    >>> told = Approved("pi_1", captured=5, at=datetime(2026, 11, 28))
    >>> [with_time_told(Approved("pi_1", captured=amount), told).at is None for amount in (5, 6)]
    [False, True]
    """
    if isinstance(shown, Approved) and isinstance(told, Approved) and shown == told:
        return replace(shown, at=shown.at or told.at)
    return shown
