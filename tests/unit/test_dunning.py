"""Dunning: days 3, 7 and 14 exactly, never earlier, never two retries on the heels of each other."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.decision import MarkSubscription, Policy, SaveCase
from domain.decline import DeclineClass
from domain.dunning.case import CaseState, SubscriptionStatus
from domain.dunning.policy import DunningPolicy
from domain.payment import DunningCase, Event, State
from domain.state_machine import decide, target

from .examples import declined, new_attempt, new_payment

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
    case: DunningCase | None, now: datetime, policy: DunningPolicy, kind: DeclineClass = DeclineClass.SOFT
) -> tuple[Event, DunningCase, SubscriptionStatus]:
    """Return what a decline of a subscription's payment leads to."""
    payment = new_payment(state=State.PROCESSING, is_off_session=True, subscription_id="sub_1", case=case)
    decided = decide(payment, new_attempt(), declined(kind), now, Policy(dunning=policy))
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
    assert (event, case.state, case.due_at) == (Event.CONSENT_WITHDRAWN, CaseState.UNCOLLECTIBLE, None)
    assert status is SubscriptionStatus.CANCELED
    assert target(State.PROCESSING, event) is State.UNCOLLECTIBLE


@pytest.mark.parametrize("changes", [{"is_off_session": False}, {"subscription_id": None}], ids=str)
def test_only_subscriptions_of_absent_customers_are_dunned(changes: dict[str, object]) -> None:
    payment = new_payment(state=State.PROCESSING, is_off_session=True, subscription_id="sub_1")
    decided = decide(replace(payment, **changes), new_attempt(), declined(), FIRST, Policy())
    assert decided is not None
    assert decided.event is Event.CHARGE_DECLINED
    assert not any(isinstance(effect, SaveCase | MarkSubscription) for effect in decided.effects)
