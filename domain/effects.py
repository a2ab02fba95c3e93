"""What a decision does beside changing its payment and its attempt. `models.transition` carries it out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from domain.attention import Reason
from domain.decline import Decline
from domain.dunning.case import SubscriptionStatus, TryCause
from domain.dunning.mail import Mail
from domain.dunning.policy import ResumeAnchor
from domain.instrument import Instrument
from domain.payment import DunningCase, Verb


@dataclass(frozen=True, slots=True)
class SaveCase:
    """Open or update the payment's dunning case."""

    case: DunningCase


@dataclass(frozen=True, slots=True)
class MarkSubscription:
    """Set the status of the payment's subscription. `resume_anchor`: what its billing anchor does if it was paused."""

    status: SubscriptionStatus
    resume_anchor: ResumeAnchor = ResumeAnchor.KEPT


@dataclass(frozen=True, slots=True)
class AddAttempt:
    """Store a new attempt of the payment, due now. `provider`: the payment's own if None. `reference`: the provider's
    object that the attempt is about, if that is not the payment's charge. `cause`: who has caused a further try."""

    verb: Verb
    reason: str | None = None
    provider: str | None = None
    reference: str | None = None
    cause: TryCause | None = None


@dataclass(frozen=True, slots=True)
class TryBackup:
    """Charge the next backup method of the payment's customer for its invoice, if they have agreed to one that was not
    tried for this debt."""


@dataclass(frozen=True, slots=True)
class MakeDefault:
    """Make the method of another payment, which has paid this one's debt, the default of the customer if it is saved.
    `by`: that payment."""

    by: str


@dataclass(frozen=True, slots=True)
class NoteDecline:
    """Keep what a decline tells of its instrument: that its tries count, and that it is blocked if so; and count the
    codes of the decline that no table has."""

    decline: Decline
    instrument: Instrument | None = None


@dataclass(frozen=True, slots=True)
class GiveUpHold:
    """Look an attempt up whose hold its payment does without, so that it is released."""

    attempt_id: str


@dataclass(frozen=True, slots=True)
class CloseOtherAttempts:
    """End all other attempts of the payment, refunds aside."""


@dataclass(frozen=True, slots=True)
class RecountInvoice:
    """Look at the invoice, of which the payment pays so much more now, in minor units: end the dunning of what is not
    owed any more, and tell a person if more is paid than was asked."""

    more: int


@dataclass(frozen=True, slots=True)
class ReopenSiblingCase:
    """Dun the invoice's debt again by the payment that was dunned before: the money that ended its dunning was taken
    back. `reason`: why. `may_retry`: whether it may be tried again by itself, if its own last decline allows that."""

    reason: str
    may_retry: bool = True


@dataclass(frozen=True, slots=True)
class RecountLoss:
    """Look whether the payment keeps anything of what it has captured now: a bank has taken some of it back before."""


@dataclass(frozen=True, slots=True)
class OpenAttention:
    """Put the payment on the attention list, or add to its open entry with this reason. `amount`: all that is at stake;
    if it `adds`, what comes to that. `detail`: what is added: references, codes, amounts in minor units."""

    reason: Reason
    amount: int
    detail: Mapping[str, str | int] = field(default_factory=dict)
    adds: bool = False


@dataclass(frozen=True, slots=True)
class CloseAttention:
    """Take the payment off the attention list, as far as it stands there with these reasons."""

    reasons: frozenset[Reason]


@dataclass(frozen=True, slots=True)
class ReduceAttention:
    """Take one thing off what the payment's open entry with this reason is about, by the provider's id of it, and close
    the entry with the last."""

    reason: Reason
    reference: str


class ReviewOutcome(StrEnum):
    """How a review ended. `ended`: its payment did, such as by a cancel."""

    APPROVED = "approved"
    REJECTED = "rejected"
    EXPIRED = "expired"
    ENDED = "ended"


@dataclass(frozen=True, slots=True)
class OpenReview:
    """Let the payment wait for a person, until `due_at` at the latest."""

    due_at: datetime


@dataclass(frozen=True, slots=True)
class CloseReview:
    """End the payment's review. `reason`: what the operator has said, or one word of the policy."""

    outcome: ReviewOutcome
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Notify:
    """Write the mail to the payment's customer, unless the payment's case has got it already. `by`: the payment whose
    method the mail names, if it names one."""

    mail: Mail
    by: str | None = None


Effect = (
    SaveCase
    | MarkSubscription
    | AddAttempt
    | TryBackup
    | MakeDefault
    | NoteDecline
    | GiveUpHold
    | CloseOtherAttempts
    | RecountInvoice
    | ReopenSiblingCase
    | RecountLoss
    | OpenAttention
    | CloseAttention
    | ReduceAttention
    | OpenReview
    | CloseReview
    | Notify
)
