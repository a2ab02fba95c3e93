"""What follows from a dispute, one example each."""

from __future__ import annotations

from dataclasses import replace

import pytest

from domain.attention import Reason
from domain.commands import DisputeSeen, LossRecounted
from domain.dunning.case import CaseState, SubscriptionStatus
from domain.effects import CloseAttention, MarkSubscription, OpenAttention, SaveCase
from domain.movement import Movement, MovementKind
from domain.payment import Event, State
from domain.state_machine import decide

from .examples import GRACE, NOW, POLICY, RETRYING, amounts, decision_on, new_payment, state_after

TAKEN = {"authorized": 1000, "captured": 1000}
LOST = DisputeSeen("dp_1", withdrawn_more=1000, lost_more=1000, is_return=False, reason="fraudulent")
WON_AFTER_ALL = replace(LOST, withdrawn_more=-1000, lost_more=-1000)


@pytest.mark.parametrize("state", [State.CAPTURED, State.PARTIALLY_REFUNDED])
def test_a_lost_dispute_reverses_its_payment(state: State) -> None:
    assert state_after(LOST, None, state=state, **TAKEN) is State.REVERSED
    assert amounts(LOST, None, state=state, **TAKEN) == {"reversed": 1000}


def test_a_part_that_is_lost_leaves_the_rest_collected() -> None:
    part = replace(LOST, withdrawn_more=400, lost_more=400)
    decided = decision_on(part, None, state=State.CAPTURED, **TAKEN)
    assert (decided.event, decided.payment) == (Event.PAYMENT_REVERSED_PARTLY, {"lost": 400})
    assert decided.effects == (OpenAttention(Reason.PARTLY_LOST, 400, {"reference": "dp_1"}),)


def test_a_part_that_is_lost_turns_the_subscription_past_due_until_it_is_won() -> None:
    part, subscribed = replace(LOST, withdrawn_more=400, lost_more=400), {"subscription_id": "sub", **TAKEN}
    decided = decision_on(part, None, state=State.CAPTURED, **subscribed)
    assert decided.effects[0] == MarkSubscription(SubscriptionStatus.PAST_DUE)
    won = replace(part, withdrawn_more=-400, lost_more=-400)
    restored = decision_on(won, None, state=State.CAPTURED, **subscribed, lost=400, has_open_entry=True)
    assert MarkSubscription(SubscriptionStatus.ACTIVE) in restored.effects
    closed = [reason for effect in restored.effects if isinstance(effect, CloseAttention) for reason in effect.reasons]
    assert Reason.PARTLY_LOST in closed


def test_what_a_retry_has_collected_again_is_not_lost_in_part() -> None:
    taken_twice = {"amount": 1000, "authorized": 2000, "captured": 2000, "lost": 1000}
    recounted = decide(new_payment(state=State.CAPTURED, **taken_twice), None, LossRecounted("x", False), NOW, POLICY)
    assert recounted is None
    part = replace(LOST, withdrawn_more=400, lost_more=400)
    decided = decision_on(part, None, state=State.CAPTURED, **taken_twice)
    assert decided.effects == (OpenAttention(Reason.PARTLY_LOST, 400, {"reference": "dp_1"}),)


def test_a_part_that_was_lost_before_its_capture_is_booked_is_left_to_a_person() -> None:
    decided = decision_on(LossRecounted("general", False), None, state=State.CAPTURED, **TAKEN, lost=400)
    assert decided.effects == (OpenAttention(Reason.PARTLY_LOST, 400, {}),)


@pytest.mark.parametrize("state", [State.REVERSED, State.IN_GRACE])
def test_a_dispute_that_is_won_after_it_was_lost_gives_the_payment_back(state: State) -> None:
    case = GRACE if state is State.IN_GRACE else None
    decided = decision_on(WON_AFTER_ALL, None, state=state, **TAKEN, lost=1000, case=case, subscription_id="sub")
    assert (decided.event, decided.payment) == (Event.PAYMENT_RESTORED, {"lost": 0, "failure_code": None})
    assert decided.movements == (Movement(MovementKind.DISPUTE_RETURN, 1000, "dp_1"),)
    assert decided.effects[-1:] == (MarkSubscription(SubscriptionStatus.ACTIVE),)


def test_a_returned_debit_begins_a_new_run_of_retries() -> None:
    """The payment was collected by a retry before; its old run has nothing to do with the return."""
    recovered = replace(RETRYING, state=CaseState.RECOVERED, retry=3, due_at=None)
    returned = replace(LOST, is_return=True, reason="insufficient_funds")
    subscribed = {"is_off_session": True, "subscription_id": "sub", "case": recovered, "has_open_entry": True}
    decided = decision_on(returned, None, state=State.CAPTURED, **TAKEN, **subscribed)
    assert decided.event is Event.RETRY_SCHEDULED
    [saved] = [effect.case for effect in decided.effects if isinstance(effect, SaveCase)]
    assert (saved.state, saved.retry) == (CaseState.RETRYING, 1)
    closed = [reason for effect in decided.effects if isinstance(effect, CloseAttention) for reason in effect.reasons]
    assert Reason.DISPUTE in closed


def test_a_part_that_was_refunded_is_not_charged_again_when_a_bank_takes_the_rest() -> None:
    returned = replace(LOST, withdrawn_more=600, lost_more=600, is_return=True, reason="insufficient_funds")
    subscribed = {"is_off_session": True, "subscription_id": "sub", "refunded": 400}
    decided = decision_on(returned, None, state=State.PARTIALLY_REFUNDED, **TAKEN, **subscribed)
    assert (decided.event, decided.payment["lost"]) == (Event.PAYMENT_REVERSED, 600)
    assert decided.effects == (MarkSubscription(SubscriptionStatus.PAST_DUE),)
