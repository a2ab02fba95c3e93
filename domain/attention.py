"""The attention list: what only a person can move on, why, and what they may do about it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from domain.allowed_operations import holds_mismatch
from domain.errors import Conflict, InvalidRequest
from domain.payment import CLOSED_UNPAID, COLLECTED, Event, State
from domain.webhook_status import WebhookStatus


class Reason(StrEnum):
    """Why an entry is on the list."""

    REVIEW = "review"  # the fraud rules ask for a person's decision
    HOLD_REVIEW = "hold_review"  # what came with an authorization asks for it
    DUPLICATE = "duplicate"  # money was taken a second time
    OVERPAID = "overpaid"  # two payments have collected more of an invoice than was asked
    AMOUNT_MISMATCH = "amount_mismatch"  # what came does not match what was asked
    DOUBT = "doubt"  # nobody knows for more than an hour whether money moved
    VOID_REFUSED = "void_refused"  # money stays held, although a void was asked for
    CAPTURE_REFUSED = "capture_refused"
    WEBHOOK_CONTRADICTING = "webhook_contradicting"
    WEBHOOK_UNREADABLE = "webhook_unreadable"
    WEBHOOK_WAITING = "webhook_waiting"  # for more than a day its object could not be looked up
    DISPUTE = "dispute"  # a bank has taken money, or may take it; evidence is wanted in time
    PARTLY_LOST = "partly_lost"  # a bank has taken a part for good, and the invoice is outstanding by it
    REFUND_ELSEWHERE = "refund_elsewhere"  # money was given back beside Celeriac, or beside a refund that had failed
    HOLD_CONTRADICTING = "hold_contradicting"  # the provider shows of held money what cannot follow from the books
    CHARGE_CONTRADICTING = "charge_contradicting"  # the provider shows no money of a charge that is booked as taken
    COMPARISON_SKIPPED = "comparison_skipped"  # for more than a day nothing of an hour could be compared
    CREDENTIALS_REFUSED = "credentials_refused"  # a provider does not accept our key
    UNMATCHED_RECEIPT = "unmatched_receipt"  # a customer's money fits no payment
    RETRY_UNSENT = "retry_unsent"  # for more than a day no issuer could be asked to pay a subscription
    OPERATION_UNSENT = "operation_unsent"  # for more than an hour a provider is down that is to capture, void or refund
    MAIL_REFUSED = "mail_refused"  # a mail to a customer is given up
    MAIL_UNSENT = "mail_unsent"  # no mail is sent: a setting is missing, or the mail server takes none
    MAIL_HELD_BACK = "mail_held_back"  # the storm brake: too many first mails within an hour
    FRAUD_BRAKE = "fraud_brake"  # far more tries are declined than usual, so that strangers are held up
    FAILING_ROW = "failing_row"  # a bug of our own stops a task again and again


class Action(StrEnum):
    """What a person may do about an entry."""

    ACCEPT = "accept"  # charge what is reviewed, capture what came, or take back that a charge was reopened
    RELEASE = "release"  # cancel what is reviewed, or give up on what came
    GIVE_BACK = "give_back"  # refund what was taken a second time or beyond an invoice, or return what fits no payment
    REOPEN = "reopen"  # the money of a charge is lost: its invoice is open again
    LOOK_AGAIN = "look_again"  # look up, or ask the provider once more, now
    REPLAY = "replay"  # apply the stored webhook event once more, now
    CLOSE = "close"  # nothing more is to be done


# What ends each entry, see `offered_actions`: CLOSE ends it at once, any other action when it has had its effect.
ACTIONS: dict[Reason, tuple[Action, ...]] = {
    Reason.REVIEW: (Action.ACCEPT, Action.RELEASE, Action.CLOSE),
    Reason.HOLD_REVIEW: (Action.ACCEPT, Action.RELEASE, Action.CLOSE),
    Reason.DUPLICATE: (Action.GIVE_BACK, Action.CLOSE),
    Reason.OVERPAID: (Action.GIVE_BACK, Action.CLOSE),
    Reason.AMOUNT_MISMATCH: (Action.ACCEPT, Action.RELEASE, Action.CLOSE),
    Reason.DOUBT: (Action.LOOK_AGAIN, Action.CLOSE),
    Reason.VOID_REFUSED: (Action.LOOK_AGAIN, Action.CLOSE),
    Reason.CAPTURE_REFUSED: (Action.LOOK_AGAIN, Action.CLOSE),
    Reason.WEBHOOK_CONTRADICTING: (Action.REPLAY, Action.CLOSE),
    Reason.WEBHOOK_UNREADABLE: (Action.REPLAY, Action.CLOSE),
    Reason.WEBHOOK_WAITING: (Action.REPLAY, Action.CLOSE),
    Reason.DISPUTE: (Action.CLOSE,),
    Reason.PARTLY_LOST: (Action.CLOSE,),
    Reason.REFUND_ELSEWHERE: (Action.CLOSE,),
    Reason.HOLD_CONTRADICTING: (Action.CLOSE,),
    Reason.CHARGE_CONTRADICTING: (Action.REOPEN, Action.ACCEPT, Action.CLOSE),
    Reason.COMPARISON_SKIPPED: (Action.CLOSE,),
    Reason.CREDENTIALS_REFUSED: (Action.LOOK_AGAIN, Action.CLOSE),
    Reason.UNMATCHED_RECEIPT: (Action.GIVE_BACK, Action.CLOSE),
    Reason.RETRY_UNSENT: (Action.CLOSE,),
    Reason.OPERATION_UNSENT: (Action.LOOK_AGAIN, Action.CLOSE),
    Reason.MAIL_REFUSED: (Action.LOOK_AGAIN, Action.CLOSE),
    Reason.MAIL_UNSENT: (Action.LOOK_AGAIN, Action.CLOSE),
    Reason.MAIL_HELD_BACK: (Action.CLOSE,),
    Reason.FRAUD_BRAKE: (Action.CLOSE,),
    Reason.FAILING_ROW: (Action.LOOK_AGAIN, Action.CLOSE),
}
# An entry with one of these reasons may be closed although money is left to move: a person gives it back elsewhere.
WRITABLE_OFF = (Reason.DUPLICATE, Reason.OVERPAID, Reason.AMOUNT_MISMATCH)
# A payment leaves these states by a person's decision only. Entering one opens an entry, leaving it closes that.
HELD: dict[State, Reason] = {State.REVIEW: Reason.REVIEW, State.AMOUNT_MISMATCH: Reason.AMOUNT_MISMATCH}
# Webhook events that only a person can make anything of.
HELD_WEBHOOKS: dict[WebhookStatus, Reason] = {
    WebhookStatus.UNREADABLE: Reason.WEBHOOK_UNREADABLE,
    WebhookStatus.CONTRADICTING: Reason.WEBHOOK_CONTRADICTING,
}
# Events that leave something to a person in whatever state they happen.
OPENED_BY: dict[Event, Reason] = {
    Event.REVIEW_REQUIRED: Reason.REVIEW,
    Event.HOLD_REVIEW_REQUIRED: Reason.HOLD_REVIEW,
    Event.AMOUNT_MISMATCHED: Reason.AMOUNT_MISMATCH,
    Event.CHARGE_DUPLICATED: Reason.DUPLICATE,
    Event.CHARGE_CONTRADICTED: Reason.CHARGE_CONTRADICTING,
    Event.DUPLICATE_REFUND_REVERSED: Reason.DUPLICATE,
    Event.VOID_FAILED: Reason.VOID_REFUSED,
    Event.CAPTURE_FAILED: Reason.CAPTURE_REFUSED,
}
# An outage of a provider is mostly over by then.
LONG_DOUBT = timedelta(hours=1)
# An outage puts no event on the list; one that still waits then, such as one with an unknown word, waits for a release.
LONG_WAIT_OF_WEBHOOK = timedelta(days=1)
# So many exceptions of a row's task are no accident.
MOST_FAILURES = 5


def allowed_action(reason: Reason, name: str) -> Action:
    """Return the action of this name. Raises InvalidRequest, with the allowed ones, if the reason has none such.

    >>> allowed_action(Reason.DUPLICATE, "give_back").value
    'give_back'
    """
    if name not in ACTIONS[reason]:
        raise InvalidRequest(f"the action for the reason {reason} must be one of: {', '.join(ACTIONS[reason])}")
    return Action(name)


def require_undecided(state: State) -> None:
    """Refuse to accept or release money that is taken already. Raises Conflict with what to do instead."""
    if state in COLLECTED:
        raise Conflict("the money is taken already: refund what is too much, and close this entry")


def require_writable_off(reason: Reason) -> None:
    """Refuse to write off what leaves no money to give back. Raises InvalidRequest."""
    if reason not in WRITABLE_OFF:
        names = ", ".join(WRITABLE_OFF)
        raise InvalidRequest(f"write_off is for entries of the reasons {names}; leave it out here")


@dataclass(frozen=True, slots=True)
class Stake:
    """What of a payment decides whether its entry may be closed. Amounts in minor units. `is_in_doubt`: whether the
    outcome of one of its attempts is unknown. `is_unsent`: whether a capture, void or refund waits to be sent.
    `overpaid`: what all payments of its invoice keep beyond the invoice's amount."""

    state: State
    captured: int
    received: int
    duplicated: int
    is_in_doubt: bool = False
    is_unsent: bool = False
    overpaid: int = 0


def taken_twice(duplicated: int, received: int, captured: int) -> int:
    """Return what of a collected payment was taken a second time and not given back: by a charge, or by a receipt.

    >>> taken_twice(1230, 0, 1230), taken_twice(0, 2460, 1230)
    (1230, 1230)
    """
    return max(duplicated, received - captured if received else 0)


def offered_actions(reason: Reason, stake: Stake) -> tuple[Action, ...]:
    """Return what may be decided on an open entry as its payment stands, whose reason may allow more.

    >>> taken = Stake(State.CAPTURED, captured=1000, received=0, duplicated=0)
    >>> [action.value for action in offered_actions(Reason.AMOUNT_MISMATCH, taken)]
    ['close']
    """
    if reason not in HELD.values():
        return ACTIONS[reason]
    if HELD.get(stake.state) is reason:
        return (Action.ACCEPT, Action.RELEASE)
    if holds_mismatch(stake.state, stake.received, stake.captured):
        return (Action.ACCEPT, Action.CLOSE)
    return (Action.CLOSE,)


def require_closable(reason: Reason, stake: Stake, *, is_written_off: bool) -> None:
    """Refuse to close an entry about money that is still to move. Raises Conflict with what to do instead."""
    match reason:
        case Reason.REVIEW | Reason.AMOUNT_MISMATCH if HELD.get(stake.state) is reason:
            raise Conflict("the payment waits for a decision; accept or release it")
        case Reason.HOLD_REVIEW if stake.state is State.AUTHORIZED:
            raise Conflict("the payment waits for a decision; accept or release it")
        case Reason.AMOUNT_MISMATCH if (
            stake.state in CLOSED_UNPAID
            and holds_mismatch(stake.state, stake.received, stake.captured)
            and not is_written_off
        ):
            raise Conflict(
                "the provider may still hold this money; accept it, or give it back by hand and then close this entry "
                'with "write_off": true'
            )
        case Reason.DUPLICATE if (
            taken_twice(stake.duplicated, stake.received, stake.captured) > 0 and not is_written_off
        ):
            raise Conflict(
                "the customer has paid twice; give_back returns the money, or close this entry with "
                '"write_off": true if it was returned otherwise'
            )
        case Reason.OVERPAID if stake.overpaid > 0 and not is_written_off:
            raise Conflict(
                "the invoice is paid more than once; give_back returns the money, or close this entry with "
                '"write_off": true if it was returned otherwise'
            )
        case Reason.DOUBT if stake.is_in_doubt:
            raise Conflict("only the provider can end the doubt; look_again asks it now")
        case Reason.OPERATION_UNSENT if stake.is_unsent:
            raise Conflict("it is sent once the provider responds, and this entry ends then; look_again sends it now")
