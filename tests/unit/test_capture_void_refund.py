"""What follows from each outcome of a capture, a void and a refund, one example each."""

from __future__ import annotations

from dataclasses import replace

import pytest

from domain.attention import Reason
from domain.comparison import is_refund_news
from domain.disputes import SHOWN_BY_DISPUTE
from domain.dunning.case import SubscriptionStatus
from domain.effects import MarkSubscription
from domain.movement import Movement, MovementKind
from domain.outcome import (
    AmountMismatch,
    Approved,
    InDoubt,
    NotSent,
    Outcome,
    Pending,
)
from domain.payment import (
    AttemptStatus,
    Event,
    State,
    Verb,
)
from domain.state_machine import decide

from .examples import (
    AUTHORIZED,
    HELD,
    NOW,
    POLICY,
    VOIDED,
    WHOLE,
    amounts,
    decision_on,
    declined,
    new_attempt,
    new_payment,
    opened,
    state_after,
)

CAPTURED = {"state": State.CAPTURED, "authorized": 1000, "captured": 1000}


@pytest.mark.parametrize(
    ("outcome", "state", "status"),
    [
        (Approved("pi_1", authorized=1000, captured=400), State.CAPTURED, AttemptStatus.SUCCEEDED),
        (VOIDED, State.VOIDED, AttemptStatus.FAILED),
        (HELD, State.AUTHORIZED, AttemptStatus.DUE),
        (InDoubt("x"), State.AUTHORIZED, AttemptStatus.IN_DOUBT),
        (NotSent("x"), State.AUTHORIZED, AttemptStatus.DUE),
        (NotSent("x", is_retryable=False), State.AUTHORIZED, AttemptStatus.FAILED),
        (declined(), State.AUTHORIZED, AttemptStatus.FAILED),
    ],
    ids=repr,
)
def test_each_outcome_of_a_capture_leads_to_its_state(outcome: Outcome, state: State, status: AttemptStatus) -> None:
    attempt = new_attempt(Verb.CAPTURE, amount=400)
    assert state_after(outcome, attempt, **AUTHORIZED) is state
    assert decision_on(outcome, attempt, **AUTHORIZED).attempt["status"] is status


@pytest.mark.parametrize(
    ("outcome", "state", "status"),
    [
        (VOIDED, State.VOIDED, AttemptStatus.SUCCEEDED),
        (WHOLE, State.CAPTURED, AttemptStatus.FAILED),
        (HELD, State.AUTHORIZED, AttemptStatus.DUE),
        (InDoubt("x"), State.AUTHORIZED, AttemptStatus.IN_DOUBT),
        (NotSent("x"), State.AUTHORIZED, AttemptStatus.DUE),
        (NotSent("x", is_retryable=False), State.AUTHORIZED, AttemptStatus.FAILED),
    ],
    ids=repr,
)
def test_each_outcome_of_a_void_leads_to_its_state(outcome: Outcome, state: State, status: AttemptStatus) -> None:
    attempt = new_attempt(Verb.VOID)
    assert state_after(outcome, attempt, **AUTHORIZED) is state
    assert decision_on(outcome, attempt, **AUTHORIZED).attempt["status"] is status


@pytest.mark.parametrize(
    "outcome", [NotSent("x"), NotSent("x", is_retryable=False), declined(), Pending("pi_1")], ids=repr
)
def test_a_void_that_comes_after_the_capture_is_never_sent_again(outcome: Outcome) -> None:
    decided = decision_on(outcome, new_attempt(Verb.VOID), **CAPTURED)
    assert (decided.event, decided.movements) == (None, ())
    assert (decided.attempt["status"], decided.attempt["due_at"]) == (AttemptStatus.FAILED, None)


@pytest.mark.parametrize(
    ("outcome", "state", "refunded"),
    [
        (Approved("re_1", refunded=400), State.PARTIALLY_REFUNDED, 400),
        (Pending("re_1"), State.CAPTURED, None),
        (InDoubt("x"), State.CAPTURED, None),
        (NotSent("x"), State.CAPTURED, None),
        (NotSent("x", is_retryable=False), State.CAPTURED, None),
        (declined(), State.CAPTURED, None),
        (Approved("re_1", refunded=399), State.CAPTURED, None),
    ],
    ids=repr,
)
def test_each_outcome_of_a_refund_leads_to_its_state(outcome: Outcome, state: State, refunded: int | None) -> None:
    attempt = new_attempt(Verb.REFUND, amount=400)
    assert state_after(outcome, attempt, **CAPTURED) is state
    assert amounts(outcome, attempt, **CAPTURED).get("refunded") == refunded


def test_the_last_refund_completes_it_and_a_failed_refund_is_reversed() -> None:
    attempt = new_attempt(Verb.REFUND, amount=400)
    partly = CAPTURED | {"state": State.PARTIALLY_REFUNDED, "refunded": 600}
    assert state_after(Approved("re_1", refunded=400), attempt, **partly) is State.REFUNDED

    given = replace(attempt, status=AttemptStatus.SUCCEEDED)
    all_given = CAPTURED | {"state": State.REFUNDED, "refunded": 1000}
    assert state_after(declined(), given, **all_given) is State.PARTIALLY_REFUNDED
    assert amounts(declined(), given, **all_given)["refunded"] == 600
    whole = replace(given, amount=1000)
    assert state_after(declined(), whole, **all_given) is State.CAPTURED


@pytest.mark.parametrize("outcome", [Approved("re_1", refunded=400), Pending("re_1", 400)])
def test_a_refund_that_a_dispute_shows_is_not_booked_again(outcome: Outcome) -> None:
    ended = new_attempt(Verb.REFUND, AttemptStatus.FAILED, amount=400, code=SHOWN_BY_DISPUTE.code)
    assert decide(new_payment(**CAPTURED), ended, outcome, NOW, POLICY) is None
    assert not is_refund_news(ended.status, outcome, ended.code)
    assert is_refund_news(ended.status, outcome, "expired_or_canceled_card")


def test_a_refund_that_is_given_again_and_again_has_a_movement_for_each_time() -> None:
    partly = CAPTURED | {"state": State.PARTIALLY_REFUNDED, "refunded": 400}
    for time, name in ((1, "re_1"), (2, "re_1/2"), (3, "re_1/3")):
        failed = new_attempt(Verb.REFUND, AttemptStatus.FAILED, amount=400, times_given=time - 1)
        given = new_attempt(Verb.REFUND, AttemptStatus.SUCCEEDED, amount=400, times_given=time)
        booked = decision_on(Approved("re_1", refunded=400), failed, **CAPTURED)
        taken_back = decision_on(declined(reference="re_1"), given, **partly)
        assert [row.provider_id for row in (*booked.movements, *taken_back.movements)] == [name, name]


def test_a_refund_of_all_that_a_bank_has_left_reverses_its_payment() -> None:
    """In the other order, the dispute takes what the refund has left, and the payment is reversed as well."""
    attempt = new_attempt(Verb.REFUND, amount=400)
    taken = {"authorized": 1000, "captured": 1000, "lost": 600, "subscription_id": "sub"}
    decided = decision_on(Approved("re_1", refunded=400), attempt, state=State.CAPTURED, **taken)
    assert (decided.event, decided.effects) == (
        Event.PAYMENT_REVERSED,
        (MarkSubscription(SubscriptionStatus.PAST_DUE),),
    )
    assert decided.movements == (Movement(MovementKind.REFUND, -400, "re_1"),)


def test_a_void_that_meets_money_that_was_not_asked_for_ends_and_leaves_it_to_a_person() -> None:
    decided = decision_on(replace(WHOLE, captured=400), new_attempt(Verb.VOID), state=State.ACCEPTED)
    assert (decided.event, decided.attempt["status"]) == (Event.AMOUNT_MISMATCHED, AttemptStatus.FAILED)
    assert [(moved.kind, moved.amount) for moved in decided.movements] == [(MovementKind.RECEIPT, 400)]


def test_an_accepted_mismatch_that_the_provider_still_shows_is_accepted_once_more() -> None:
    held = {"state": State.AMOUNT_MISMATCH, "received": 600}
    attempt = new_attempt(Verb.CAPTURE, AttemptStatus.IN_DOUBT, amount=600)
    decided = decision_on(AmountMismatch("pi_1", 600, "underpaid"), attempt, **held)
    assert (decided.attempt["status"], decided.attempt["retries"]) == (AttemptStatus.DUE, 1)


@pytest.mark.parametrize("state", [State.REQUIRES_ACTION, State.ACCEPTED, State.AMOUNT_MISMATCH])
def test_a_void_that_meets_money_that_does_not_match_leaves_it_to_a_person(state: State) -> None:
    received = 600 if state is State.AMOUNT_MISMATCH else 0
    void = new_attempt(Verb.VOID, AttemptStatus.IN_DOUBT)
    decided = decision_on(AmountMismatch("pi_1", 600, "underpaid"), void, state=state, received=received)
    assert decided.attempt["status"] is AttemptStatus.FAILED
    assert state_after(AmountMismatch("pi_1", 600, "underpaid"), void, state=state, received=received) is (
        State.AMOUNT_MISMATCH
    )


def test_a_cancel_that_meets_money_on_which_a_person_has_to_decide_accepts_nothing() -> None:
    void, taken = new_attempt(Verb.VOID), Approved("pi_1", authorized=600, captured=600)
    decided = decision_on(taken, void, state=State.AMOUNT_MISMATCH, received=600)
    assert (decided.event, decided.attempt["status"], decided.movements) == (None, AttemptStatus.FAILED, ())


@pytest.mark.parametrize(("shown", "status"), [(900, AttemptStatus.FAILED), (500, AttemptStatus.SUCCEEDED)])
def test_a_capture_whose_payment_was_captured_in_part_meanwhile_books_what_was_captured_since(
    shown: int, status: AttemptStatus
) -> None:
    part = {"state": State.CAPTURED, "authorized": 1000, "captured": 400, "taken": frozenset({"pi_1"})}
    capture = new_attempt(Verb.CAPTURE, AttemptStatus.IN_DOUBT, id="at_2", amount=500)
    outcome = Approved("pi_1", authorized=1000, captured=shown)
    decided = decision_on(outcome, capture, **part)
    assert (decided.event, decided.attempt["status"]) == (Event.CAPTURE_SUCCEEDED, status)
    assert amounts(outcome, capture, **part) == {"captured": shown}
    of_another = part | {"taken": frozenset({"pi_2"})}
    assert decision_on(outcome, capture, **of_another).movements == ()


def test_a_void_that_meets_more_money_than_was_asked_for_books_it_and_leaves_it_to_a_person() -> None:
    more = Approved("pi_1", authorized=1000, captured=1100)
    decided = decision_on(more, new_attempt(Verb.VOID), **AUTHORIZED)
    assert (decided.event, decided.attempt["status"]) == (Event.CAPTURE_SUCCEEDED, AttemptStatus.FAILED)
    assert opened(decided) == [(Reason.AMOUNT_MISMATCH, 1100)]


def test_a_void_that_meets_money_that_came_once_more_books_it_and_leaves_it_to_a_person() -> None:
    twice = AmountMismatch("pi_1", 2000, "overpaid")
    decided = decision_on(twice, new_attempt(Verb.VOID, AttemptStatus.IN_DOUBT), **CAPTURED)
    assert (decided.event, decided.attempt["status"]) == (Event.CHARGE_DUPLICATED, AttemptStatus.FAILED)
    assert decided.movements == (Movement(MovementKind.RECEIPT, 2000, "pi_1/2000"),)
    assert opened(decided) == [(Reason.DUPLICATE, 1000)]


@pytest.mark.parametrize(
    ("verb", "status"), [(Verb.CAPTURE, AttemptStatus.FAILED), (Verb.VOID, AttemptStatus.SUCCEEDED)]
)
def test_a_charge_that_an_operation_finds_released_after_it_was_booked_is_left_to_a_person(
    verb: Verb, status: AttemptStatus
) -> None:
    booked = {"state": State.CAPTURED, "authorized": 1000, "captured": 1000, "taken": frozenset({"at_0", "pi_1"})}
    decided = decision_on(VOIDED, new_attempt(verb, AttemptStatus.IN_DOUBT), **booked)
    assert (decided.event, decided.attempt["status"]) == (Event.CHARGE_CONTRADICTED, status)
    assert opened(decided) == [(Reason.CHARGE_CONTRADICTING, 1000)]


def test_the_release_of_another_object_contradicts_no_charge() -> None:
    booked = {"state": State.CAPTURED, "authorized": 1000, "captured": 1000, "taken": frozenset({"at_0", "pi_0"})}
    decided = decision_on(VOIDED, new_attempt(Verb.VOID, AttemptStatus.IN_DOUBT), **booked)
    assert (decided.event, opened(decided)) == (None, [])


def test_a_refund_that_comes_back_after_a_dispute_was_won_late_is_booked() -> None:
    refund = new_attempt(Verb.REFUND, AttemptStatus.SUCCEEDED, amount=300)
    decided = decision_on(declined(), refund, state=State.CAPTURED, authorized=1000, captured=1000, refunded=300)
    assert decided.movements == (Movement(MovementKind.REFUND_FAILURE, 300, "pi_1"),)
