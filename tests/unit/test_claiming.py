"""When an attempt is sent, when it is looked up, and how a charge is screened before."""

from __future__ import annotations

from datetime import timedelta

import pytest

from domain.claiming import (
    Screening,
    has_lost_its_worker,
    is_being_sent,
    may_look_up,
    may_send,
    next_look_up,
    screening_of,
)
from domain.payment import UNFINISHED, AttemptStatus, State, Verb

from .examples import NOW

NOT_DUE = sorted(set(AttemptStatus) - {AttemptStatus.DUE})


@pytest.mark.parametrize("verb", Verb)
@pytest.mark.parametrize("status", NOT_DUE)
def test_only_a_due_attempt_is_sent_and_every_other_is_looked_up(verb: Verb, status: AttemptStatus) -> None:
    assert not any(may_send(state, verb, status) for state in State)
    assert may_look_up(status)
    assert not may_look_up(AttemptStatus.DUE)


@pytest.mark.parametrize("verb", Verb)
@pytest.mark.parametrize("state", State)
def test_a_due_attempt_is_sent_in_every_state_but_a_charge_in_review_waits(state: State, verb: Verb) -> None:
    waits = state is State.REVIEW and verb in (Verb.CHARGE, Verb.AUTHORIZE)
    assert may_send(state, verb, AttemptStatus.DUE) is not waits


@pytest.mark.parametrize("status", AttemptStatus)
def test_only_an_open_attempt_can_have_lost_its_worker(status: AttemptStatus) -> None:
    assert has_lost_its_worker(status) is (status is AttemptStatus.OPEN)


def test_an_open_attempt_is_being_sent_until_its_lease_ends() -> None:
    open_until = NOW + timedelta(seconds=15)
    assert is_being_sent(AttemptStatus.OPEN, open_until, NOW)
    assert not is_being_sent(AttemptStatus.OPEN, open_until, open_until)
    assert not is_being_sent(AttemptStatus.OPEN, None, NOW)
    assert not any(is_being_sent(status, open_until, NOW) for status in set(AttemptStatus) - {AttemptStatus.OPEN})


@pytest.mark.parametrize("status", AttemptStatus)
def test_an_unfinished_attempt_is_looked_up_as_planned_and_a_finished_one_never(status: AttemptStatus) -> None:
    planned_at = NOW + timedelta(hours=6)
    expected = planned_at if status in UNFINISHED else None
    assert next_look_up(State.PROCESSING, Verb.CHARGE, status, planned_at) == expected


def test_an_attempt_that_holds_money_is_looked_up_until_the_hold_ends() -> None:
    for state, expected in ((State.AUTHORIZED, NOW), (State.CAPTURED, None)):
        assert next_look_up(state, Verb.AUTHORIZE, AttemptStatus.SUCCEEDED, NOW) == expected


@pytest.mark.parametrize("was_begun", [True, False])
@pytest.mark.parametrize("state", State)
def test_a_dunning_retry_is_screened_for_its_debt_and_every_other_charge_once_for_fraud(
    state: State, was_begun: bool
) -> None:
    screening = screening_of(state, was_begun=was_begun)
    if state is State.PAST_DUE:
        assert screening is Screening.DEBT
    else:
        assert screening is (Screening.STORED_DECISION if was_begun else Screening.FRAUD)
