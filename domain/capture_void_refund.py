"""What follows from a provider's answer to a capture, a void or a refund."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

from domain.backoff import waiting_delay
from domain.charging import captured, collected, ended_by_provider
from domain.decision import Decision, DecisionContext
from domain.outcome import Approved, AuthenticationRequired, Declined, InDoubt, NotSent, Outcome, Pending
from domain.payment import CLOSED_UNPAID, COLLECTED, IN_FLIGHT, UNFINISHED, AttemptStatus, Event, State

# Longer than any call lasts, with what lies between a provider's answer and its books.
_CALLS_END_WITHIN = timedelta(minutes=10)
# The provider still shows the money as it was before: the operation was not executed.
_NOT_EXECUTED = NotSent("not_executed")


def capture(at: DecisionContext, outcome: Outcome) -> Decision | None:
    """Decide on the outcome of a capture."""
    match outcome:
        case Approved(voided=True):
            ended = ended_by_provider(at)
            closing = at.done(AttemptStatus.FAILED, code="authorization_ended")
            return replace(ended, attempt=closing) if ended else _closed(at, closing)
        case Approved(captured=amount) if amount:
            if at.state not in CLOSED_UNPAID | {State.AUTHORIZED, State.REVIEW}:
                return _closed(at, at.done(AttemptStatus.SUCCEEDED))
            return captured(at, replace(outcome, authorized=max(at.payment.authorized, amount)))
        case Approved():
            return _not_done(at, _NOT_EXECUTED, Event.CAPTURE_FAILED)
    return _otherwise(at, outcome, Event.CAPTURE_IN_DOUBT, Event.CAPTURE_FAILED)


def void(at: DecisionContext, outcome: Outcome) -> Decision | None:
    """Decide on the outcome of a void. Money that was captured meanwhile is taken into the books."""
    match outcome:
        case Approved(voided=True, may_still_charge=True) if _may_be_charged_yet(at):
            return _wait_for_our_calls(at)
        case Approved(voided=True):
            return ended_by_provider(at) or _closed(at, at.done(AttemptStatus.SUCCEEDED))
        case Approved(captured=amount) if amount:
            closing = at.done(AttemptStatus.FAILED, code="already_captured")
            if at.state in COLLECTED:
                return _closed(at, closing)
            whole = replace(at, given_attempt=replace(at.attempt, amount=at.payment.amount))
            step = collected(whole, outcome)
            return replace(step, attempt=closing) if step else _closed(at, closing)
        case NotSent(is_retryable=True):
            return _not_done(at, outcome, Event.VOID_FAILED)
        case InDoubt() | NotSent():
            return _otherwise(at, outcome, Event.VOID_IN_DOUBT, Event.VOID_FAILED)
    return _not_done(at, _NOT_EXECUTED, Event.VOID_FAILED)


def _may_be_charged_yet(at: DecisionContext) -> bool:
    """Whether a charge of ours may be on its way: one that was taken back, or given up, in the middle of it.

    While the payment waits for its customer there is none. Held money that the provider knows nothing of is doubt."""
    is_recent = at.now < at.attempt.created_at + _CALLS_END_WITHIN
    return at.state is State.AUTHORIZED or (at.state is State.ACCEPTED and is_recent)


def _wait_for_our_calls(at: DecisionContext) -> Decision:
    if at.state is State.AUTHORIZED:
        return at.in_doubt(Event.VOID_IN_DOUBT)
    waiting = at.waiting(AttemptStatus.IN_DOUBT, at.attempt.created_at + _CALLS_END_WITHIN - at.now)
    return Decision(None, attempt=waiting)


def refund(at: DecisionContext, outcome: Outcome) -> Decision | None:
    """Decide on the outcome of a refund, which may still fail at the bank after it succeeded."""
    is_given = at.attempt.status is AttemptStatus.SUCCEEDED
    match outcome:
        case Approved(refunded=amount):
            return None if is_given else _refunded(at, amount, outcome.reference)
        case Pending() if is_given:
            return None
        case Pending(reference=reference):
            waiting = at.waiting(AttemptStatus.PENDING, waiting_delay(at.attempt.lookups), reference)
            is_news = at.attempt.status is not AttemptStatus.PENDING
            return Decision(Event.REFUND_PENDING if is_news else None, attempt=waiting)
        case Declined() if is_given:
            left = at.payment.refunded - at.attempt.amount
            event = Event.REFUND_REVERSED_PARTLY if left else Event.REFUND_REVERSED_FULLY
            return Decision(event, {"refunded": left}, at.done(AttemptStatus.FAILED, code=outcome.decline.code))
    return _otherwise(at, outcome, Event.REFUND_IN_DOUBT, Event.REFUND_FAILED)


def _refunded(at: DecisionContext, amount: int, reference: str) -> Decision:
    if amount != at.attempt.amount:
        return at.in_doubt(Event.REFUND_IN_DOUBT)
    total = at.payment.refunded + amount
    event = Event.REFUNDED_FULLY if total == at.payment.captured else Event.REFUNDED_PARTLY
    return Decision(event, {"refunded": total}, at.done(AttemptStatus.SUCCEEDED, reference))


def _otherwise(at: DecisionContext, outcome: Outcome, in_doubt: Event, failed: Event) -> Decision | None:
    match outcome:
        case NotSent():
            return _not_done(at, outcome, failed)
        case Declined(decline=decline) | AuthenticationRequired(decline=decline):
            return _not_done(at, NotSent(decline.code, is_retryable=False), failed)
    return at.in_doubt(in_doubt)


def _not_done(at: DecisionContext, outcome: NotSent, failed: Event) -> Decision | None:
    if at.attempt.status not in IN_FLIGHT | {AttemptStatus.PENDING}:
        return None
    # A void in place of a charge that may still be on its way is asked for until it is answered.
    if at.state is State.ACCEPTED or (outcome.is_retryable and not at.is_exhausted):
        return Decision(None, attempt=at.again())
    closing = at.done(AttemptStatus.FAILED, code=outcome.reason)
    return Decision(failed if at.allows(failed) else None, attempt=closing)


def _closed(at: DecisionContext, closing: dict[str, Any]) -> Decision | None:
    """Close an attempt that changes nothing about its payment any more."""
    return Decision(None, attempt=closing) if at.attempt.status in UNFINISHED else None
