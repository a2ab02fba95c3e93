"""What follows from each command, and that the table of transitions promises nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from itertools import product
from typing import Any

import pytest

from domain.commands import (
    Blocked,
    CancelRequested,
    ChargeWithdrawn,
    DebtReopened,
    DisputeSeen,
    GraceEnded,
    IntentRepeated,
    InvoicePaidOtherwise,
    OperationRequested,
    ResultsScored,
    RetryDue,
    RetryRequested,
    ReviewDecided,
    ReviewRequired,
    Started,
    Trigger,
    TryRefused,
)
from domain.decision import LEASE
from domain.decline import DeclineClass
from domain.declines.caps import Refusal, blocked
from domain.dunning.case import CaseState, SubscriptionStatus, TryCause
from domain.effects import AddAttempt, MarkSubscription, RecountInvoice, SaveCase
from domain.errors import IllegalTransition
from domain.outcome import (
    AmountMismatch,
    Approved,
    CustomerApproved,
    InDoubt,
    NotSent,
    Outcome,
    Pending,
)
from domain.payment import (
    CLOSED_UNPAID,
    COLLECTED,
    IN_PROGRESS,
    LIVE,
    Attempt,
    AttemptStatus,
    DunningCase,
    Event,
    Payment,
    State,
    Verb,
)
from domain.state_machine import decide, target
from domain.transitions import TRANSITIONS

from .examples import (
    ACTION,
    AUTHORIZED,
    AWAY,
    GRACE,
    HELD,
    NOW,
    POLICY,
    RETRYING,
    VOIDED,
    WHOLE,
    decision_on,
    declined,
    new_attempt,
    new_payment,
    state_after,
)

# --- commands and dates ---


def test_a_claim_takes_a_lease() -> None:
    decided = decision_on(Started(), new_attempt(status=AttemptStatus.DUE, claims=0), state=State.ACCEPTED)
    assert (decided.event, decided.attempt["claims"]) == (Event.CHARGE_STARTED, 1)
    assert decided.attempt["due_at"] == NOW + LEASE
    assert decision_on(Started(), new_attempt(Verb.CAPTURE, AttemptStatus.DUE), **AUTHORIZED).event is None


def test_an_intent_that_could_not_be_created_is_claimed_once_more() -> None:
    failed = new_attempt(status=AttemptStatus.FAILED, claims=0, retries=2)
    front_end = {"state": State.FAILED, "is_client_confirmed": True}
    decided = decision_on(IntentRepeated(), failed, **front_end)
    assert (decided.event, target(State.FAILED, decided.event)) == (Event.CHARGE_STARTED, State.PROCESSING)
    assert (decided.attempt["status"], decided.attempt["retries"]) == (AttemptStatus.OPEN, 3)
    known = replace(failed, is_known_to_provider=True)
    for attempt, changes in ((known, front_end), (failed, {"state": State.FAILED}), (failed, front_end | CANCELED)):
        with pytest.raises(IllegalTransition):
            decide(new_payment(**changes), attempt, IntentRepeated(), NOW, POLICY)


CANCELED: dict[str, Any] = {"state": State.CANCELED}


@pytest.mark.parametrize(
    ("cause", "before", "after"),
    [
        (Blocked(), State.ACCEPTED, State.BLOCKED),
        (ReviewRequired(), State.ACCEPTED, State.REVIEW),
        (ReviewDecided(is_approved=True), State.REVIEW, State.ACCEPTED),
        (ReviewDecided(is_approved=False), State.REVIEW, State.CANCELED),
        (CancelRequested(), State.ACCEPTED, State.CANCELED),
        (CancelRequested(), State.REVIEW, State.CANCELED),
        (CancelRequested(), State.AMOUNT_MISMATCH, State.CANCELED),
        (ChargeWithdrawn(), State.ACCEPTED, State.ACCEPTED),
    ],
    ids=repr,
)
def test_each_command_leads_to_its_state(cause: Trigger, before: State, after: State) -> None:
    assert state_after(cause, new_attempt(status=AttemptStatus.DUE), state=before) is after


def test_a_retry_opens_a_new_charge_once() -> None:
    decided = decision_on(RetryDue(), None, state=State.PAST_DUE, case=RETRYING)
    assert AddAttempt(Verb.CHARGE, cause=TryCause.DUNNING) in decided.effects
    assert SaveCase(replace(RETRYING, due_at=None)) in decided.effects
    assert decide(new_payment(state=State.PROCESSING, case=RETRYING), None, RetryDue(), NOW, POLICY) is None


def test_the_end_of_grace_cancels_the_subscription_once() -> None:
    decided = decision_on(GraceEnded(), None, state=State.IN_GRACE, case=GRACE, subscription_id="sub_1")
    assert decided.event is Event.GRACE_EXPIRED
    assert MarkSubscription(SubscriptionStatus.CANCELED) in decided.effects
    assert decide(new_payment(state=State.UNCOLLECTIBLE, case=GRACE), None, GraceEnded(), NOW, POLICY) is None


@pytest.mark.parametrize(("state", "case"), [(State.PAST_DUE, RETRYING), (State.IN_GRACE, GRACE)])
def test_an_invoice_that_is_paid_otherwise_keeps_the_subscription(state: State, case: DunningCase) -> None:
    decided = decision_on(InvoicePaidOtherwise(), None, state=state, case=case, subscription_id="sub_1")
    assert target(state, decided.event) is State.CANCELED
    assert MarkSubscription(SubscriptionStatus.ACTIVE) in decided.effects


def test_a_retry_that_succeeds_ends_the_case() -> None:
    decided = decision_on(WHOLE, case=RETRYING, subscription_id="sub_1", is_off_session=True)
    assert MarkSubscription(SubscriptionStatus.ACTIVE) in decided.effects
    recovered = replace(RETRYING, state=CaseState.RECOVERED, due_at=None, closed_at=NOW, recovered_by=new_attempt().id)
    assert SaveCase(recovered) in decided.effects


def test_a_capture_ends_the_dunning_of_other_payments_of_the_invoice() -> None:
    assert RecountInvoice(1000) in decision_on(WHOLE, has_sibling=True).effects
    assert not [effect for effect in decision_on(WHOLE).effects if isinstance(effect, RecountInvoice)]


def test_a_command_that_needs_an_attempt_says_so() -> None:
    with pytest.raises(IllegalTransition):
        decide(new_payment(), None, WHOLE, NOW, POLICY)


# --- the table ---

PAYMENTS: list[dict[str, Any]] = [
    {"authorized": 1000},
    {"authorized": 1000, "captured": 1000, "refunded": 0},
    {"authorized": 1000, "captured": 1000, "refunded": 600},
    {"authorized": 1000, "captured": 1000, "refunded": 1000},
    {"authorized": 1000, "captured": 400, "taken": frozenset({"pi_1"})},
    {"is_off_session": True, "subscription_id": "sub_1"},
    {"is_off_session": True, "subscription_id": "sub_1", "case": RETRYING},
    {"is_off_session": True, "subscription_id": "sub_1", "case": GRACE},
    {"authorized": 1000, "authorization_expires_at": NOW},
    {"authorized": 1000, "captured": 1000, "refunded": 400},
    {"authorized": 1000, "captured": 1000, "lost": 1000},
    {"authorized": 1000, "captured": 1000, "lost": 1000, "taken": frozenset({"pi_1"}), "is_reopened": True},
    {"authorized": 1000, "captured": 1000, "duplicate_taken": 400, "taken": frozenset({"pi_1"})},
    {"is_client_confirmed": True},
    {"next_provider": "other"},
    {"is_off_session": True, "case": replace(RETRYING, state=CaseState.RECOVERED, due_at=None)},
]
# Where a payment may stand of which a person has reopened a charge.
REOPENED = {State.IN_GRACE, State.REVERSED, State.UNCOLLECTIBLE, State.CANCELED, *COLLECTED}
OUTCOMES: list[Outcome] = [
    WHOLE,
    HELD,
    VOIDED,
    Approved("re_1", refunded=400),
    *(declined(kind) for kind in DeclineClass),
    AWAY,
    ACTION,
    CustomerApproved("pi_1"),
    AmountMismatch("pi_1", 999, "underpaid"),
    Pending("pi_1"),
    InDoubt("x"),
    NotSent("x"),
    NotSent("x", is_retryable=False),
]
COMMANDS: list[Trigger] = [
    ChargeWithdrawn(),
    *(ResultsScored(is_blocked=True), ResultsScored(needs_review=True), ResultsScored()),
    *(Started(), Blocked(), ReviewRequired(), ReviewDecided(True), ReviewDecided(False), OperationRequested()),
    *(CancelRequested(), RetryDue(), RetryRequested(TryCause.OPERATOR), GraceEnded(), InvoicePaidOtherwise()),
    *(DebtReopened("insufficient_funds", kind) for kind in (DeclineClass.SOFT, DeclineClass.HARD)),
    TryRefused(Refusal("visa_30_days", "the rules", NOW + timedelta(days=1))),
    *(TryRefused(blocked(decline_class)) for decline_class in (DeclineClass.HARD, DeclineClass.CONSENT_WITHDRAWN)),
    DisputeSeen("dp_1", withdrawn_more=1000, lost_more=0, is_return=False, reason="fraudulent"),
    DisputeSeen("dp_1", withdrawn_more=400, lost_more=400, is_return=False, reason="fraudulent"),
    DisputeSeen("dp_1", withdrawn_more=-1000, lost_more=0, is_return=False, reason="fraudulent"),
    DisputeSeen("dp_1", withdrawn_more=-1000, lost_more=-1000, is_return=False, reason="fraudulent"),
    *(
        DisputeSeen("dp_1", withdrawn_more=1000, lost_more=1000, is_return=True, reason=reason)
        for reason in ("insufficient_funds", "incorrect_account_details", "stop_payment_order")
    ),
]


def situations() -> Iterator[tuple[Payment, Any]]:
    """Yield payments in every state with attempts of every kind."""
    for state, columns in product(State, PAYMENTS):
        payment = new_payment(state=state, **columns)
        for verb, status, reason in product(Verb, AttemptStatus, (None, "expired", "not_sent")):
            amount = 400 if verb is Verb.REFUND else 1000
            for is_of_duplicate in {False, verb is Verb.REFUND}:
                yield payment, new_attempt(verb, status, amount=amount, reason=reason, is_of_duplicate=is_of_duplicate)


def taken(payment: Payment, attempt: Attempt, cause: Trigger) -> tuple[State, Event] | None:
    """Return the arrow that `step` takes, None where it takes none or must not."""
    if isinstance(cause, OperationRequested) and attempt.verb.is_collecting:
        return None
    try:
        decided = decide(payment, attempt, cause, NOW, POLICY)
    except IllegalTransition:
        return None
    return None if decided is None or decided.event is None else (payment.state, decided.event)


def test_every_arrow_of_the_table_can_be_taken() -> None:
    missing = set(TRANSITIONS)
    for payment, attempt in situations():
        # Every situation with every cause takes seconds; the situations of a state end with its last arrow.
        if any(state is payment.state for state, _ in missing):
            missing -= {taken(payment, attempt, cause) for cause in (*OUTCOMES, *COMMANDS)}
    assert missing == set()


def is_possible(payment: Payment, attempt: Attempt) -> bool:
    """Tell whether the product lets such an attempt be: refunds of captured money, captures of authorizations.

    Only a payment that was captured is reopened."""
    if payment.is_reopened and payment.state not in REOPENED:
        return False
    if attempt.verb is Verb.REFUND:
        is_given = attempt.status is AttemptStatus.SUCCEEDED
        given = {State.PARTIALLY_REFUNDED, State.REFUNDED}
        refundable = {State.CAPTURED, State.PARTIALLY_REFUNDED}
        has_amount = (
            payment.refunded >= attempt.amount if is_given else payment.captured - payment.refunded >= attempt.amount
        )
        return payment.state in (given if is_given else refundable) and has_amount
    return payment.state in {
        Verb.CAPTURE: {State.AUTHORIZED, State.VOIDED, State.EXPIRED, *COLLECTED},
        Verb.VOID: {State.AUTHORIZED, State.REQUIRES_ACTION, *COLLECTED, *CLOSED_UNPAID},
    }.get(attempt.verb, set(State) - {State.BLOCKED, State.REVIEW, State.AMOUNT_MISMATCH})


def test_no_outcome_of_a_provider_raises() -> None:
    """A response, a look-up or a webhook may come at any time; an impossible outcome is None or doubt."""
    errors = set()
    possible = [(payment, attempt) for payment, attempt in situations() if is_possible(payment, attempt)]
    for (payment, attempt), outcome in product(possible, OUTCOMES):
        try:
            decide(payment, attempt, outcome, NOW, POLICY)
        except IllegalTransition as error:
            errors.add((attempt.verb, attempt.status, str(error)))
    assert not errors


def test_every_state_can_be_reached_and_left_or_is_an_end() -> None:
    reached = {State.ACCEPTED, *TRANSITIONS.values()}
    left = {state for (state, _), to in TRANSITIONS.items() if state is not to}
    assert reached == set(State)
    assert set(State) - left == {State.BLOCKED}
    assert IN_PROGRESS <= LIVE <= left
