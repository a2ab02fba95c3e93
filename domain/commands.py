"""Commands: what people, processes and due dates ask of a payment. A provider's word is an `Outcome` instead."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from domain.decline import DeclineClass
from domain.declines.caps import Refusal
from domain.dunning.case import TryCause
from domain.instrument import KnownInstrument
from domain.outcome import Outcome


@dataclass(frozen=True, slots=True)
class Started:
    """A worker claims the attempt and is about to call the provider. (A look-up takes a lease only: `take_lease`.)

    `instrument`: what it is about to try, if that was declined before: the try counts from now on."""

    instrument: KnownInstrument | None = None


@dataclass(frozen=True, slots=True)
class TryRefused:
    """The instrument of a due charge must not be tried now, by a network's limit or because it is blocked."""

    refusal: Refusal


@dataclass(frozen=True, slots=True)
class IntentRepeated:
    """A front end asks again for an intent that could not be created; its creation is about to be called again."""


@dataclass(frozen=True, slots=True)
class Blocked:
    """The fraud rules forbid the charge. `code`: which of them."""

    code: str = "fraud_blocked"


@dataclass(frozen=True, slots=True)
class ReviewRequired:
    """The fraud score asks for a person's decision."""


@dataclass(frozen=True, slots=True)
class ResultsScored:
    """An authorization was scored once more, with what its response shows. Neither: it may be captured. `is_voiding`: a
    void is under way, which comes first."""

    is_blocked: bool = False
    needs_review: bool = False
    is_voiding: bool = False


@dataclass(frozen=True, slots=True)
class ReviewDecided:
    """An operator has decided on a payment that waits for a fraud review, before its charge or before its capture; or
    nobody has in time. `reason`: why."""

    is_approved: bool
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class OperationRequested:
    """An application or operator requests a capture, void or refund; its attempt is stored in the same transaction."""


@dataclass(frozen=True, slots=True)
class ChargeWithdrawn:
    """A due charge that the provider knows is not sent again: a void takes its place."""


@dataclass(frozen=True, slots=True)
class CancelRequested:
    """Stop a payment for which nothing is under way at the provider."""


@dataclass(frozen=True, slots=True)
class RetryDue:
    """The date of the next dunning retry has come."""


@dataclass(frozen=True, slots=True)
class RetryRequested:
    """Somebody asks for a try of a debt in dunning now, beside the plan."""

    cause: TryCause


@dataclass(frozen=True, slots=True)
class DebtReopened:
    """The money that ended the payment's dunning came by another payment, and was taken back. `reason`: why.
    `decline_class`: of this payment's last decline, which says whether its own instrument may be tried again."""

    reason: str
    decline_class: DeclineClass


@dataclass(frozen=True, slots=True)
class GraceEnded:
    """The grace period is over."""


@dataclass(frozen=True, slots=True)
class InvoicePaidOtherwise:
    """Another payment has collected the invoice that this payment's dunning case, or its charge that still waits to be
    sent, is about. `by`: that payment, and `paid_by`: its attempt that has, with the `cause` of its try; each where it
    is known."""

    paid_by: str | None = None
    by: str | None = None
    cause: TryCause | None = None


@dataclass(frozen=True, slots=True)
class DisputeSeen:
    """The provider shows more of a dispute than the books have. Amounts in minor units; negative: given back.

    `withdrawn_more`: taken from us since. `lost_more`: lost for good since. `reason`: the provider's word. `is_opened`:
    it is open since, so that evidence is wanted until `respond_by`. `disputed`: what all open disputes of the payment
    are about, or 0 if none is open any more. `moved_before`: how often its money has gone the same way before. `at`:
    when its money moved last, where the provider shows that."""

    reference: str
    withdrawn_more: int
    lost_more: int
    is_return: bool
    reason: str
    is_opened: bool = False
    disputed: int = 0
    respond_by: str | None = None
    moved_before: int = 0
    at: datetime | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class LossRecounted:
    """A capture is booked of a payment whose money was lost before. `reason`, `is_return`: of that dispute."""

    reason: str
    is_return: bool


Command = (
    Started
    | TryRefused
    | IntentRepeated
    | Blocked
    | ReviewRequired
    | ResultsScored
    | ReviewDecided
    | OperationRequested
    | ChargeWithdrawn
    | CancelRequested
    | RetryDue
    | RetryRequested
    | DebtReopened
    | GraceEnded
    | InvoicePaidOtherwise
    | DisputeSeen
    | LossRecounted
)
Trigger = Command | Outcome
