"""Which requests a payment's state allows, and what each does: capture, cancel, refund, review, record.

Their outcomes at the provider are decided in `capture_void_refund`."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from domain.errors import Conflict
from domain.payment import CLOSED_UNPAID, IN_DUNNING, State

_REFUNDABLE = (State.CAPTURED, State.PARTIALLY_REFUNDED)
# The reason of a capture that accepts what the provider has received already.
ACCEPTED = "accepted"
# The reason of a void by which a person gives up on a hold of another amount than was asked.
RELEASED = "released"
# The reason of a refund of what an invoice was paid beyond its amount.
OVERPAID = "overpaid"
# The codes of payments that the fraud rules, or a person, have stopped, and the reasons of the voids that release what
# they held.
FRAUD_BLOCKED, REVIEW_REJECTED = "fraud_blocked", "review_rejected"
BUSY = "another operation on this payment is under way; wait until it has ended"


class CancelAction(StrEnum):
    """How a payment is canceled. Only what the provider does not know of ends at once."""

    AT_ONCE = "at_once"
    VOID = "void"
    WITHDRAW_AND_VOID = "withdraw_and_void"


@dataclass(frozen=True, slots=True)
class Cancellable:
    """What a cancel depends on. `has_mismatch`: see `holds_mismatch`. `is_operating`: a void or a capture is under way.
    `has_known_due_charge`: a charge waits to be sent again whose object exists at the provider."""

    state: State
    has_mismatch: bool
    is_operating: bool
    has_known_due_charge: bool


def cancel_action(payment: Cancellable) -> CancelAction:
    """Return how to cancel a payment. Raises Conflict where a cancel is impossible.

    >>> cancel_action(Cancellable(State.ACCEPTED, False, False, False)).value
    'at_once'
    >>> cancel_action(Cancellable(State.ACCEPTED, False, False, has_known_due_charge=True)).value
    'withdraw_and_void'
    >>> cancel_action(Cancellable(State.CAPTURED, False, False, False))
    Traceback (most recent call last):
    ...
    domain.errors.Conflict: a payment that is captured cannot be canceled; a captured one can be refunded
    """
    if payment.has_mismatch:
        raise Conflict("an operator decides on money that does not match what was asked; wait for the review")
    match payment.state:
        case State.ACCEPTED if payment.is_operating:
            raise Conflict(BUSY)
        case State.ACCEPTED if payment.has_known_due_charge:
            # An earlier call may still be running at the provider, so only the provider can cancel it.
            return CancelAction.WITHDRAW_AND_VOID
        case State.AUTHORIZED | State.REQUIRES_ACTION:
            return CancelAction.VOID
        case State.ACCEPTED | State.REVIEW:
            return CancelAction.AT_ONCE
    if payment.state in IN_DUNNING:
        return CancelAction.AT_ONCE
    raise Conflict(f"a payment that is {payment.state} cannot be canceled; a captured one can be refunded")


def require_capturable(state: State, failure_code: str | None = None) -> None:
    """Refuse the capture of a payment that holds no authorization, or whose authorization is only to be released.
    Raises Conflict.

    >>> require_capturable(State.AUTHORIZED)
    >>> require_capturable(State.AUTHORIZED, FRAUD_BLOCKED)
    Traceback (most recent call last):
    ...
    domain.errors.Conflict: this payment is stopped (fraud_blocked); what it holds can only be released
    """
    _require(state, State.AUTHORIZED, "captured")
    if failure_code in (FRAUD_BLOCKED, REVIEW_REJECTED):
        raise Conflict(f"this payment is stopped ({failure_code}); what it holds can only be released")


def require_refundable(state: State) -> None:
    """Refuse the refund of a payment without captured money. Raises Conflict."""
    if state not in _REFUNDABLE:
        raise Conflict(f"a payment that is {state} cannot be refunded; only captured money can")


def require_reviewable(state: State) -> None:
    """Refuse a review of a payment that waits for none. Raises Conflict."""
    if state in _REFUNDABLE:
        raise Conflict(f"a payment that is {state} cannot be reviewed; a captured one can be refunded")
    _require(state, State.REVIEW, "reviewed")


def is_held_for_review(state: State, *, has_open_review: bool) -> bool:
    """Tell whether money that is authorized waits for a person, so that it is not captured before they approve.

    >>> [is_held_for_review(state, has_open_review=True) for state in (State.AUTHORIZED, State.REVIEW)]
    [True, False]
    """
    return state is State.AUTHORIZED and has_open_review


def require_recordable(state: State) -> None:
    """Refuse an operator's record of a payment that waits for no money. Raises Conflict."""
    _require(state, State.REQUIRES_ACTION, "recorded as paid")


def _require(state: State, required: State, participle: str) -> None:
    if state is not required:
        raise Conflict(f"a payment that is {state} cannot be {participle}; only one that is {required} can")


def holds_mismatch(state: State, received: int, captured: int) -> bool:
    """Tell whether the provider holds money that does not match what was asked, in time or after the payment ended.

    >>> holds_mismatch(State.AMOUNT_MISMATCH, 600, 0), holds_mismatch(State.DECLINED, 0, 0)
    (True, False)
    """
    return state is State.AMOUNT_MISMATCH or (state in CLOSED_UNPAID and received > captured)


def require_mismatch_decision(state: State, amount: int, *, is_approval: bool, has_attempt_in_flight: bool) -> None:
    """Refuse an operator's decision on money that does not match where it cannot be carried out. Raises Conflict.

    `amount`: what came, or what is held instead."""
    if not amount:
        raise Conflict("nothing of this payment is confirmed yet; decide when it is")
    if is_approval:
        return
    if has_attempt_in_flight:
        raise Conflict(BUSY)
    if state in CLOSED_UNPAID:
        raise Conflict(f"this payment is {state} already; give the money back by hand")
