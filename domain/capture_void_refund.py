"""Decides on the outcome of a capture, a void or a refund. Whether one may be requested stands in `operations`."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from domain.allowed_operations import RELEASED
from domain.attention import Reason
from domain.booking import (
    OTHER_AMOUNT,
    book_approval,
    book_capture,
    book_further_capture,
    end_by_provider,
    hold_mismatch,
)
from domain.decision import Decision, DecisionContext
from domain.disputes import SHOWN_BY_DISPUTE, is_left_to_dispute
from domain.dunning.decisions import mark_past_due
from domain.effects import Effect, OpenAttention, ReduceAttention
from domain.movement import Movement, MovementKind, name_of_time
from domain.outcome import (
    AmountMismatch,
    Approved,
    AuthenticationRequired,
    Declined,
    InDoubt,
    NotSent,
    Outcome,
    Pending,
)
from domain.payment import (
    CLOSED,
    COLLECTED,
    IN_FLIGHT,
    LATE_AUTHORIZATION,
    UNFINISHED,
    AttemptStatus,
    Event,
    State,
)

# Longer than any call lasts, plus the time until a provider's books show what a call did.
_CALLS_END_WITHIN = timedelta(minutes=10)
ALREADY_CAPTURED = "already_captured"
# The provider still shows the money as it was before, so the operation was not executed.
_NOT_EXECUTED = NotSent("not_executed")


def decide_capture(context: DecisionContext, outcome: Outcome) -> Decision | None:
    """Decide on the outcome of a capture."""
    match outcome:
        case Approved(voided=True):
            ended = end_by_provider(context, outcome)
            if ended is None:
                return _end_after_charge(context, outcome, AttemptStatus.FAILED, "authorization_ended")
            return replace(ended, attempt=context.finish(AttemptStatus.FAILED, code="authorization_ended"))
        case Approved(captured=amount) if amount:
            return _book_capture(context, outcome)
        case Approved() | AmountMismatch():
            return _not_executed(context, _NOT_EXECUTED, Event.CAPTURE_FAILED)
    return _decide_failure(context, outcome, Event.CAPTURE_IN_DOUBT, Event.CAPTURE_FAILED)


def _book_capture(context: DecisionContext, outcome: Approved) -> Decision | None:
    """Book captured money. Another amount than was asked, as by a capture in the provider's dashboard, is no success of
    the capture."""
    amount = outcome.captured
    if context.state in COLLECTED or _is_booked(context, outcome):
        is_asked = amount == context.attempt.amount or context.payment.received
        failed = context.close(AttemptStatus.FAILED, code=OTHER_AMOUNT)
        ended = context.close(AttemptStatus.SUCCEEDED) if is_asked else failed
        further = book_further_capture(context, outcome)
        return replace(further, attempt=ended.attempt) if further and ended else ended
    booked = book_capture(context, replace(outcome, authorized=max(context.payment.authorized, amount)))
    if booked is not None and booked.attempt.get("code") == OTHER_AMOUNT:
        return replace(booked, attempt=booked.attempt | {"status": AttemptStatus.FAILED})
    return booked


def _is_booked(context: DecisionContext, outcome: Approved) -> bool:
    return not context.payment.taken.isdisjoint((context.attempt.id, outcome.reference))


def _end_after_charge(
    context: DecisionContext, outcome: Approved, status: AttemptStatus, code: str | None = None
) -> Decision | None:
    """End an operation whose provider shows that the money is released. If it is booked as taken, a person looks."""
    closed = context.close(status, code=code)
    is_contradicted = context.state in COLLECTED and _is_booked(context, outcome)
    return replace(closed, event=Event.CHARGE_CONTRADICTED) if closed and is_contradicted else closed


def decide_void(context: DecisionContext, outcome: Outcome) -> Decision | None:
    """Decide on the outcome of a void. Money that was captured meanwhile is booked."""
    is_own_charge = context.attempt.reason != LATE_AUTHORIZATION
    if context.state in COLLECTED and is_own_charge and not isinstance(outcome, InDoubt | Approved | AmountMismatch):
        # The charge was faster. Sent again, the void could take back what is paid.
        return context.close(AttemptStatus.FAILED, code=_code_of_late_void(context))
    match outcome:
        case Approved(voided=True) if not is_own_charge:
            return context.close(AttemptStatus.SUCCEEDED)
        case Approved(voided=True, may_still_charge=True) if _may_still_be_charged(context):
            return _wait_for_running_calls(context)
        case Approved(voided=True):
            ended = end_by_provider(context, outcome)
            return ended or _end_after_charge(context, outcome, AttemptStatus.SUCCEEDED)
        case Approved(captured=amount) if amount:
            whole = replace(context, given_attempt=replace(context.attempt, amount=context.payment.amount))
            booked = book_approval(whole, outcome)
            return _end_void(context, booked)
        case AmountMismatch():
            return _end_void_by_mismatch(context, outcome)
        case NotSent(is_retryable=True):
            return _not_executed(context, outcome, Event.VOID_FAILED)
        case InDoubt() | NotSent():
            return _decide_failure(context, outcome, Event.VOID_IN_DOUBT, Event.VOID_FAILED)
    return _not_executed(context, _NOT_EXECUTED, Event.VOID_FAILED)


def _end_void_by_mismatch(context: DecisionContext, outcome: AmountMismatch) -> Decision | None:
    """End a void whose money has come, and hold that for a person: nothing is left to void."""
    if context.attempt.status not in UNFINISHED:
        return None
    return _end_void(context, hold_mismatch(context, outcome))


def _end_void(context: DecisionContext, booked: Decision | None) -> Decision | None:
    """End a void that has nothing left to void. Another amount than was asked stays with the attempt, so that a person
    hears of it."""
    code = _code_of_late_void(context)
    if booked is None:
        return context.close(AttemptStatus.FAILED, code=code)
    code = OTHER_AMOUNT if booked.attempt.get("code") == OTHER_AMOUNT else code
    return replace(booked, attempt=context.finish(AttemptStatus.FAILED, code=code))


def _code_of_late_void(context: DecisionContext) -> str:
    """Return the code of a void whose money was captured before. A person who has released a hold of another amount
    hears that it was taken all the same."""
    return OTHER_AMOUNT if context.attempt.reason == RELEASED else ALREADY_CAPTURED


def _may_still_be_charged(context: DecisionContext) -> bool:
    """Tell whether a charge call may still be running: the payment was canceled or ended in the middle of it.

    While the payment waits for its customer there is no such call. Held money that the provider does not show is
    doubt."""
    is_recent = context.now < context.attempt.created_at + _CALLS_END_WITHIN
    return context.payment.holds_authorization or (context.state is State.ACCEPTED and is_recent)


def _wait_for_running_calls(context: DecisionContext) -> Decision:
    if context.payment.holds_authorization:
        return context.doubt(Event.VOID_IN_DOUBT)
    until = context.attempt.created_at + _CALLS_END_WITHIN
    return Decision(None, attempt=context.wait(AttemptStatus.IN_DOUBT) | {"due_at": until})


def decide_refund(context: DecisionContext, outcome: Outcome) -> Decision | None:
    """Decide on the outcome of a refund. One whose money a dispute shows leaves the attention list: it is none."""
    decision = _decide_refund(context, outcome)
    if decision is None or not isinstance(outcome, Declined) or outcome.decline != SHOWN_BY_DISPUTE:
        return decision
    if outcome.reference is None or not context.payment.has_open_entry:
        return decision
    ended = ReduceAttention(Reason.REFUND_ELSEWHERE, outcome.reference)
    return replace(decision, effects=(*decision.effects, ended))


def _decide_refund(context: DecisionContext, outcome: Outcome) -> Decision | None:
    """Decide on the outcome of a refund. It may still fail at the bank after it succeeded, and one that failed may be
    given after all; but not if a dispute has its money in the books."""
    has_succeeded = context.attempt.status is AttemptStatus.SUCCEEDED
    if is_left_to_dispute(context.attempt.status, context.attempt.code):
        return None
    match outcome:
        case Approved():
            return None if has_succeeded else _book_refund(context, outcome)
        case Pending() if has_succeeded:
            return None
        case Pending(reference=reference):
            waiting = context.wait(AttemptStatus.PENDING, reference)
            is_news = context.attempt.status is not AttemptStatus.PENDING and context.allows(Event.REFUND_PENDING)
            return Decision(Event.REFUND_PENDING if is_news else None, attempt=waiting)
        case Declined(reference=reference) if has_succeeded:
            return _take_refund_back(context, outcome.decline.code, reference or context.attempt.id)
    return _decide_failure(context, outcome, Event.REFUND_IN_DOUBT, Event.REFUND_FAILED)


def _book_refund(context: DecisionContext, outcome: Approved) -> Decision:
    amount, reference = outcome.refunded, outcome.reference
    if amount != context.attempt.amount:
        return context.doubt(Event.REFUND_IN_DOUBT)
    finished = context.finish(AttemptStatus.SUCCEEDED, reference)
    name = name_of_time(reference, context.attempt.times_given + 1)
    if context.attempt.is_of_duplicate:
        given = Movement(MovementKind.DUPLICATE_REFUND, -amount, name, moved_at=outcome.at)
        return Decision(Event.DUPLICATE_REFUNDED, attempt=finished, movements=(given,))
    payment, movements = context.payment, (Movement(MovementKind.REFUND, -amount, name, moved_at=outcome.at),)
    is_whole = context.state in COLLECTED and payment.refunded + amount == payment.captured - payment.lost
    if is_whole and payment.lost and payment.captured - payment.lost < payment.amount:
        # A bank has taken the rest, whichever of the two was first.
        return Decision(Event.PAYMENT_REVERSED, {}, finished, mark_past_due(context), movements)
    event = Event.REFUNDED_FULLY if is_whole else Event.REFUNDED_PARTLY
    return Decision(event, attempt=finished, effects=_left_to_person(context, amount, reference), movements=movements)


def _left_to_person(context: DecisionContext, amount: int, reference: str) -> tuple[Effect, ...]:
    """Return what a person hears of a refund that failed, was made once more, and is given after all."""
    payment = context.payment
    if context.attempt.status not in CLOSED or payment.refunded + amount <= payment.captured - payment.lost:
        return ()
    return (OpenAttention(Reason.REFUND_ELSEWHERE, amount, {"reference": reference, "amount": amount}, adds=True),)


def _take_refund_back(context: DecisionContext, code: str, reference: str) -> Decision:
    """Book a refund that the bank could not pay out: the money is back."""
    finished, amount = context.finish(AttemptStatus.FAILED, code=code), context.attempt.amount
    name = name_of_time(reference, context.attempt.times_given)
    if context.attempt.is_of_duplicate:
        back = Movement(MovementKind.DUPLICATE_REFUND_FAILURE, amount, name)
        return Decision(Event.DUPLICATE_REFUND_REVERSED, attempt=finished, movements=(back,))
    is_whole = context.state in COLLECTED and context.payment.refunded == amount
    event = Event.REFUND_REVERSED_FULLY if is_whole else Event.REFUND_REVERSED_PARTLY
    return Decision(event, attempt=finished, movements=(Movement(MovementKind.REFUND_FAILURE, amount, name),))


def _decide_failure(context: DecisionContext, outcome: Outcome, in_doubt: Event, failed: Event) -> Decision | None:
    match outcome:
        case NotSent():
            return _not_executed(context, outcome, failed)
        case Declined(decline=decline) | AuthenticationRequired(decline=decline):
            return _not_executed(context, NotSent(decline.code, is_retryable=False), failed)
    return context.doubt(in_doubt)


def _not_executed(context: DecisionContext, outcome: NotSent, failed: Event) -> Decision | None:
    if context.attempt.status not in IN_FLIGHT | {AttemptStatus.PENDING}:
        return None
    if context.is_key_unproven:
        return context.doubt(failed)
    # A void in place of a charge that may still be running is sent until the provider responds.
    if context.state is State.ACCEPTED or (outcome.is_retryable and not context.is_exhausted(outcome)):
        return Decision(None, attempt=context.send_again(outcome))
    finished = context.finish(AttemptStatus.FAILED, code=outcome.reason)
    return Decision(failed if context.allows(failed) else None, attempt=finished)
