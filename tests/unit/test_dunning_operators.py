"""What an operator may do about a dunning case, and what happens next on it."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from domain.allowed_operations import Cancellable
from domain.decline import DeclineClass
from domain.dunning.case import CaseState
from domain.dunning.operators import (
    PaymentEnd,
    end_with_subscription,
    extend_grace,
    next_step,
    pause,
    require_chargeable_again,
    require_open,
    require_waiting,
    resume,
)
from domain.dunning.policy import DunningPolicy, EndAction
from domain.errors import Conflict, InvalidRequest
from domain.payment import State

from .examples import GRACE, NOW, RETRYING

DAY = timedelta(days=1)
PLANNED = replace(RETRYING, due_at=NOW + DAY)
IN_GRACE = replace(GRACE, due_at=NOW + DAY, grace_ends_at=NOW + DAY)


def test_a_pause_moves_what_is_due_and_gives_it_back() -> None:
    paused = pause(PLANNED, NOW + 5 * DAY, NOW)
    assert (paused.due_at, paused.planned_at, paused.paused_until) == (NOW + 5 * DAY, NOW + DAY, NOW + 5 * DAY)
    longer = pause(paused, NOW + 9 * DAY, NOW)
    assert (longer.due_at, longer.planned_at) == (NOW + 9 * DAY, NOW + DAY)
    assert resume(longer, NOW) == PLANNED
    assert resume(longer, NOW + 3 * DAY).due_at == NOW + 3 * DAY
    # What is due later than that anyway stays where it is.
    assert pause(PLANNED, NOW + DAY / 2, NOW).due_at == NOW + DAY


@pytest.mark.parametrize("until", [None, NOW, NOW - DAY, NOW + 91 * DAY])
def test_a_pause_ends_in_the_future(until: object) -> None:
    with pytest.raises(InvalidRequest, match="until must be after"):
        pause(PLANNED, until, NOW)  # type: ignore[arg-type]


def test_grace_only_grows() -> None:
    longer = extend_grace(IN_GRACE, NOW + 3 * DAY, NOW)
    assert (longer.grace_ends_at, longer.due_at) == (NOW + 3 * DAY, NOW + 3 * DAY)
    with pytest.raises(InvalidRequest):
        extend_grace(IN_GRACE, NOW + DAY, NOW)
    with pytest.raises(Conflict, match="no grace to extend: it is retrying"):
        extend_grace(PLANNED, NOW + 3 * DAY, NOW)
    paused = extend_grace(pause(IN_GRACE, NOW + 9 * DAY, NOW), NOW + 3 * DAY, NOW)
    assert (paused.due_at, resume(paused, NOW).due_at) == (NOW + 9 * DAY, NOW + 3 * DAY)


def test_what_cannot_be_done_says_why() -> None:
    for state in (CaseState.RECOVERED, CaseState.EXHAUSTED, CaseState.STOPPED):
        with pytest.raises(Conflict, match=f"closed: it is {state}"):
            require_open(state)
    with pytest.raises(Conflict, match="under way"):
        require_waiting(State.PROCESSING, has_operation_in_flight=True)
    with pytest.raises(Conflict, match="not paused"):
        resume(PLANNED, NOW)
    for kind in (DeclineClass.HARD, DeclineClass.NEEDS_CUSTOMER, DeclineClass.CONSENT_WITHDRAWN):
        with pytest.raises(Conflict, match="not charged again"):
            require_chargeable_again(kind)
    for kind in (None, DeclineClass.SOFT, DeclineClass.TECHNICAL):
        require_chargeable_again(kind)


def test_what_happens_next_is_said_with_when_and_why() -> None:
    step = next_step(PLANNED, State.PAST_DUE, is_under_way=False)
    assert step is not None
    assert (step.at, step.what, step.why) == (NOW + DAY, "retry", "retry 1 of the policy standard")
    unsent = next_step(replace(PLANNED, unsent=1), State.PAST_DUE, is_under_way=False)
    assert unsent is not None
    assert "no issuer" in unsent.why
    ends = next_step(
        replace(IN_GRACE, policy=DunningPolicy(end_action=EndAction.PAUSE)), State.IN_GRACE, is_under_way=False
    )
    assert ends is not None
    assert (ends.what, ends.why.endswith("pause")) == ("grace_end", True)
    paused = next_step(pause(PLANNED, NOW + 5 * DAY, NOW), State.PAST_DUE, is_under_way=False)
    assert paused is not None
    assert (paused.at, paused.why.startswith("an operator")) == (NOW + 5 * DAY, True)
    running = next_step(replace(PLANNED, due_at=None), State.PAST_DUE, is_under_way=True)
    assert running is not None
    assert (running.at, running.what) == (None, "outcome")
    assert next_step(replace(PLANNED, state=CaseState.STOPPED), State.CANCELED, is_under_way=False) is None


@pytest.mark.parametrize(
    ("state", "end"),
    [
        (State.PAST_DUE, PaymentEnd.STOPPED),
        (State.IN_GRACE, PaymentEnd.STOPPED),
        (State.ACCEPTED, PaymentEnd.CANCELED),
        (State.REVIEW, PaymentEnd.CANCELED),
        (State.REQUIRES_ACTION, PaymentEnd.VOIDED),
        (State.PROCESSING, PaymentEnd.LEFT),
        (State.PENDING, PaymentEnd.LEFT),
        (State.IN_DOUBT, PaymentEnd.LEFT),
    ],
)
def test_what_becomes_of_a_payment_whose_subscription_ends(state: State, end: PaymentEnd) -> None:
    payment = Cancellable(state, has_mismatch=False, is_operating=False, has_known_due_charge=False)
    assert end_with_subscription(payment) is end
    if end is PaymentEnd.VOIDED:
        assert end_with_subscription(replace(payment, is_operating=True)) is PaymentEnd.LEFT
