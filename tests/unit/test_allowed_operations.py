"""Which request each state of a payment allows, and what a cancel does in it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from domain.allowed_operations import (
    CancelAction,
    Cancellable,
    cancel_action,
    holds_mismatch,
    require_capturable,
    require_mismatch_decision,
    require_recordable,
    require_refundable,
    require_reviewable,
)
from domain.errors import Conflict
from domain.payment import CLOSED_UNPAID, State

CANCELED_AT_ONCE = {State.ACCEPTED, State.REVIEW, State.PAST_DUE, State.IN_GRACE}
VOIDED = {State.AUTHORIZED, State.REQUIRES_ACTION}


def cancel(
    state: State, *, has_mismatch: bool = False, is_operating: bool = False, has_known_due_charge: bool = False
) -> CancelAction:
    return cancel_action(Cancellable(state, has_mismatch, is_operating, has_known_due_charge))


@pytest.mark.parametrize("state", sorted(CANCELED_AT_ONCE))
def test_a_payment_that_the_provider_does_not_know_is_canceled_at_once(state: State) -> None:
    assert cancel(state) is CancelAction.AT_ONCE


@pytest.mark.parametrize("state", sorted(VOIDED))
def test_held_money_and_an_open_charge_are_voided_at_the_provider(state: State) -> None:
    assert cancel(state) is CancelAction.VOID


@pytest.mark.parametrize("state", sorted(set(State) - CANCELED_AT_ONCE - VOIDED))
def test_no_other_state_can_be_canceled(state: State) -> None:
    with pytest.raises(Conflict, match=f"a payment that is {state} cannot be canceled"):
        cancel(state)


def test_a_due_charge_that_the_provider_knows_is_withdrawn_and_voided() -> None:
    assert cancel(State.ACCEPTED, has_known_due_charge=True) is CancelAction.WITHDRAW_AND_VOID


def test_a_second_cancel_waits_for_the_void_under_way() -> None:
    with pytest.raises(Conflict, match="under way"):
        cancel(State.ACCEPTED, is_operating=True)
    with pytest.raises(Conflict, match="under way"):
        cancel(State.ACCEPTED, is_operating=True, has_known_due_charge=True)


@pytest.mark.parametrize("state", sorted({State.AMOUNT_MISMATCH} | CLOSED_UNPAID))
def test_money_that_does_not_match_is_for_an_operator_to_decide(state: State) -> None:
    with pytest.raises(Conflict, match="operator"):
        cancel(state, has_mismatch=True)


@pytest.mark.parametrize(
    ("require", "allowed"),
    [
        (require_capturable, {State.AUTHORIZED}),
        (require_refundable, {State.CAPTURED, State.PARTIALLY_REFUNDED}),
        (require_reviewable, {State.REVIEW}),
        (require_recordable, {State.REQUIRES_ACTION}),
    ],
)
def test_each_request_needs_its_state(require: Callable[[State], None], allowed: set[State]) -> None:
    for state in allowed:
        require(state)
    for state in set(State) - allowed:
        with pytest.raises(Conflict, match=f"a payment that is {state} cannot be"):
            require(state)


@pytest.mark.parametrize("state", State)
def test_money_that_does_not_match_is_held_in_its_state_or_after_the_end(state: State) -> None:
    assert holds_mismatch(state, received=600, captured=0) == (state in CLOSED_UNPAID | {State.AMOUNT_MISMATCH})
    assert holds_mismatch(state, received=0, captured=0) == (state is State.AMOUNT_MISMATCH)
    # The operator has accepted it.
    assert holds_mismatch(State.CANCELED, received=600, captured=600) is False


def test_nothing_is_decided_before_any_money_is_confirmed() -> None:
    for is_approval in (True, False):
        with pytest.raises(Conflict, match="confirmed"):
            require_mismatch_decision(State.AMOUNT_MISMATCH, 0, is_approval=is_approval, has_attempt_in_flight=False)


def test_money_that_came_after_the_end_is_accepted_or_given_back_by_hand() -> None:
    for state in CLOSED_UNPAID:
        require_mismatch_decision(state, 600, is_approval=True, has_attempt_in_flight=False)
        with pytest.raises(Conflict, match="by hand"):
            require_mismatch_decision(state, 600, is_approval=False, has_attempt_in_flight=False)


def test_a_rejection_waits_for_the_capture_under_way() -> None:
    require_mismatch_decision(State.AMOUNT_MISMATCH, 600, is_approval=False, has_attempt_in_flight=False)
    with pytest.raises(Conflict, match="under way"):
        require_mismatch_decision(State.AMOUNT_MISMATCH, 600, is_approval=False, has_attempt_in_flight=True)
