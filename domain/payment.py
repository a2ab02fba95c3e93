"""What a payment and its attempts are: states, events, and what decisions read of them.

Which state an event leads to stands in `domain.transitions`; `domain.state_machine.decide` decides."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, tzinfo
from enum import StrEnum

from domain.declines.classes import DeclineClass, DeclineReason
from domain.dunning.case import CaseState, TryCause
from domain.dunning.policy import DEFAULT_POLICY, DunningPolicy
from domain.dunning.segments import SegmentFacts
from domain.idempotency_key import KeyState


class State(StrEnum):
    """Where a payment stands."""

    ACCEPTED = "accepted"
    PROCESSING = "processing"
    REQUIRES_ACTION = "requires_action"
    PENDING = "pending"
    IN_DOUBT = "in_doubt"
    REVIEW = "review"
    AMOUNT_MISMATCH = "amount_mismatch"
    AUTHORIZED = "authorized"
    CAPTURED = "captured"
    PARTIALLY_REFUNDED = "partially_refunded"
    REFUNDED = "refunded"
    REVERSED = "reversed"
    VOIDED = "voided"
    CANCELED = "canceled"
    EXPIRED = "expired"
    DECLINED = "declined"
    BLOCKED = "blocked"
    FAILED = "failed"
    PAST_DUE = "past_due"
    IN_GRACE = "in_grace"
    UNCOLLECTIBLE = "uncollectible"


# A live payment is collecting its invoice: the database lets an invoice have one of them at most.
LIVE = frozenset(
    {
        State.ACCEPTED,
        State.PROCESSING,
        State.REQUIRES_ACTION,
        State.PENDING,
        State.IN_DOUBT,
        State.REVIEW,
        State.AMOUNT_MISMATCH,
        State.AUTHORIZED,
    }
)
# The payment moves on by itself within moments; in every other state it waits for a person, a provider or a date.
IN_PROGRESS = frozenset({State.ACCEPTED, State.PROCESSING, State.IN_DOUBT})
# The customer's money was captured.
COLLECTED = frozenset({State.CAPTURED, State.PARTIALLY_REFUNDED, State.REFUNDED})
# The payment holds money, on which a person decides if it does not match.
HOLDING = frozenset({State.AUTHORIZED, State.AMOUNT_MISMATCH})
# Dunning owns the payment. Not live, so that the customer can pay the invoice in another way meanwhile.
IN_DUNNING = frozenset({State.PAST_DUE, State.IN_GRACE})
# Nothing is collected, or no longer, and nothing more is planned. A charge that surfaces later is still booked.
CLOSED_UNPAID = frozenset(
    {
        State.DECLINED,
        State.FAILED,
        State.CANCELED,
        State.EXPIRED,
        State.VOIDED,
        State.UNCOLLECTIBLE,
        State.REVERSED,
    }
)
# Nothing planned changes the payment any more.
FINAL = COLLECTED | CLOSED_UNPAID | {State.BLOCKED}


class Event(StrEnum):
    """What happened, in the past tense."""

    PAYMENT_ACCEPTED = "payment_accepted"
    CHARGE_STARTED = "charge_started"
    CHARGE_RESUMED = "charge_resumed"
    CHARGE_REROUTED = "charge_rerouted"
    CHARGE_APPROVED = "charge_approved"
    CHARGE_AUTHORIZED = "charge_authorized"
    CHARGE_DECLINED = "charge_declined"
    CHARGE_PENDING = "charge_pending"
    CHARGE_IN_DOUBT = "charge_in_doubt"
    CHARGE_NOT_SENT = "charge_not_sent"
    CHARGE_FAILED = "charge_failed"
    CHARGE_WITHDRAWN = "charge_withdrawn"
    CHARGE_DUPLICATED = "charge_duplicated"
    CHARGE_CONTRADICTED = "charge_contradicted"
    DUPLICATE_REFUND_REQUESTED = "duplicate_refund_requested"
    DUPLICATE_REFUNDED = "duplicate_refunded"
    DUPLICATE_REFUND_REVERSED = "duplicate_refund_reversed"
    ACTION_REQUIRED = "action_required"
    # The stored names of this event and of INVOICE_PAID_OTHERWISE are older than their constants.
    AMOUNT_MISMATCHED = "payment_unresolved"
    FRAUD_BLOCKED = "fraud_blocked"
    REVIEW_REQUIRED = "review_required"
    # What came with an authorization asks for a person.
    HOLD_REVIEW_REQUIRED = "hold_review_required"
    REVIEW_APPROVED = "review_approved"
    REVIEW_REJECTED = "review_rejected"
    PAYMENT_CANCELED = "payment_canceled"
    PAYMENT_EXPIRED = "payment_expired"
    AUTHORIZATION_EXPIRED = "authorization_expired"
    CAPTURE_REQUESTED = "capture_requested"
    CAPTURE_SUCCEEDED = "capture_succeeded"
    CAPTURE_FAILED = "capture_failed"
    CAPTURE_IN_DOUBT = "capture_in_doubt"
    VOID_REQUESTED = "void_requested"
    VOID_SUCCEEDED = "void_succeeded"
    VOID_FAILED = "void_failed"
    VOID_IN_DOUBT = "void_in_doubt"
    REFUND_REQUESTED = "refund_requested"
    REFUND_PENDING = "refund_pending"
    REFUND_IN_DOUBT = "refund_in_doubt"
    REFUND_FAILED = "refund_failed"
    REFUNDED_PARTLY = "refunded_partly"
    REFUNDED_FULLY = "refunded_fully"
    REFUND_REVERSED_PARTLY = "refund_reversed_partly"
    REFUND_REVERSED_FULLY = "refund_reversed_fully"
    DISPUTE_WITHDRAWN = "dispute_withdrawn"
    DISPUTE_RETURNED = "dispute_returned"
    PAYMENT_REVERSED = "payment_reversed"
    PAYMENT_REVERSED_PARTLY = "payment_reversed_partly"
    PAYMENT_RESTORED = "payment_restored"
    RETRY_SCHEDULED = "retry_scheduled"
    RETRY_STARTED = "retry_started"
    GRACE_STARTED = "grace_started"
    # A try that is none of dunning's plan has failed in grace, whose end stays.
    GRACE_CONTINUED = "grace_continued"
    GRACE_EXPIRED = "grace_expired"
    CONSENT_WITHDRAWN = "consent_withdrawn"
    INVOICE_PAID_OTHERWISE = "debt_settled_otherwise"


# Where a payment ends whose dunning has ended without its own money.
GIVEN_UP = (State.CANCELED, State.UNCOLLECTIBLE)


class Verb(StrEnum):
    """What an attempt asks of the provider."""

    CHARGE = "charge"
    AUTHORIZE = "authorize"
    CAPTURE = "capture"
    VOID = "void"
    REFUND = "refund"

    @property
    def is_collecting(self) -> bool:
        """Whether the verb takes or holds the customer's money."""
        return self in (Verb.CHARGE, Verb.AUTHORIZE)


# The reason of a void that releases what surfaces after its payment has ended, or beside another attempt.
LATE_AUTHORIZATION = "late_authorization"


class AttemptStatus(StrEnum):
    """Where one try stands. The first five are unfinished."""

    DUE = "due"
    OPEN = "open"
    IN_DOUBT = "in_doubt"
    PENDING = "pending"
    ACTION_REQUIRED = "action_required"
    SUCCEEDED = "succeeded"
    DECLINED = "declined"
    FAILED = "failed"
    CANCELED = "canceled"


# The provider may be moving money for the attempt right now. One such attempt at most a payment, refunds aside.
IN_FLIGHT = frozenset({AttemptStatus.DUE, AttemptStatus.OPEN, AttemptStatus.IN_DOUBT})
UNFINISHED = IN_FLIGHT | {AttemptStatus.PENDING, AttemptStatus.ACTION_REQUIRED}
# The attempt has ended without success, as far as is known.
CLOSED = frozenset({AttemptStatus.DECLINED, AttemptStatus.FAILED, AttemptStatus.CANCELED})
FINISHED = CLOSED | {AttemptStatus.SUCCEEDED}


@dataclass(frozen=True, slots=True)
class DunningCase:
    """One run of the retry policy. `retry`: the number of the retry that is planned, or that was made last. `unsent`:
    how often in a row no issuer could be asked. `policy`: as it was when the run began; None if an earlier release has
    begun it. `paused_until`: an operator lets it wait until then; `planned_at`: what was due when. `segment`: which one
    has chosen the policy; `is_held_out`: the case is only watched, to compare with the others. `last_class`:
    of its newest failure that counts for the plan; `last_reason`: of that failure, where this is the decision about it.
    `closed_at`: when it closed, while it is; `recovered_by`: the attempt whose money has paid the debt."""

    state: CaseState
    first_failed_at: datetime
    retry: int
    due_at: datetime | None = None
    grace_ends_at: datetime | None = None
    unsent: int = 0
    policy_name: str = DEFAULT_POLICY
    policy: DunningPolicy | None = None
    paused_until: datetime | None = None
    planned_at: datetime | None = None
    segment: str | None = None
    is_held_out: bool = False
    last_class: DeclineClass | None = None
    last_reason: DeclineReason | None = None
    closed_at: datetime | None = None
    recovered_by: str | None = None


def may_have_case(subscription_id: str | None, *, is_off_session: bool, is_debit: bool) -> bool:
    """Tell whether such a payment may have a dunning case: see `Payment.may_have_case`."""
    return subscription_id is not None or is_off_session or is_debit


@dataclass(frozen=True, slots=True)
class Holder:
    """Whose money a payment is authorized with, or waits with for a person: the attempt, and the provider's object."""

    attempt_id: str
    provider: str
    reference: str


@dataclass(frozen=True, slots=True)
class Payment:
    """What decisions read of a payment. Amounts are in minor units.

    `received`: what the provider holds where that does not match the amount. `lost`: what a bank took back for good.
    `duplicated`: what was taken a second time and not given back. `duplicate_taken`: what the attempt's object has
    taken of that, given back or not. `has_open_entry`: it stands on the attention list. `taken`: the attempts and the
    provider's objects whose captured money is booked; known where the payment is
    collected. `other_holder`: whose money it holds, if that is not the attempt's that is decided on.
    `is_reopened`: a person has decided that the money of the attempt is lost.
    `has_other_unfinished_attempt`: another attempt of the payment, such as a void, is under way; refunds aside.
    `next_provider`: the provider that comes next on the payment's route, if its instrument can be charged there.
    `is_debit`: a bank debit, which fails or comes back days later. `dunning_policy`: the name that its subscription
    gives. `segment_facts`: by what else its policy is chosen; `zone`: the customer's; None where they are not known.
    `is_retried_by_provider`: the provider's own engine tries it again. `has_sibling`: its invoice has another payment;
    `has_dunned_sibling`, `has_recovered_sibling`: one with an open dunning case, or with
    one that has recovered by the money of another payment."""

    id: str
    state: State
    amount: int
    authorized: int
    captured: int
    refunded: int
    is_off_session: bool
    is_client_confirmed: bool
    subscription_id: str | None
    created_at: datetime
    authorization_expires_at: datetime | None = None
    received: int = 0
    lost: int = 0
    duplicated: int = 0
    duplicate_taken: int = 0
    case: DunningCase | None = None
    taken: frozenset[str] = frozenset()
    has_sibling: bool = False
    other_holder: Holder | None = None
    has_other_unfinished_attempt: bool = False
    next_provider: str | None = None
    has_open_entry: bool = False
    is_reopened: bool = False
    is_captured_later: bool = False
    is_debit: bool = False
    dunning_policy: str | None = None
    segment_facts: SegmentFacts | None = None
    zone: tzinfo | None = None
    is_retried_by_provider: bool = False
    has_dunned_sibling: bool = False
    has_recovered_sibling: bool = False

    @property
    def may_have_case(self) -> bool:
        """Whether it is dunned if its debt is left: one that collects without its customer, one of a subscription, and
        a bank debit, which fails or comes back when its customer is gone."""
        return may_have_case(self.subscription_id, is_off_session=self.is_off_session, is_debit=self.is_debit)

    @property
    def holds_authorization(self) -> bool:
        """Whether money is held that was not captured, of the amount that was asked or of another one."""
        is_mismatch = self.state is State.AMOUNT_MISMATCH and self.authorized > 0 and self.received == 0
        return self.state is State.AUTHORIZED or is_mismatch


@dataclass(frozen=True, slots=True)
class Attempt:
    """What decisions read of an attempt.

    `lookups`: how often its outcome was looked up. `retries`: how often its call was proven not executed. `claims`:
    how often a worker began it and recorded no outcome. `is_known_to_provider`: the provider has an object for it.
    `is_of_duplicate`: a refund of money that was taken a second time. `times_given`: how often a refund is booked
    as given; it may have come back in between. `code`: why it ended without success. `key_number`: how many
    idempotency keys it has used up. `waiting_since`: when it last began to wait for its bank, its customer, or a
    provider that is down. `action_expires_at`: until when the customer can do what they are asked, if the provider
    shows it. `in_doubt_since`: since when its outcome is unknown, calls that were resumed meanwhile included.
    `cause`: who has caused a further try of a debt."""

    id: str
    verb: Verb
    status: AttemptStatus
    amount: int
    lookups: int
    retries: int
    claims: int
    created_at: datetime
    reason: str | None = None
    is_known_to_provider: bool = False
    is_of_duplicate: bool = False
    times_given: int = 0
    code: str | None = None
    key_number: int = 0
    key_state: KeyState = KeyState.USABLE
    waiting_since: datetime | None = None
    action_expires_at: datetime | None = None
    in_doubt_since: datetime | None = None
    cause: TryCause | None = None
