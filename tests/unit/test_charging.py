"""What follows from each outcome of a charge or an authorization, one example each."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from itertools import product
from typing import Any

import pytest

from domain.attention import Reason
from domain.backoff import NOT_SENT_TRIES
from domain.commands import (
    Started,
)
from domain.decline import DeclineClass
from domain.effects import AddAttempt, CloseAttention, CloseOtherAttempts
from domain.errors import IllegalTransition
from domain.movement import Movement, MovementKind
from domain.outcome import (
    WORKER_LOST,
    ActionRequired,
    AmountMismatch,
    Approved,
    CustomerApproved,
    InDoubt,
    NotSent,
    Outcome,
    Pending,
)
from domain.payment import CLOSED_UNPAID, COLLECTED, IN_DUNNING, AttemptStatus, Event, State, Verb
from domain.state_machine import decide, target
from domain.transitions import TRANSITIONS

from .examples import (
    ACTION,
    AUTHORIZED,
    AWAY,
    HELD,
    NOW,
    POLICY,
    VOIDED,
    WHOLE,
    amounts,
    decision_on,
    declined,
    follow,
    new_attempt,
    new_payment,
    opened,
    state_after,
)


@pytest.mark.parametrize(
    ("outcome", "state", "status"),
    [
        (WHOLE, State.CAPTURED, AttemptStatus.SUCCEEDED),
        (HELD, State.AUTHORIZED, AttemptStatus.SUCCEEDED),
        (declined(), State.DECLINED, AttemptStatus.DECLINED),
        (declined(DeclineClass.HARD), State.DECLINED, AttemptStatus.DECLINED),
        (AWAY, State.DECLINED, AttemptStatus.DECLINED),
        (ACTION, State.REQUIRES_ACTION, AttemptStatus.ACTION_REQUIRED),
        (Pending("pi_1"), State.PENDING, AttemptStatus.PENDING),
        (InDoubt("no_answer"), State.IN_DOUBT, AttemptStatus.IN_DOUBT),
        (NotSent("unreachable"), State.ACCEPTED, AttemptStatus.DUE),
        (NotSent("resource_missing", is_retryable=False), State.FAILED, AttemptStatus.FAILED),
    ],
    ids=repr,
)
def test_each_outcome_of_a_charge_leads_to_its_state(outcome: Outcome, state: State, status: AttemptStatus) -> None:
    for before in (State.PROCESSING, State.IN_DOUBT):
        status_before = AttemptStatus.OPEN if before is State.PROCESSING else AttemptStatus.IN_DOUBT
        attempt = new_attempt(status=status_before)
        assert state_after(outcome, attempt, state=before) is state
        assert decision_on(outcome, attempt, state=before).attempt["status"] is status


def test_a_capture_sets_every_amount_and_ends_all_attempts() -> None:
    decided = decision_on(WHOLE)
    assert amounts(WHOLE) == {"authorized": 1000, "captured": 1000}
    assert decided.attempt["due_at"] is None
    assert CloseOtherAttempts() in decided.effects


def test_a_decline_keeps_its_codes() -> None:
    decided = decision_on(declined(DeclineClass.HARD))
    assert decided.payment["failure_code"] == "insufficient_funds"
    assert (decided.attempt["code"], decided.attempt["decline_class"]) == ("card_declined", "hard")


@pytest.mark.parametrize("amount", [1, 999, 1001, 10**9])
def test_an_amount_that_does_not_match_the_request_is_held_as_what_it_is(amount: int) -> None:
    taken, held = Approved("pi_1", authorized=amount, captured=amount), Approved("pi_1", authorized=amount)
    assert (state_after(taken), amounts(taken)) == (State.AMOUNT_MISMATCH, {"received": amount})
    assert (state_after(held), amounts(held)) == (State.AMOUNT_MISMATCH, {"authorized": amount})


@pytest.mark.parametrize("amount", [999, 1001])
def test_another_amount_that_a_payment_in_dunning_took_is_booked_and_shown_to_a_person(amount: int) -> None:
    taken = Approved("pi_1", authorized=amount, captured=amount)
    for outcome in (taken, AmountMismatch("pi_1", amount, "overpaid")):
        for state in IN_DUNNING:
            late = new_attempt(status=AttemptStatus.DECLINED)
            assert state_after(outcome, late, state=state) is State.CAPTURED
            assert amounts(outcome, late, state=state) == {"authorized": amount, "captured": amount}
            assert (Reason.AMOUNT_MISMATCH, amount) in opened(decision_on(outcome, late, state=state))


@pytest.mark.parametrize("outcome", [Approved("pi_1", 1100, 1100), AmountMismatch("pi_1", 1100, "overpaid")], ids=repr)
def test_more_than_was_authorized_is_booked_and_shown_to_a_person(outcome: Outcome) -> None:
    held = new_attempt(Verb.AUTHORIZE, AttemptStatus.SUCCEEDED)
    decided = decision_on(outcome, held, state=State.AUTHORIZED, authorized=1000)
    assert (decided.event, amounts(outcome, held, state=State.AUTHORIZED, authorized=1000)) == (
        Event.CAPTURE_SUCCEEDED,
        {"authorized": 1100, "captured": 1100},
    )
    assert (Reason.AMOUNT_MISMATCH, 1100) in opened(decided)


def test_a_hold_of_another_amount_is_captured_or_released_by_a_person() -> None:
    held: dict[str, Any] = {"state": State.AMOUNT_MISMATCH, "authorized": 600}
    taken = Approved("pi_1", authorized=600, captured=600)
    accepted = decision_on(taken, new_attempt(Verb.CAPTURE, amount=600), **held)
    assert target(State.AMOUNT_MISMATCH, accepted.event) is State.CAPTURED
    assert accepted.movements == (Movement(MovementKind.CAPTURE, 600, "pi_1"),)
    released = decision_on(VOIDED, new_attempt(Verb.VOID, amount=600), **held)
    assert target(State.AMOUNT_MISMATCH, released.event) is State.VOIDED
    assert released.movements == (Movement(MovementKind.RELEASE, -600, "pi_1"),)


@pytest.mark.parametrize("state", sorted(CLOSED_UNPAID | IN_DUNNING))
def test_money_that_surfaces_late_is_booked(state: State) -> None:
    attempt = new_attempt(status=AttemptStatus.DECLINED)
    assert state_after(WHOLE, attempt, state=state) is State.CAPTURED


@pytest.mark.parametrize("state", sorted(COLLECTED))
@pytest.mark.parametrize("outcome", [WHOLE, InDoubt("x"), NotSent("x"), Pending("pi_1"), ACTION], ids=repr)
def test_a_repeated_outcome_of_collected_money_changes_nothing(state: State, outcome: Outcome) -> None:
    attempt = new_attempt(status=AttemptStatus.SUCCEEDED)
    payment = new_payment(state=state, authorized=1000, captured=1000, taken=frozenset({"pi_1"}))
    decided = decide(payment, attempt, outcome, NOW, POLICY)
    assert decided is None or not decided.is_news


@pytest.mark.parametrize("state", sorted(COLLECTED))
@pytest.mark.parametrize("outcome", [declined(), AWAY, VOIDED], ids=repr)
def test_a_charge_whose_money_the_provider_no_longer_shows_is_left_to_a_person(state: State, outcome: Outcome) -> None:
    attempt = new_attempt(status=AttemptStatus.SUCCEEDED)
    payment = new_payment(state=state, authorized=1000, captured=1000, taken=frozenset({"pi_1"}))
    decided = decide(payment, attempt, outcome, NOW, POLICY)
    assert decided is not None
    assert (decided.event, decided.movements) == (Event.CHARGE_CONTRADICTED, ())
    assert opened(decided) == [(Reason.CHARGE_CONTRADICTING, 1000)]
    # Another charge of the payment, which took nothing.
    assert decide(replace(payment, taken=frozenset({"pi_0"})), attempt, outcome, NOW, POLICY) is None


def test_a_further_capture_of_the_same_authorization_is_booked_by_its_difference() -> None:
    attempt = new_attempt(Verb.AUTHORIZE, AttemptStatus.SUCCEEDED)
    payment = new_payment(state=State.CAPTURED, authorized=1000, captured=400, taken=frozenset({"pi_1"}))
    decided = decide(payment, attempt, Approved("pi_1", authorized=1000, captured=900), NOW, POLICY)
    assert decided is not None
    assert [(each.kind, each.amount, each.provider_id) for each in decided.movements] == [
        ("capture", 500, "pi_1/900"),
        ("release", 500, "pi_1/900"),
    ]
    twice = replace(payment, captured=900)
    assert decide(twice, attempt, Approved("pi_1", authorized=1000, captured=900), NOW, POLICY) is None


def test_what_is_captured_above_an_authorization_that_is_captured_whole_is_booked_and_left_to_a_person() -> None:
    attempt = new_attempt(Verb.AUTHORIZE, AttemptStatus.SUCCEEDED)
    whole = {"state": State.CAPTURED, "authorized": 1000, "captured": 1000, "taken": frozenset({"pi_1"})}
    decided = decision_on(Approved("pi_1", authorized=1000, captured=1100), attempt, **whole)
    assert decided.movements == (Movement(MovementKind.CAPTURE, 100, "pi_1/1100"),)
    assert opened(decided) == [(Reason.AMOUNT_MISMATCH, 1100)]


@pytest.mark.parametrize("state", sorted(set(State) - COLLECTED))
def test_doubt_never_ends_a_payment(state: State) -> None:
    for verb, status in product(Verb, AttemptStatus):
        decided = decide(new_payment(state=state), new_attempt(verb, status), InDoubt("x"), NOW, POLICY)
        assert decided is None or decided.event is None or target(state, decided.event) in {state, State.IN_DOUBT}


def test_an_attempt_in_doubt_is_looked_up_again_and_again() -> None:
    attempt = new_attempt(status=AttemptStatus.IN_DOUBT, lookups=50)
    decided = decision_on(InDoubt("still"), attempt, state=State.IN_DOUBT)
    assert decided.event is None
    assert NOW < decided.attempt["due_at"] <= NOW + timedelta(minutes=5)


def test_a_doubt_stays_on_the_list_until_its_outcome_is_known() -> None:
    doubtful = new_attempt(status=AttemptStatus.IN_DOUBT, in_doubt_since=NOW - timedelta(hours=2))
    for outcome, is_known in ((NotSent("not_created"), False), (WHOLE, True)):
        decided = decision_on(outcome, doubtful, state=State.IN_DOUBT, has_open_entry=True)
        closed = {reason for each in decided.effects if isinstance(each, CloseAttention) for reason in each.reasons}
        assert (Reason.DOUBT in closed) is is_known


def test_a_call_is_repeated_a_limited_number_of_times() -> None:
    assert state_after(NotSent("unreachable"), new_attempt(retries=11)) is State.ACCEPTED
    assert state_after(NotSent("unreachable"), new_attempt(retries=12)) is State.FAILED


def test_an_attempt_that_crashes_its_workers_is_abandoned() -> None:
    deadly = new_attempt(status=AttemptStatus.IN_DOUBT, claims=POLICY.max_claims)
    assert state_after(NotSent("not_created"), deadly, state=State.IN_DOUBT) is State.FAILED
    assert state_after(NotSent("unreachable"), new_attempt(claims=POLICY.max_claims)) is State.ACCEPTED


def test_an_object_that_may_still_be_charged_is_voided_before_the_charge_fails() -> None:
    exhausted = new_attempt(status=AttemptStatus.IN_DOUBT, retries=12)
    decided = decision_on(NotSent("not_confirmed", reference="pi_1"), exhausted, state=State.IN_DOUBT)
    assert decided.effects == (AddAttempt(Verb.VOID, "not_sent"),)
    assert target(State.IN_DOUBT, decided.event) is State.ACCEPTED
    assert state_after(VOIDED, new_attempt(Verb.VOID, reason="not_sent"), state=State.ACCEPTED) is State.FAILED


def test_a_charge_that_is_still_running_is_looked_up_later_and_later_and_never_abandoned() -> None:
    """The capture's response was lost; a look-up shows it not yet taken, and a repeat is refused as still running."""
    payment, attempt, now, pauses = new_payment(), new_attempt(status=AttemptStatus.DUE, claims=0), NOW, []
    for _ in range(12):
        payment, attempt = follow(payment, attempt, Started(), now)
        doubt = decide(payment, attempt, InDoubt("capture_in_progress", "o_1"), now, POLICY)
        assert doubt is not None
        due_at = doubt.attempt["due_at"]
        assert due_at is not None
        pauses.append((due_at - now).total_seconds())
        payment, attempt = follow(payment, attempt, InDoubt("capture_in_progress", "o_1"), now)
        now = due_at
        payment, attempt = follow(payment, attempt, CustomerApproved("o_1"), now)
        assert (payment.state, attempt.status) == (State.PROCESSING, AttemptStatus.DUE)
    assert pauses == [1, 3, 10, 30, 60, *[300] * 7]


def test_a_worker_that_dies_again_and_again_is_still_counted() -> None:
    lost = decide(new_payment(state=State.PROCESSING), new_attempt(claims=4), InDoubt(WORKER_LOST), NOW, POLICY)
    assert lost is not None
    assert "claims" not in lost.attempt
    deadly = new_attempt(status=AttemptStatus.IN_DOUBT, claims=POLICY.max_claims)
    given_up = decide(new_payment(state=State.IN_DOUBT), deadly, CustomerApproved("o_1"), NOW, POLICY)
    assert given_up is not None
    assert given_up.effects == (AddAttempt(Verb.VOID, "not_sent"),)


@pytest.mark.parametrize("earlier", [{"retries": 1}, {"in_doubt_since": NOW}], ids=str)
def test_an_object_that_an_earlier_call_may_still_charge_is_voided_when_the_retry_is_refused(
    earlier: dict[str, Any],
) -> None:
    refusal = NotSent("resource_missing", is_retryable=False)
    again = new_attempt(is_known_to_provider=True, **earlier)
    decided = decision_on(refusal, again)
    assert (decided.event, decided.effects) == (Event.CHARGE_NOT_SENT, (AddAttempt(Verb.VOID, "refused"),))
    voided = decision_on(VOIDED, new_attempt(Verb.VOID, reason="refused"), state=State.ACCEPTED)
    assert (voided.event, voided.payment["failure_code"]) == (Event.CHARGE_FAILED, "refused")
    # The first call is the only one, and the provider has refused it.
    assert state_after(refusal, new_attempt(is_known_to_provider=True)) is State.FAILED


def test_a_void_that_is_refused_without_an_end_is_sent_on_and_shown_to_a_person_once() -> None:
    for retries, is_shown in ((NOT_SENT_TRIES - 2, False), (NOT_SENT_TRIES - 1, True), (NOT_SENT_TRIES, False)):
        refused = new_attempt(Verb.VOID, reason="not_sent", retries=retries)
        decided = decision_on(NotSent("resource_missing", is_retryable=False), refused, state=State.ACCEPTED)
        assert decided.attempt["status"] is AttemptStatus.DUE
        assert ((Reason.VOID_REFUSED, 1000) in opened(decided)) is is_shown


NOT_CHARGED_YET = Approved("o_1", voided=True, may_still_charge=True)


def test_a_canceled_payment_ends_once_no_charge_call_can_still_be_running() -> None:
    taken_back = new_payment(state=State.ACCEPTED)
    early = decide(taken_back, new_attempt(Verb.VOID), NOT_CHARGED_YET, NOW, POLICY)
    assert early is not None
    assert (early.event, early.attempt["status"]) == (None, AttemptStatus.IN_DOUBT)
    assert early.attempt["due_at"] == NOW + timedelta(minutes=10)
    late = decide(taken_back, new_attempt(Verb.VOID), NOT_CHARGED_YET, NOW + timedelta(minutes=10), POLICY)
    assert late is not None
    assert target(State.ACCEPTED, late.event) is State.CANCELED


def test_a_void_ends_at_once_while_the_payment_waits_for_its_customer() -> None:
    waiting = new_payment(state=State.REQUIRES_ACTION)
    ended = decide(waiting, new_attempt(Verb.VOID), NOT_CHARGED_YET, NOW, POLICY)
    assert ended is not None
    assert target(State.REQUIRES_ACTION, ended.event) is State.CANCELED


def test_held_money_that_the_provider_does_not_show_is_doubt() -> None:
    held = new_payment(state=State.AUTHORIZED, authorized=1000)
    decided = decide(held, new_attempt(Verb.VOID), NOT_CHARGED_YET, NOW, POLICY)
    assert decided is not None
    assert decided.event is Event.VOID_IN_DOUBT


def test_a_missing_object_is_final_only_after_minutes() -> None:
    at_work = new_payment(state=State.PROCESSING)
    early = decide(at_work, new_attempt(lookups=5), NOT_CHARGED_YET, NOW, POLICY)
    assert early is not None
    assert early.event is Event.CHARGE_IN_DOUBT
    late = decide(at_work, new_attempt(lookups=6), NOT_CHARGED_YET, NOW, POLICY)
    assert late is not None
    assert target(State.PROCESSING, late.event) is State.CANCELED


def test_money_that_surfaces_after_a_late_approval_is_booked() -> None:
    payment, attempt = new_payment(state=State.FAILED), new_attempt(status=AttemptStatus.FAILED)
    void = AddAttempt(Verb.VOID, "late_authorization", reference="pi_1")
    payment, attempt = follow(payment, attempt, CustomerApproved("pi_1"), effects=(void,))
    payment, _ = follow(payment, attempt, WHOLE, effects=(CloseOtherAttempts(),))
    assert (payment.state, payment.captured) == (State.CAPTURED, 1000)


def test_an_object_at_the_provider_is_voided_however_the_last_try_ended() -> None:
    """The last try is refused; an earlier confirm of the same object may still be on its way."""
    worn_out = new_attempt(retries=NOT_SENT_TRIES - 1, is_known_to_provider=True)
    decided = decide(new_payment(state=State.PROCESSING), worn_out, NotSent("rate_limit"), NOW, POLICY)
    assert decided is not None
    assert decided.effects == (AddAttempt(Verb.VOID, "not_sent"),)
    assert decided.event is not Event.CHARGE_FAILED


def test_an_approval_by_the_customer_resumes_the_charge() -> None:
    waiting = new_attempt(status=AttemptStatus.ACTION_REQUIRED, lookups=2, claims=0)
    decided = decide(new_payment(state=State.REQUIRES_ACTION), waiting, CustomerApproved("o_1"), NOW, POLICY)
    assert decided is not None
    assert target(State.REQUIRES_ACTION, decided.event) is State.ACCEPTED
    assert decided.attempt == {
        "status": AttemptStatus.DUE,
        "due_at": NOW,
        "provider_reference": "o_1",
        "waiting_since": None,
        "lookups": 3,
    }
    # The charge has to wait again: its schedule of look-ups continues, and does not start anew.
    since = NOW - timedelta(minutes=30)
    again = new_attempt(status=AttemptStatus.OPEN, lookups=3, waiting_since=since)
    decided = decide(new_payment(state=State.PROCESSING), again, ActionRequired("o_1"), NOW, POLICY)
    assert decided is not None
    assert (decided.attempt["waiting_since"], decided.attempt["due_at"]) == (since, since + timedelta(hours=1))


@pytest.mark.parametrize("state", sorted(CLOSED_UNPAID | IN_DUNNING | COLLECTED))
def test_an_approval_that_comes_too_late_is_voided(state: State) -> None:
    closed = new_attempt(status=AttemptStatus.DECLINED)
    decided = decide(new_payment(state=state), closed, CustomerApproved("o_1"), NOW, POLICY)
    assert decided is not None
    letting_go = AddAttempt(Verb.VOID, "late_authorization", reference="o_1")
    assert (decided.event, decided.effects) == (None, (letting_go,))
    assert decided.attempt["status"] is AttemptStatus.CANCELED


@pytest.mark.parametrize("is_retryable", [True, False])
def test_a_payment_that_never_reached_a_provider_fails_over(is_retryable: bool) -> None:
    payment = new_payment(state=State.PROCESSING, next_provider="other")
    decided = decide(payment, new_attempt(), NotSent("unreachable", is_retryable), NOW, POLICY)
    assert decided is not None
    assert decided.event is Event.CHARGE_REROUTED
    assert decided.payment == {"provider": "other"}
    assert (decided.attempt["status"], decided.attempt["code"]) == (AttemptStatus.FAILED, "unreachable")
    assert decided.effects == (AddAttempt(Verb.CHARGE, provider="other"),)


@pytest.mark.parametrize(
    ("attempt", "outcome"),
    [
        ({}, NotSent("not_confirmed", reference="pi_1")),
        ({"is_known_to_provider": True}, NotSent("unreachable")),
        ({"status": AttemptStatus.IN_DOUBT}, NotSent("not_created")),
        ({}, InDoubt("no_answer")),
        ({}, declined()),
        ({}, declined(DeclineClass.HARD)),
    ],
    ids=str,
)
def test_a_payment_that_a_provider_may_know_does_not_fail_over(attempt: dict[str, Any], outcome: Outcome) -> None:
    state = State.IN_DOUBT if attempt.get("status") else State.PROCESSING
    decided = decide(new_payment(state=state, next_provider="other"), new_attempt(**attempt), outcome, NOW, POLICY)
    assert decided is not None
    assert decided.event is not Event.CHARGE_REROUTED
    assert not [effect for effect in decided.effects if isinstance(effect, AddAttempt) and effect.provider]


def test_only_the_outcome_of_a_call_under_way_fails_over() -> None:
    """Two rules say so, and each of them has to hold without the other."""
    assert {state for state, event in TRANSITIONS if event is Event.CHARGE_REROUTED} == {State.PROCESSING}
    payment = new_payment(state=State.PROCESSING, next_provider="other")
    for status in set(AttemptStatus) - {AttemptStatus.OPEN}:
        decided = decide(payment, new_attempt(status=status), NotSent("unreachable"), NOW, POLICY)
        assert decided is None or decided.event is not Event.CHARGE_REROUTED


def receipt(amount: int, total: int) -> Movement:
    return Movement(MovementKind.RECEIPT, amount, f"c/{total}")


@pytest.mark.parametrize("received", [1, 999, 1001])
def test_money_that_does_not_match_waits_for_a_person_who_accepts_it_as_it_is(received: int) -> None:
    waiting = new_attempt(status=AttemptStatus.ACTION_REQUIRED)
    mismatch = decide(
        new_payment(state=State.REQUIRES_ACTION), waiting, AmountMismatch("c", received, "odd"), NOW, POLICY
    )
    assert mismatch is not None
    assert target(State.REQUIRES_ACTION, mismatch.event) is State.AMOUNT_MISMATCH
    assert (mismatch.movements, mismatch.payment["failure_code"]) == ((receipt(received, received),), "odd")
    assert mismatch.attempt["status"] is AttemptStatus.SUCCEEDED

    mismatched = new_payment(state=State.AMOUNT_MISMATCH, received=received)
    accepting = new_attempt(Verb.CAPTURE, amount=received)
    accepted = decide(mismatched, accepting, Approved("c", authorized=received, captured=received), NOW, POLICY)
    assert accepted is not None
    assert target(State.AMOUNT_MISMATCH, accepted.event) is State.CAPTURED
    assert accepted.movements == (Movement(MovementKind.CHARGE, received, "c"),)


def test_a_mismatch_may_grow_or_be_resolved_at_the_provider() -> None:
    mismatched = new_payment(state=State.AMOUNT_MISMATCH, received=600)
    held = new_attempt(status=AttemptStatus.SUCCEEDED)
    assert decide(mismatched, held, AmountMismatch("c", 600, "underpaid"), NOW, POLICY) is None
    more = decide(mismatched, held, AmountMismatch("c", 900, "underpaid"), NOW, POLICY)
    assert more is not None
    assert (more.event, more.movements) == (None, (receipt(300, 900),))
    resolved = decide(mismatched, held, Approved("c", authorized=600, captured=600), NOW, POLICY)
    assert resolved is not None
    assert target(State.AMOUNT_MISMATCH, resolved.event) is State.CAPTURED


@pytest.mark.parametrize("state", sorted(CLOSED_UNPAID))
def test_money_that_does_not_match_and_comes_too_late_is_recorded_once(state: State) -> None:
    closed = new_attempt(status=AttemptStatus.CANCELED)
    late = decide(new_payment(state=state), closed, AmountMismatch("c", 1000, "delayed"), NOW, POLICY)
    assert late is not None
    assert (late.event, target(state, late.event)) == (Event.AMOUNT_MISMATCHED, state)
    known = new_attempt(status=AttemptStatus.SUCCEEDED)
    mismatch = AmountMismatch("c", 1000, "delayed")
    assert decide(new_payment(state=state, received=1000), known, mismatch, NOW, POLICY) is None


def test_a_front_end_may_try_another_card() -> None:
    attempt = new_attempt(status=AttemptStatus.ACTION_REQUIRED)
    decided = decision_on(declined(), attempt, state=State.REQUIRES_ACTION, is_client_confirmed=True)
    assert (decided.event, decided.attempt["status"]) == (None, AttemptStatus.ACTION_REQUIRED)


def test_an_action_that_is_never_completed_is_voided() -> None:
    attempt = new_attempt(status=AttemptStatus.ACTION_REQUIRED)
    day = {"state": State.REQUIRES_ACTION, "created_at": NOW - timedelta(hours=24)}
    assert AddAttempt(Verb.VOID, "expired") in decision_on(ACTION, attempt, **day).effects
    assert decision_on(ACTION, attempt, **(day | {"created_at": NOW})).effects == ()


def test_an_object_that_was_canceled_at_the_provider_cancels_the_payment() -> None:
    assert state_after(VOIDED, state=State.REQUIRES_ACTION) is State.CANCELED
    expired = {"state": State.AUTHORIZED, "authorized": 1000, "authorization_expires_at": NOW}
    assert state_after(VOIDED, new_attempt(Verb.AUTHORIZE, AttemptStatus.SUCCEEDED), **expired) is State.EXPIRED
    early = expired | {"authorization_expires_at": NOW + timedelta(days=3)}
    assert state_after(VOIDED, new_attempt(Verb.AUTHORIZE, AttemptStatus.SUCCEEDED), **early) is State.VOIDED


def test_money_that_is_held_is_looked_up_after_its_end_and_where_no_end_is_known_as_any_wait() -> None:
    assert decision_on(HELD).attempt["due_at"] > NOW + timedelta(days=7)
    endless = replace(HELD, authorization_expires_at=None)
    assert decision_on(endless).attempt["due_at"] == NOW + timedelta(minutes=1)
    held = new_attempt(Verb.AUTHORIZE, AttemptStatus.SUCCEEDED)
    assert decision_on(endless, held, **AUTHORIZED).attempt["due_at"] > NOW


# --- money that comes beside what is booked ---

COLLECTED_ONCE: dict[str, Any] = {
    "state": State.CAPTURED,
    "authorized": 1000,
    "captured": 1000,
    "taken": frozenset({"at_0", "pi_0"}),
}


def test_a_part_that_another_object_received_of_a_collected_payment_is_a_duplicate() -> None:
    decided = decision_on(AmountMismatch("pi_1", 700, "underpaid"), **COLLECTED_ONCE)
    assert decided.movements == (Movement(MovementKind.DUPLICATE, 700, "pi_1"),)
    assert opened(decided) == [(Reason.DUPLICATE, 700)]


def test_what_comes_on_after_a_mismatch_of_an_ended_payment_is_left_to_a_person() -> None:
    attempt = new_attempt(status=AttemptStatus.SUCCEEDED)
    decided = decision_on(AmountMismatch("pi_1", 900, "underpaid"), attempt, state=State.CANCELED, received=600)
    assert decided.movements == (Movement(MovementKind.RECEIPT, 300, "pi_1/900"),)
    assert opened(decided) == [(Reason.AMOUNT_MISMATCH, 900)]


@pytest.mark.parametrize("state", [State.REVIEW, State.BLOCKED])
def test_money_of_a_payment_that_was_never_sent_contradicts(state: State) -> None:
    with pytest.raises(IllegalTransition):
        decision_on(AmountMismatch("pi_1", 600, "underpaid"), state=state)


@pytest.mark.parametrize("verb", [Verb.AUTHORIZE, Verb.CAPTURE, Verb.VOID])
def test_what_is_captured_on_after_a_bank_took_a_part_back_is_booked(verb: Verb) -> None:
    taken = {"authorized": 1000, "captured": 600, "lost": 600, "taken": frozenset({"at_0", "pi_1"})}
    decided = decision_on(WHOLE, new_attempt(verb, AttemptStatus.IN_DOUBT), state=State.REVERSED, **taken)
    assert decided.movements[0] == Movement(MovementKind.CAPTURE, 400, "pi_1/1000")
    assert decided.event is Event.CHARGE_APPROVED
