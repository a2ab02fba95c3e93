"""What follows from each cause, one example each, and that the table of transitions promises nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from itertools import product
from typing import Any

import pytest

from domain.backoff import NOT_SENT_TRIES, waiting_delay
from domain.commands import (
    Blocked,
    CancelRequested,
    ChargeWithdrawn,
    GraceEnded,
    InvoicePaidOtherwise,
    OperationRequested,
    RetryDue,
    ReviewDecided,
    ReviewRequired,
    Started,
    Trigger,
)
from domain.decision import (
    LEASE,
    AddAttempt,
    CloseOtherAttempts,
    CloseSiblingCases,
    Decision,
    MarkSubscription,
    SaveCase,
)
from domain.decline import DeclineClass
from domain.dunning import CaseState, SubscriptionStatus
from domain.errors import IllegalTransition
from domain.outcome import (
    WORKER_LOST,
    ActionRequired,
    AmountMismatch,
    Approved,
    AuthenticationRequired,
    CustomerApproved,
    InDoubt,
    NotSent,
    Outcome,
    Pending,
)
from domain.payment import (
    CLOSED_UNPAID,
    COLLECTED,
    IN_DUNNING,
    IN_PROGRESS,
    LIVE,
    TRANSITIONS,
    Attempt,
    AttemptStatus,
    DunningCase,
    Event,
    Payment,
    State,
    Verb,
)
from domain.state_machine import decide, target

from .world import NOW, POLICY, World, declined, new_attempt, new_payment

WHOLE = Approved("pi_1", authorized=1000, captured=1000)
HELD = Approved("pi_1", authorized=1000, authorization_expires_at=NOW + timedelta(days=7))
VOIDED = Approved("pi_1", voided=True)
AWAY = AuthenticationRequired("pi_1", declined(DeclineClass.NEEDS_CUSTOMER).decline)
ACTION = ActionRequired("pi_1", {"type": "redirect_to_url", "redirect_url": "https://bank.example"})
RETRYING = DunningCase(CaseState.RETRYING, NOW - timedelta(days=3), retry=1, due_at=NOW)
GRACE = DunningCase(CaseState.IN_GRACE, NOW - timedelta(days=21), 3, due_at=NOW, grace_ends_at=NOW)


def decision_on(cause: Trigger, attempt: Any = ..., **payment: Any) -> Decision:
    """Return what follows for a payment that is being processed."""
    given = new_payment(**({"state": State.PROCESSING} | payment))
    decided = decide(given, new_attempt() if attempt is ... else attempt, cause, NOW, POLICY)
    assert decided is not None
    return decided


def lead(cause: Trigger, attempt: Any = ..., **payment: Any) -> State:
    """Return the state that follows."""
    decided = decision_on(cause, attempt, **payment)
    state = payment.get("state", State.PROCESSING)
    return state if decided.event is None else target(state, decided.event)


# --- charging ---


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
def test_each_outcome_of_a_charge(outcome: Outcome, state: State, status: AttemptStatus) -> None:
    for before in (State.PROCESSING, State.IN_DOUBT):
        status_before = AttemptStatus.OPEN if before is State.PROCESSING else AttemptStatus.IN_DOUBT
        attempt = new_attempt(status=status_before)
        assert lead(outcome, attempt, state=before) is state
        assert decision_on(outcome, attempt, state=before).attempt["status"] is status


def test_a_capture_is_written_whole() -> None:
    decided = decision_on(WHOLE)
    assert decided.payment["captured"] == decided.payment["authorized"] == 1000
    assert decided.attempt["due_at"] is None
    assert CloseOtherAttempts() in decided.effects


def test_a_decline_keeps_its_codes() -> None:
    decided = decision_on(declined(DeclineClass.HARD))
    assert decided.payment["failure_code"] == "insufficient_funds"
    assert (decided.attempt["code"], decided.attempt["decline_class"]) == ("card_declined", "hard")


@pytest.mark.parametrize("amount", [1, 999, 1001, 10**9])
def test_another_amount_than_asked_is_doubt(amount: int) -> None:
    assert lead(Approved("pi_1", authorized=amount, captured=amount)) is State.IN_DOUBT


@pytest.mark.parametrize("state", sorted(CLOSED_UNPAID | IN_DUNNING))
def test_money_that_surfaces_late_is_taken_into_the_books(state: State) -> None:
    attempt = new_attempt(status=AttemptStatus.DECLINED)
    assert lead(WHOLE, attempt, state=state) is State.CAPTURED


@pytest.mark.parametrize("state", sorted(COLLECTED))
@pytest.mark.parametrize("outcome", [WHOLE, declined(), InDoubt("x"), NotSent("x"), Pending("pi_1"), ACTION], ids=repr)
def test_an_echo_about_collected_money_changes_nothing(state: State, outcome: Outcome) -> None:
    attempt = new_attempt(status=AttemptStatus.SUCCEEDED)
    payment = new_payment(state=state, authorized=1000, captured=1000)
    decided = decide(payment, attempt, outcome, NOW, POLICY)
    assert decided is None or (decided.event is None and not decided.payment)


@pytest.mark.parametrize("state", sorted(set(State) - COLLECTED))
def test_doubt_ends_nothing(state: State) -> None:
    for verb, status in product(Verb, AttemptStatus):
        decided = decide(new_payment(state=state), new_attempt(verb, status), InDoubt("x"), NOW, POLICY)
        assert decided is None or decided.event is None or target(state, decided.event) in {state, State.IN_DOUBT}


def test_doubt_is_looked_at_again_and_again() -> None:
    attempt = new_attempt(status=AttemptStatus.IN_DOUBT, lookups=50)
    decided = decision_on(InDoubt("still"), attempt, state=State.IN_DOUBT)
    assert decided.event is None
    assert NOW < decided.attempt["due_at"] <= NOW + timedelta(minutes=5)


def test_the_same_call_is_made_only_so_often() -> None:
    assert lead(NotSent("unreachable"), new_attempt(retries=11)) is State.ACCEPTED
    assert lead(NotSent("unreachable"), new_attempt(retries=12)) is State.FAILED


def test_an_attempt_that_kills_its_workers_is_given_up() -> None:
    deadly = new_attempt(status=AttemptStatus.IN_DOUBT, claims=POLICY.max_claims)
    assert lead(NotSent("not_created"), deadly, state=State.IN_DOUBT) is State.FAILED
    assert lead(NotSent("unreachable"), new_attempt(claims=POLICY.max_claims)) is State.ACCEPTED


def test_an_intent_that_may_still_be_confirmed_is_voided_before_the_charge_fails() -> None:
    exhausted = new_attempt(status=AttemptStatus.IN_DOUBT, retries=12)
    decided = decision_on(NotSent("not_confirmed", reference="pi_1"), exhausted, state=State.IN_DOUBT)
    assert decided.effects == (AddAttempt(Verb.VOID, "not_sent"),)
    assert target(State.IN_DOUBT, decided.event) is State.ACCEPTED
    assert lead(VOIDED, new_attempt(Verb.VOID, reason="not_sent"), state=State.ACCEPTED) is State.FAILED


def test_a_charge_that_is_still_running_is_waited_for_longer_and_longer_and_never_given_up() -> None:
    """The capture's answer was lost; the look shows it not yet taken, and a repeat is told that one is running."""
    world = World(new_payment())
    row, pauses = world.rows[0], []
    for _ in range(12):
        world.apply(row, Started())
        world.apply(row, InDoubt("capture_in_progress", "o_1"))
        assert row.due_at is not None
        pauses.append((row.due_at - world.now).total_seconds())
        world.now = row.due_at
        world.apply(row, CustomerApproved("o_1"))
        assert (world.payment.state, row.attempt.status) == (State.PROCESSING, AttemptStatus.DUE)
    assert pauses == [1, 3, 10, 30, 60, *[300] * 7]
    assert len(world.rows) == 1


def test_a_worker_that_dies_again_and_again_is_still_counted() -> None:
    lost = decide(new_payment(state=State.PROCESSING), new_attempt(claims=4), InDoubt(WORKER_LOST), NOW, POLICY)
    assert lost is not None
    assert "claims" not in lost.attempt
    deadly = new_attempt(status=AttemptStatus.IN_DOUBT, claims=POLICY.max_claims)
    given_up = decide(new_payment(state=State.IN_DOUBT), deadly, CustomerApproved("o_1"), NOW, POLICY)
    assert given_up is not None
    assert given_up.effects == (AddAttempt(Verb.VOID, "not_sent"),)


NOT_CHARGED_YET = Approved("o_1", voided=True, may_still_charge=True)


def test_a_payment_that_was_taken_back_ends_when_no_call_of_ours_can_be_on_its_way() -> None:
    taken_back = new_payment(state=State.ACCEPTED)
    early = decide(taken_back, new_attempt(Verb.VOID), NOT_CHARGED_YET, NOW, POLICY)
    assert early is not None
    assert (early.event, early.attempt["status"]) == (None, AttemptStatus.IN_DOUBT)
    assert early.attempt["due_at"] == NOW + timedelta(minutes=10)
    late = decide(taken_back, new_attempt(Verb.VOID), NOT_CHARGED_YET, NOW + timedelta(minutes=10), POLICY)
    assert late is not None
    assert target(State.ACCEPTED, late.event) is State.CANCELED


def test_while_the_customer_is_waited_for_no_call_is_on_its_way() -> None:
    waiting = new_payment(state=State.REQUIRES_ACTION)
    ended = decide(waiting, new_attempt(Verb.VOID), NOT_CHARGED_YET, NOW, POLICY)
    assert ended is not None
    assert target(State.REQUIRES_ACTION, ended.event) is State.CANCELED


def test_held_money_that_the_provider_knows_nothing_of_is_doubt() -> None:
    held = new_payment(state=State.AUTHORIZED, authorized=1000)
    decided = decide(held, new_attempt(Verb.VOID), NOT_CHARGED_YET, NOW, POLICY)
    assert decided is not None
    assert decided.event is Event.VOID_IN_DOUBT


def test_what_a_provider_forgot_is_believed_after_minutes_only() -> None:
    at_work = new_payment(state=State.PROCESSING)
    early = decide(at_work, new_attempt(lookups=5), NOT_CHARGED_YET, NOW, POLICY)
    assert early is not None
    assert early.event is Event.CHARGE_IN_DOUBT
    late = decide(at_work, new_attempt(lookups=6), NOT_CHARGED_YET, NOW, POLICY)
    assert late is not None
    assert target(State.PROCESSING, late.event) is State.CANCELED


def test_money_that_surfaces_after_a_consent_that_came_too_late_is_taken_into_the_books() -> None:
    world = World(new_payment(state=State.FAILED))
    row = world.rows[0]
    row.attempt, row.due_at = replace(row.attempt, status=AttemptStatus.FAILED), None
    world.apply(row, CustomerApproved("pi_1"))
    world.apply(row, WHOLE)
    assert (world.payment.state, world.payment.captured) == (State.CAPTURED, 1000)


def test_what_the_provider_knows_is_voided_there_however_the_last_try_ended() -> None:
    """An open breaker refuses the last try; an earlier confirm of the same object may still be on its way."""
    worn_out = new_attempt(retries=NOT_SENT_TRIES - 1, is_known_to_provider=True)
    decided = decide(new_payment(state=State.PROCESSING), worn_out, NotSent("breaker_open"), NOW, POLICY)
    assert decided is not None
    assert decided.effects == (AddAttempt(Verb.VOID, "not_sent"),)
    assert decided.event is not Event.CHARGE_FAILED


def test_a_customer_who_has_agreed_lets_the_charge_go_on() -> None:
    waiting = new_attempt(status=AttemptStatus.ACTION_REQUIRED, lookups=2, claims=0)
    decided = decide(new_payment(state=State.REQUIRES_ACTION), waiting, CustomerApproved("o_1"), NOW, POLICY)
    assert decided is not None
    assert target(State.REQUIRES_ACTION, decided.event) is State.ACCEPTED
    assert decided.attempt == {
        "status": AttemptStatus.DUE,
        "due_at": NOW,
        "provider_reference": "o_1",
        "lookups": 3,
    }
    # It was not so after all: the ladder of looks goes on where it was, instead of from its first rung again.
    again = new_attempt(status=AttemptStatus.OPEN, lookups=3)
    decided = decide(new_payment(state=State.PROCESSING), again, ActionRequired("o_1"), NOW, POLICY)
    assert decided is not None
    assert (decided.attempt["lookups"], decided.attempt["due_at"]) == (4, NOW + waiting_delay(3))


@pytest.mark.parametrize("state", sorted(CLOSED_UNPAID | IN_DUNNING | COLLECTED))
def test_a_customer_who_agrees_too_late_is_not_held_to_it(state: State) -> None:
    closed = new_attempt(status=AttemptStatus.DECLINED)
    decided = decide(new_payment(state=state), closed, CustomerApproved("o_1"), NOW, POLICY)
    assert decided is not None
    letting_go = AddAttempt(Verb.VOID, "late_authorization", reference="o_1")
    assert (decided.event, decided.effects) == (None, (letting_go,))
    assert decided.attempt["status"] is AttemptStatus.CANCELED


@pytest.mark.parametrize("is_retryable", [True, False])
def test_what_one_provider_was_never_told_goes_to_the_next(is_retryable: bool) -> None:
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
def test_what_a_provider_may_know_of_goes_to_no_other(attempt: dict[str, Any], outcome: Outcome) -> None:
    state = State.IN_DOUBT if attempt.get("status") else State.PROCESSING
    decided = decide(new_payment(state=state, next_provider="other"), new_attempt(**attempt), outcome, NOW, POLICY)
    assert decided is not None
    assert decided.event is not Event.CHARGE_REROUTED
    assert not [effect for effect in decided.effects if isinstance(effect, AddAttempt) and effect.provider]


@pytest.mark.parametrize("received", [1, 999, 1001])
def test_money_that_does_not_match_waits_for_a_person_who_accepts_it_as_it_is(received: int) -> None:
    waiting = new_attempt(status=AttemptStatus.ACTION_REQUIRED)
    held = decide(new_payment(state=State.REQUIRES_ACTION), waiting, AmountMismatch("c", received, "odd"), NOW, POLICY)
    assert held is not None
    assert target(State.REQUIRES_ACTION, held.event) is State.AMOUNT_MISMATCH
    assert (held.payment["received"], held.payment["failure_code"]) == (received, "odd")
    assert held.attempt["status"] is AttemptStatus.SUCCEEDED

    mismatched = new_payment(state=State.AMOUNT_MISMATCH, received=received)
    accepting = new_attempt(Verb.CAPTURE, amount=received)
    accepted = decide(mismatched, accepting, Approved("c", authorized=received, captured=received), NOW, POLICY)
    assert accepted is not None
    assert target(State.AMOUNT_MISMATCH, accepted.event) is State.CAPTURED
    assert accepted.payment["captured"] == received


def test_more_of_it_may_come_and_the_dashboard_may_decide() -> None:
    mismatched = new_payment(state=State.AMOUNT_MISMATCH, received=600)
    held = new_attempt(status=AttemptStatus.SUCCEEDED)
    assert decide(mismatched, held, AmountMismatch("c", 600, "underpaid"), NOW, POLICY) is None
    more = decide(mismatched, held, AmountMismatch("c", 900, "underpaid"), NOW, POLICY)
    assert more is not None
    assert (more.event, more.payment) == (None, {"received": 900})
    resolved = decide(mismatched, held, Approved("c", authorized=600, captured=600), NOW, POLICY)
    assert resolved is not None
    assert target(State.AMOUNT_MISMATCH, resolved.event) is State.CAPTURED


@pytest.mark.parametrize("state", sorted(CLOSED_UNPAID))
def test_money_that_does_not_match_and_comes_too_late_is_told_once(state: State) -> None:
    closed = new_attempt(status=AttemptStatus.CANCELED)
    told = decide(new_payment(state=state), closed, AmountMismatch("c", 1000, "delayed"), NOW, POLICY)
    assert told is not None
    assert (told.event, target(state, told.event)) == (Event.AMOUNT_MISMATCHED, state)
    known = new_attempt(status=AttemptStatus.SUCCEEDED)
    mismatch = AmountMismatch("c", 1000, "delayed")
    assert decide(new_payment(state=state, received=1000), known, mismatch, NOW, POLICY) is None


def test_a_front_end_may_try_another_card() -> None:
    attempt = new_attempt(status=AttemptStatus.ACTION_REQUIRED)
    decided = decision_on(declined(), attempt, state=State.REQUIRES_ACTION, is_client_confirmed=True)
    assert (decided.event, decided.attempt["status"]) == (None, AttemptStatus.ACTION_REQUIRED)


def test_an_unfinished_action_is_given_up_in_the_end() -> None:
    attempt = new_attempt(status=AttemptStatus.ACTION_REQUIRED)
    day = {"state": State.REQUIRES_ACTION, "created_at": NOW - timedelta(hours=24)}
    assert AddAttempt(Verb.VOID, "expired") in decision_on(ACTION, attempt, **day).effects
    assert decision_on(ACTION, attempt, **(day | {"created_at": NOW})).effects == ()


def test_a_provider_that_ended_it() -> None:
    assert lead(VOIDED, state=State.REQUIRES_ACTION) is State.CANCELED
    expired = {"state": State.AUTHORIZED, "authorized": 1000, "authorization_expires_at": NOW}
    assert lead(VOIDED, new_attempt(Verb.AUTHORIZE, AttemptStatus.SUCCEEDED), **expired) is State.EXPIRED
    early = expired | {"authorization_expires_at": NOW + timedelta(days=3)}
    assert lead(VOIDED, new_attempt(Verb.AUTHORIZE, AttemptStatus.SUCCEEDED), **early) is State.VOIDED


# --- capture, void, refund ---

AUTHORIZED = {"state": State.AUTHORIZED, "authorized": 1000}
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
def test_each_outcome_of_a_capture(outcome: Outcome, state: State, status: AttemptStatus) -> None:
    attempt = new_attempt(Verb.CAPTURE, amount=400)
    assert lead(outcome, attempt, **AUTHORIZED) is state
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
def test_each_outcome_of_a_void(outcome: Outcome, state: State, status: AttemptStatus) -> None:
    attempt = new_attempt(Verb.VOID)
    assert lead(outcome, attempt, **AUTHORIZED) is state
    assert decision_on(outcome, attempt, **AUTHORIZED).attempt["status"] is status


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
def test_each_outcome_of_a_refund(outcome: Outcome, state: State, refunded: int | None) -> None:
    attempt = new_attempt(Verb.REFUND, amount=400)
    assert lead(outcome, attempt, **CAPTURED) is state
    assert decision_on(outcome, attempt, **CAPTURED).payment.get("refunded") == refunded


def test_the_last_refund_and_one_that_comes_back() -> None:
    attempt = new_attempt(Verb.REFUND, amount=400)
    rest = CAPTURED | {"state": State.PARTIALLY_REFUNDED, "refunded": 600}
    assert lead(Approved("re_1", refunded=400), attempt, **rest) is State.REFUNDED

    given = replace(attempt, status=AttemptStatus.SUCCEEDED)
    all_given = CAPTURED | {"state": State.REFUNDED, "refunded": 1000}
    assert lead(declined(), given, **all_given) is State.PARTIALLY_REFUNDED
    assert decision_on(declined(), given, **all_given).payment["refunded"] == 600
    whole = replace(given, amount=1000)
    assert lead(declined(), whole, **all_given) is State.CAPTURED


# --- commands and dates ---


def test_a_claim_takes_a_lease() -> None:
    decided = decision_on(Started(), new_attempt(status=AttemptStatus.DUE, claims=0), state=State.ACCEPTED)
    assert (decided.event, decided.attempt["claims"]) == (Event.CHARGE_STARTED, 1)
    assert decided.attempt["due_at"] == NOW + LEASE
    assert decision_on(Started(), new_attempt(Verb.CAPTURE, AttemptStatus.DUE), **AUTHORIZED).event is None


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
def test_commands(cause: Trigger, before: State, after: State) -> None:
    assert lead(cause, new_attempt(status=AttemptStatus.DUE), state=before) is after


def test_a_retry_opens_a_new_charge_once() -> None:
    decided = decision_on(RetryDue(), None, state=State.PAST_DUE, case=RETRYING)
    assert AddAttempt(Verb.CHARGE) in decided.effects
    assert SaveCase(replace(RETRYING, due_at=None)) in decided.effects
    assert decide(new_payment(state=State.PROCESSING, case=RETRYING), None, RetryDue(), NOW, POLICY) is None


def test_the_end_of_grace_cancels_the_subscription_once() -> None:
    decided = decision_on(GraceEnded(), None, state=State.IN_GRACE, case=GRACE)
    assert decided.event is Event.GRACE_EXPIRED
    assert MarkSubscription(SubscriptionStatus.CANCELED) in decided.effects
    assert decide(new_payment(state=State.UNCOLLECTIBLE, case=GRACE), None, GraceEnded(), NOW, POLICY) is None


@pytest.mark.parametrize(("state", "case"), [(State.PAST_DUE, RETRYING), (State.IN_GRACE, GRACE)])
def test_a_debt_that_was_paid_otherwise_keeps_the_subscription(state: State, case: DunningCase) -> None:
    decided = decision_on(InvoicePaidOtherwise(), None, state=state, case=case)
    assert target(state, decided.event) is State.CANCELED
    assert MarkSubscription(SubscriptionStatus.ACTIVE) in decided.effects


def test_a_retry_that_succeeds_ends_the_case() -> None:
    decided = decision_on(WHOLE, case=RETRYING, subscription_id="sub_1", is_off_session=True)
    assert MarkSubscription(SubscriptionStatus.ACTIVE) in decided.effects
    assert SaveCase(replace(RETRYING, state=CaseState.RECOVERED, due_at=None)) in decided.effects


def test_a_collection_ends_the_dunning_of_its_siblings() -> None:
    assert CloseSiblingCases() in decision_on(WHOLE, has_unpaid_sibling=True).effects
    assert CloseSiblingCases() not in decision_on(WHOLE).effects


def test_a_command_that_needs_an_attempt_says_so() -> None:
    with pytest.raises(IllegalTransition):
        decide(new_payment(), None, WHOLE, NOW, POLICY)


# --- the table ---

PAYMENTS: list[dict[str, Any]] = [
    {"authorized": 1000},
    {"authorized": 1000, "captured": 1000, "refunded": 0},
    {"authorized": 1000, "captured": 1000, "refunded": 600},
    {"authorized": 1000, "captured": 1000, "refunded": 1000},
    {"is_off_session": True, "subscription_id": "sub_1"},
    {"is_off_session": True, "subscription_id": "sub_1", "case": RETRYING},
    {"is_off_session": True, "subscription_id": "sub_1", "case": GRACE},
    {"authorized": 1000, "authorization_expires_at": NOW},
    {"authorized": 1000, "captured": 1000, "refunded": 400},
    {"is_client_confirmed": True},
    {"next_provider": "other"},
]
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
    *(Started(), Blocked(), ReviewRequired(), ReviewDecided(True), ReviewDecided(False), OperationRequested()),
    *(CancelRequested(), RetryDue(), GraceEnded(), InvoicePaidOtherwise()),
]


def situations() -> Iterator[tuple[Payment, Any]]:
    """Yield payments in every state with attempts of every kind."""
    for state, columns in product(State, PAYMENTS):
        payment = new_payment(state=state, **columns)
        for verb, status, reason in product(Verb, AttemptStatus, (None, "expired", "not_sent")):
            amount = 400 if verb is Verb.REFUND else 1000
            yield payment, new_attempt(verb, status, amount=amount, reason=reason)


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
    """Tell whether the product lets such an attempt be: refunds of captured money, captures of authorizations."""
    if attempt.verb is Verb.REFUND:
        is_given = attempt.status is AttemptStatus.SUCCEEDED
        given = {State.PARTIALLY_REFUNDED, State.REFUNDED}
        asked = {State.CAPTURED, State.PARTIALLY_REFUNDED}
        has_amount = (
            payment.refunded >= attempt.amount if is_given else payment.captured - payment.refunded >= attempt.amount
        )
        return payment.state in (given if is_given else asked) and has_amount
    return payment.state in {
        Verb.CAPTURE: {State.AUTHORIZED, State.VOIDED, State.EXPIRED, *COLLECTED},
        Verb.VOID: {State.AUTHORIZED, State.REQUIRES_ACTION, *COLLECTED, *CLOSED_UNPAID},
    }.get(attempt.verb, set(State) - {State.BLOCKED, State.REVIEW, State.AMOUNT_MISMATCH})


def test_no_answer_of_a_provider_is_ever_an_error() -> None:
    """An answer, a look-up or a webhook may come at any time; what makes no sense must be None or doubt."""
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
