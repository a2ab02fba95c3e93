"""Dunning: days 3, 7 and 14 exactly, never earlier, never two retries on the heels of each other."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.commands import CancelRequested, DebtReopened, GraceEnded, InvoicePaidOtherwise, RetryDue, Trigger
from domain.decision import Decision, Policy
from domain.decline import DeclineClass
from domain.dunning.case import (
    CASE_TRANSITIONS,
    CaseEvent,
    CaseState,
    SubscriptionStatus,
    TryCause,
    case_after,
    may_become,
)
from domain.dunning.policy import MONITOR_ONLY, DunningPolicy, EndAction, GraceAnchor, ResumeAnchor
from domain.effects import MarkSubscription, SaveCase
from domain.errors import IllegalTransition
from domain.outcome import NotSent
from domain.payment import Attempt, AttemptStatus, DunningCase, Event, State, Verb
from domain.state_machine import decide, target

from .examples import GRACE, NOW, RETRYING, VOIDED, declined, new_attempt, new_payment

OTHER = TryCause.CUSTOMER_RETRY
FIRST = datetime(2026, 1, 31, 9, 30, tzinfo=UTC)
DAY = timedelta(days=1)
policies = st.builds(
    DunningPolicy,
    st.lists(st.integers(1, 90), unique=True, max_size=5).map(sorted).map(tuple),
    st.integers(0, 8),
    st.integers(0, 60),
)
delays = st.floats(0, 40 * 86_400, allow_nan=False).map(lambda seconds: timedelta(seconds=seconds))


def fail(
    case: DunningCase | None,
    now: datetime,
    policy: DunningPolicy,
    kind: DeclineClass = DeclineClass.SOFT,
    cause: TryCause | None = None,
) -> tuple[Event, DunningCase, SubscriptionStatus]:
    """Return what a decline of a subscription's payment leads to."""
    payment = new_payment(state=State.PROCESSING, is_off_session=True, subscription_id="sub_1", case=case)
    decided = decide(payment, new_attempt(cause=cause), declined(kind), now, Policy(dunning=policy))
    assert decided is not None
    assert decided.event is not None
    saved = next(effect.case for effect in decided.effects if isinstance(effect, SaveCase))
    marked = next(effect.status for effect in decided.effects if isinstance(effect, MarkSubscription))
    return decided.event, saved, marked


def retries(policy: DunningPolicy, lateness: list[timedelta]) -> tuple[list[datetime], list[datetime], DunningCase]:
    """Fail again and again, each time that much after the retry was due: planned and actual times, and the end."""
    planned, failed, now = [], [FIRST], FIRST
    event, case, _ = fail(None, now, policy)
    while event is Event.RETRY_SCHEDULED:
        assert case.due_at is not None
        planned.append(case.due_at)
        now = case.due_at + (lateness[len(planned) - 1] if len(planned) <= len(lateness) else timedelta())
        failed.append(now)
        event, case, _ = fail(case, now, policy)
    assert event is Event.GRACE_STARTED
    return planned, failed, case


def test_the_days_are_3_7_and_14_then_seven_days_of_grace() -> None:
    planned, _, case = retries(DunningPolicy(), [])
    assert planned == [FIRST + 3 * DAY, FIRST + 7 * DAY, FIRST + 14 * DAY]
    assert case.grace_ends_at == case.due_at == FIRST + 21 * DAY
    assert case.state is CaseState.IN_GRACE


def test_a_worker_that_is_minutes_late_keeps_the_days() -> None:
    planned, _, _ = retries(DunningPolicy(), [timedelta(minutes=30)] * 3)
    assert planned == [FIRST + 3 * DAY, FIRST + 7 * DAY, FIRST + 14 * DAY]


def test_missed_retries_are_skipped() -> None:
    planned, failed, case = retries(DunningPolicy(), [5 * DAY])
    assert planned == [FIRST + 3 * DAY, FIRST + 14 * DAY]
    assert failed[1] == FIRST + 8 * DAY
    assert case.retry == 3


def test_after_an_outage_over_all_days_grace_begins() -> None:
    planned, failed, case = retries(DunningPolicy(), [30 * DAY])
    assert planned == [FIRST + 3 * DAY]
    assert case.grace_ends_at == failed[-1] + 7 * DAY


@given(policies, st.lists(delays, max_size=8))
def test_retries_ascend_and_keep_their_distance(policy: DunningPolicy, lateness: list[timedelta]) -> None:
    planned, failed, case = retries(policy, lateness)
    assert len(planned) <= policy.attempts
    assert all(due_at > FIRST for due_at in planned)
    assert planned == sorted(set(planned))
    for before, due_at in zip(failed, planned, strict=False):
        assert due_at - before >= timedelta(hours=20)
    assert case.grace_ends_at == failed[-1] + policy.grace_days * DAY


@given(policies, st.integers(1, 20))
def test_the_plan_never_goes_backwards(policy: DunningPolicy, retry: int) -> None:
    due_at, following = policy.retry_at(FIRST, retry), policy.retry_at(FIRST, retry + 1)
    assert (due_at is None) == (retry > policy.attempts)
    if due_at is not None:
        assert due_at > FIRST
    if due_at is not None and following is not None:
        assert following >= due_at


def test_days_beyond_the_list_double() -> None:
    planned, _, _ = retries(DunningPolicy(attempts=5), [])
    assert [(due_at - FIRST).days for due_at in planned] == [3, 7, 14, 28, 56]


def test_what_no_issuer_was_asked_about_uses_up_no_retry_and_begins_no_run() -> None:
    case, now, waits = None, FIRST, []
    for _ in range(5):
        event, case, status = fail(case, now, DunningPolicy(), DeclineClass.TECHNICAL)
        assert (event, case.retry, status) == (Event.RETRY_SCHEDULED, 0, SubscriptionStatus.PAST_DUE)
        assert case.due_at is not None
        waits.append((case.due_at - now) // timedelta(hours=1))
        now = case.due_at
    assert waits == [1, 6, 24, 24, 24]
    event, case, _ = fail(case, now, DunningPolicy())
    assert (event, case.retry, case.unsent, case.due_at) == (Event.RETRY_SCHEDULED, 1, 0, now + 3 * DAY)
    _, case, _ = fail(case, now + 3 * DAY, DunningPolicy(), DeclineClass.TECHNICAL)
    event, case, _ = fail(case, now + 3 * DAY + timedelta(hours=1), DunningPolicy())
    assert (event, case.retry, case.due_at) == (Event.RETRY_SCHEDULED, 2, now + 7 * DAY)


@pytest.mark.parametrize("kind", [DeclineClass.HARD, DeclineClass.NEEDS_CUSTOMER])
def test_a_decline_that_is_not_soft_starts_grace_at_once(kind: DeclineClass) -> None:
    event, case, status = fail(None, FIRST, DunningPolicy(), kind)
    assert (event, case.state, status) == (Event.GRACE_STARTED, CaseState.IN_GRACE, SubscriptionStatus.PAST_DUE)
    assert case.due_at == FIRST + 7 * DAY


def test_a_hard_decline_ends_the_retries_that_were_planned() -> None:
    _, case, _ = fail(None, FIRST, DunningPolicy())
    event, case, _ = fail(case, FIRST + 3 * DAY, DunningPolicy(), DeclineClass.HARD)
    assert event is Event.GRACE_STARTED
    assert case.due_at == FIRST + 10 * DAY


def test_a_withdrawn_consent_ends_dunning_and_the_subscription() -> None:
    event, case, status = fail(None, FIRST, DunningPolicy(), DeclineClass.CONSENT_WITHDRAWN)
    assert (event, case.state, case.due_at) == (Event.CONSENT_WITHDRAWN, CaseState.EXHAUSTED, None)
    assert status is SubscriptionStatus.CANCELED
    assert target(State.PROCESSING, event) is State.UNCOLLECTIBLE


def end(changes: dict[str, Any], outcome: Trigger, attempt: Attempt | None = None) -> Decision:
    """Return what a payment's outcome leads to; of a payment that collects without its customer, unless changed."""
    payment = new_payment(**{"state": State.PROCESSING, "is_off_session": True} | changes)
    decided = decide(payment, attempt or new_attempt(), outcome, FIRST, Policy())
    assert decided is not None
    return decided


def saved_case(decided: Decision) -> DunningCase | None:
    return next((effect.case for effect in decided.effects if isinstance(effect, SaveCase)), None)


def test_an_invoice_without_a_subscription_is_dunned_as_well() -> None:
    decided = end({}, declined())
    case = saved_case(decided)
    assert case is not None
    assert (decided.event, case.state, case.due_at) == (Event.RETRY_SCHEDULED, CaseState.RETRYING, FIRST + 3 * DAY)
    assert (case.policy_name, case.policy) == ("standard", DunningPolicy())
    assert not [effect for effect in decided.effects if isinstance(effect, MarkSubscription)]


def test_a_debit_that_fails_at_the_bank_is_owed_and_not_charged_without_its_customer() -> None:
    pending = new_attempt(status=AttemptStatus.PENDING)
    decided = end({"state": State.PENDING, "is_off_session": False, "is_debit": True}, declined(), pending)
    case = saved_case(decided)
    assert case is not None
    assert (decided.event, case.state, case.retry) == (Event.GRACE_STARTED, CaseState.IN_GRACE, 0)


def test_an_authentication_that_lapses_without_the_customer_opens_a_case() -> None:
    void = new_attempt(Verb.VOID, reason="expired")
    decided = end({"state": State.REQUIRES_ACTION}, VOIDED, void)
    assert (decided.event, decided.payment["failure_code"]) == (Event.GRACE_STARTED, "action_expired")
    assert saved_case(decided) is not None


@pytest.mark.parametrize(
    "changes",
    [
        {"is_off_session": False},
        {"is_off_session": False, "subscription_id": "sub_1"},
        {"is_off_session": False, "is_debit": True},
        {"is_captured_later": True},
        {"has_dunned_sibling": True},
        {"subscription_id": "sub_1", "is_retried_by_provider": True},
    ],
    ids=str,
)
def test_no_case_is_opened_where_nobody_may_be_dunned(changes: dict[str, Any]) -> None:
    decided = end(changes, declined())
    assert decided.event is Event.CHARGE_DECLINED
    assert not any(isinstance(effect, SaveCase | MarkSubscription) for effect in decided.effects)


def test_dunning_that_is_off_opens_no_case_and_goes_on_with_open_ones() -> None:
    payment = new_payment(state=State.PROCESSING, is_off_session=True, subscription_id="sub_1")
    off = Policy(is_dunning_enabled=False)
    decided = decide(payment, new_attempt(), declined(), FIRST, off)
    assert decided is not None
    assert decided.event is Event.CHARGE_DECLINED
    assert not any(isinstance(effect, SaveCase | MarkSubscription) for effect in decided.effects)
    _, case, _ = fail(None, FIRST, DunningPolicy())
    decided = decide(replace(payment, case=case), new_attempt(), declined(), FIRST + 3 * DAY, off)
    assert decided is not None
    assert decided.event is Event.RETRY_SCHEDULED


def test_a_policy_with_a_window_moves_into_the_morning_of_the_configured_zone() -> None:
    payment = new_payment(state=State.PROCESSING, is_off_session=True, subscription_id="sub_1")
    policy = Policy(dunning=DunningPolicy(window_days=2.5), zone=timezone(timedelta(hours=9)))
    decided = decide(payment, new_attempt(), declined(), FIRST, policy)
    assert decided is not None
    saved = next(effect.case for effect in decided.effects if isinstance(effect, SaveCase))
    # The third day is over there at 18:30; the next morning is from 22:00 to 01:00 here.
    assert saved.due_at is not None
    assert (
        FIRST.replace(day=3, month=2, hour=22, minute=0)
        <= saved.due_at
        <= FIRST.replace(day=4, month=2, hour=1, minute=0)
    )


def test_monitor_only_never_tries_not_even_after_an_outage() -> None:
    for kind in (DeclineClass.SOFT, DeclineClass.TECHNICAL):
        event, case, _ = fail(None, FIRST, MONITOR_ONLY, kind)
        assert (event, case.due_at) == (Event.GRACE_STARTED, FIRST + 28 * DAY)


def test_grace_from_the_first_failure_waits_for_the_last_retry() -> None:
    _, failed, case = retries(DunningPolicy(grace_anchor=GraceAnchor.FIRST_FAILURE), [])
    assert case.grace_ends_at == failed[-1] == FIRST + 14 * DAY
    _, _, case = retries(DunningPolicy(attempts=1, grace_anchor=GraceAnchor.FIRST_FAILURE), [])
    assert case.grace_ends_at == FIRST + 7 * DAY


def test_a_request_that_the_provider_refuses_leaves_no_debt_without_a_subscription() -> None:
    refused = NotSent("parameter_unknown", is_retryable=False)
    assert end({}, refused).event is Event.CHARGE_FAILED
    assert end({"subscription_id": "sub_1"}, refused).event is Event.GRACE_STARTED


def test_a_case_runs_under_the_policy_that_it_has_stored() -> None:
    case = DunningCase(CaseState.RETRYING, FIRST, 1, policy_name="slow", policy=DunningPolicy((5, 10), 2, 3))
    event, case, _ = fail(case, FIRST + 5 * DAY, DunningPolicy())
    assert (event, case.due_at) == (Event.RETRY_SCHEDULED, FIRST + 10 * DAY)
    event, case, _ = fail(case, FIRST + 10 * DAY, DunningPolicy())
    assert (event, case.grace_ends_at) == (Event.GRACE_STARTED, FIRST + 13 * DAY)


def test_a_case_begins_under_the_policy_that_its_subscription_names() -> None:
    policy = Policy(named_dunning={"slow": DunningPolicy((5,), 1)})
    payment = new_payment(state=State.PROCESSING, is_off_session=True, subscription_id="s", dunning_policy="slow")
    decided = decide(payment, new_attempt(), declined(), FIRST, policy)
    assert decided is not None
    case = saved_case(decided)
    assert case is not None
    assert (case.policy_name, case.due_at) == ("slow", FIRST + 5 * DAY)


@pytest.mark.parametrize("cause", [cause for cause in TryCause if cause is not TryCause.DUNNING])
def test_a_try_that_somebody_else_has_caused_uses_up_no_retry(cause: TryCause) -> None:
    _, planned, _ = fail(None, FIRST, DunningPolicy())
    event, case, _ = fail(planned, FIRST + DAY, DunningPolicy(), cause=cause)
    assert (event, case) == (Event.RETRY_SCHEDULED, planned)
    event, case, _ = fail(planned, FIRST + DAY, DunningPolicy(), DeclineClass.TECHNICAL, cause=cause)
    assert (event, case) == (Event.RETRY_SCHEDULED, planned)
    event, case, _ = fail(planned, FIRST + DAY, DunningPolicy(), DeclineClass.HARD, cause=cause)
    assert (event, case.due_at) == (Event.GRACE_STARTED, FIRST + 8 * DAY)
    # Close to the planned one, which comes later then.
    event, case, _ = fail(planned, FIRST + 2.5 * DAY, DunningPolicy(), cause=cause)
    assert (case.retry, case.due_at) == (1, FIRST + 2.5 * DAY + timedelta(hours=20))


def test_a_try_that_its_customer_leaves_keeps_the_plan() -> None:
    void = new_attempt(Verb.VOID, reason="expired", cause=OTHER)
    decided = end({"state": State.REQUIRES_ACTION, "case": RETRYING}, VOIDED, void)
    assert (decided.event, saved_case(decided)) == (Event.RETRY_SCHEDULED, RETRYING)


def test_a_try_in_grace_leaves_its_end_as_it_is() -> None:
    _, in_grace, _ = fail(None, FIRST, DunningPolicy(), DeclineClass.HARD)
    for kind in (DeclineClass.SOFT, DeclineClass.HARD, DeclineClass.TECHNICAL):
        event, case, _ = fail(in_grace, FIRST + 2 * DAY, DunningPolicy(), kind, cause=TryCause.OPERATOR)
        assert (event, case) == (Event.GRACE_CONTINUED, in_grace)
    event, case, _ = fail(in_grace, FIRST + 2 * DAY, DunningPolicy(), DeclineClass.CONSENT_WITHDRAWN, cause=OTHER)
    assert (event, case.state) == (Event.CONSENT_WITHDRAWN, CaseState.EXHAUSTED)


# --- how a case ends ---

SUBSCRIBED: dict[str, Any] = {"subscription_id": "sub_1", "is_off_session": True}


def ended(trigger: Trigger, **changes: Any) -> Decision:
    """Return what a command or a date does to a payment in grace."""
    payment = new_payment(**{"state": State.IN_GRACE, "case": GRACE} | SUBSCRIBED | changes)
    decided = decide(payment, None, trigger, NOW, Policy())
    assert decided is not None
    return decided


@pytest.mark.parametrize(
    ("action", "status"),
    [
        (EndAction.CANCEL, SubscriptionStatus.CANCELED),
        (EndAction.PAUSE, SubscriptionStatus.PAUSED),
        (EndAction.UNPAID, SubscriptionStatus.UNPAID),
        (EndAction.KEEP, None),
    ],
)
def test_the_policy_says_what_the_end_of_grace_does(action: EndAction, status: SubscriptionStatus | None) -> None:
    case = replace(GRACE, policy=DunningPolicy(end_action=action))
    decided = ended(GraceEnded(), case=case)
    marks = [effect.status for effect in decided.effects if isinstance(effect, MarkSubscription)]
    assert (decided.event, marks) == (Event.GRACE_EXPIRED, [status] if status else [])
    exhausted = saved_case(decided)
    assert exhausted is not None
    assert (exhausted.state, exhausted.due_at) == (CaseState.EXHAUSTED, None)


def test_stopping_a_collection_leaves_the_subscription_as_it_is() -> None:
    decided = ended(CancelRequested())
    stopped = saved_case(decided)
    assert stopped is not None
    assert (decided.event, stopped.state, stopped.due_at) == (Event.PAYMENT_CANCELED, CaseState.STOPPED, None)
    assert not [effect for effect in decided.effects if isinstance(effect, MarkSubscription)]


@pytest.mark.parametrize("trigger", [RetryDue(), GraceEnded()], ids=repr)
def test_what_a_provider_retries_is_not_retried_here(trigger: Trigger) -> None:
    state, case = (State.PAST_DUE, RETRYING) if isinstance(trigger, RetryDue) else (State.IN_GRACE, GRACE)
    decided = ended(trigger, state=state, case=case, is_retried_by_provider=True)
    stopped = saved_case(decided)
    assert stopped is not None
    assert (decided.event, stopped.state) == (Event.PAYMENT_CANCELED, CaseState.STOPPED)


@pytest.mark.parametrize("closed", [CaseState.EXHAUSTED, CaseState.STOPPED])
def test_a_debt_that_is_paid_after_dunning_gave_up_is_recovered(closed: CaseState) -> None:
    case = replace(GRACE, state=closed, due_at=None, policy=DunningPolicy(resume_anchor=ResumeAnchor.MOVED))
    decided = ended(InvoicePaidOtherwise(), state=State.UNCOLLECTIBLE, case=case)
    recovered = saved_case(decided)
    assert recovered is not None
    assert recovered.state is CaseState.RECOVERED
    assert MarkSubscription(SubscriptionStatus.ACTIVE, ResumeAnchor.MOVED) in decided.effects
    assert target(State.UNCOLLECTIBLE, Event.INVOICE_PAID_OTHERWISE) is State.UNCOLLECTIBLE


@pytest.mark.parametrize(
    ("kind", "event"), [(DeclineClass.SOFT, Event.RETRY_SCHEDULED), (DeclineClass.HARD, Event.GRACE_STARTED)]
)
def test_a_debt_whose_other_payment_is_taken_back_is_dunned_again(kind: DeclineClass, event: Event) -> None:
    recovered = replace(RETRYING, state=CaseState.RECOVERED, retry=3, due_at=None)
    decided = ended(DebtReopened("debit_returned", kind), state=State.CANCELED, case=recovered)
    case = saved_case(decided)
    assert case is not None
    assert (decided.event, case.first_failed_at) == (event, NOW)
    assert MarkSubscription(SubscriptionStatus.PAST_DUE) in decided.effects
    with_open_case = new_payment(state=State.PAST_DUE, case=RETRYING, **SUBSCRIBED)
    assert decide(with_open_case, None, DebtReopened("debit_returned", kind), NOW, Policy()) is None


# --- the table of a case ---


def test_every_state_of_a_case_is_reached_and_every_event_has_an_arrow() -> None:
    assert set(CASE_TRANSITIONS.values()) == set(CaseState)
    assert {event for _, event in CASE_TRANSITIONS} == set(CaseEvent)
    assert {state for state, _ in CASE_TRANSITIONS} == {None, *CaseState}


def test_a_closed_case_is_only_moved_by_money() -> None:
    moves = {(state, event) for state, event in CASE_TRANSITIONS if state in {CaseState.EXHAUSTED, CaseState.STOPPED}}
    assert moves == {(state, CaseEvent.DEBT_PAID) for state in (CaseState.EXHAUSTED, CaseState.STOPPED)}
    with pytest.raises(IllegalTransition, match="stopped cannot have the event retry_planned"):
        case_after(CaseState.STOPPED, CaseEvent.RETRY_PLANNED)


def test_a_subscription_is_incomplete_until_it_is_paid_and_ends_for_good() -> None:
    status = SubscriptionStatus
    assert {wanted for wanted in status if may_become(status.INCOMPLETE, wanted)} == {status.ACTIVE, status.CANCELED}
    assert not [wanted for wanted in status if may_become(status.CANCELED, wanted)]
