"""`step`: what follows for a payment from an outcome, a command or a date. Pure; the one place that decides."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

from domain.capture_void_refund import capture, refund, void
from domain.charging import abandoned, collect, recovered
from domain.commands import (
    Blocked,
    CancelRequested,
    Command,
    GraceEnded,
    InvoicePaidOtherwise,
    OperationRequested,
    RetryDue,
    ReviewDecided,
    ReviewRequired,
    Started,
    Trigger,
)
from domain.decision import (
    LEASE,
    CloseOtherAttempts,
    Decision,
    DecisionContext,
    OpenAttempt,
    Policy,
    SaveCase,
)
from domain.errors import IllegalTransition
from domain.outcome import Outcome
from domain.payment import IN_DUNNING, TRANSITIONS, Attempt, AttemptStatus, Event, Payment, State, Verb


def decide(
    payment: Payment, attempt: Attempt | None, trigger: Trigger, now: datetime, policy: Policy
) -> Decision | None:
    """Decide what follows from `cause`; None when it is already so (a duplicate, a late echo).

    Raises IllegalTransition when the cause cannot follow from the payment's state."""
    at = DecisionContext(payment, attempt, now, policy)
    decided = _decide(at, trigger)
    if decided is not None and decided.event is not None:
        target(payment.state, decided.event)
    return decided


def _decide(at: DecisionContext, trigger: Trigger) -> Decision | None:
    if isinstance(trigger, Command):
        return _COMMANDS[type(trigger)](at, trigger)
    return _VERBS[at.attempt.verb](at, trigger)


def target(state: State, event: Event) -> State:
    """Return the state that the event leads to, by the table."""
    try:
        return TRANSITIONS[state, event]
    except KeyError:
        raise IllegalTransition(f"a payment that is {state} cannot see {event}") from None


_VERBS: dict[Verb, Callable[[DecisionContext, Outcome], Decision | None]] = {
    Verb.CHARGE: collect,
    Verb.AUTHORIZE: collect,
    Verb.CAPTURE: capture,
    Verb.VOID: void,
    Verb.REFUND: refund,
}


def _start(at: DecisionContext, trigger: Command) -> Decision:
    claimed = {"status": AttemptStatus.OPEN, "due_at": at.now + LEASE, "claims": at.attempt.claims + 1}
    is_first = at.attempt.verb.is_collecting and at.state is not State.PROCESSING
    return Decision(Event.CHARGE_STARTED if is_first else None, attempt=claimed)


def _block(at: DecisionContext, trigger: Command) -> Decision:
    code = "fraud_blocked"
    return Decision(Event.FRAUD_BLOCKED, {"failure_code": code}, at.done(AttemptStatus.CANCELED, code=code))


def _hold_for_review(at: DecisionContext, trigger: Command) -> Decision:
    return Decision(Event.REVIEW_REQUIRED, attempt={"due_at": None})


def _review(at: DecisionContext, trigger: Command) -> Decision:
    if isinstance(trigger, ReviewDecided) and trigger.is_approved:
        return Decision(Event.REVIEW_APPROVED, attempt={"due_at": at.now})
    code = "review_rejected"
    return Decision(Event.REVIEW_REJECTED, {"failure_code": code}, at.done(AttemptStatus.CANCELED, code=code))


_REQUESTS = {
    Verb.CAPTURE: Event.CAPTURE_REQUESTED,
    Verb.VOID: Event.VOID_REQUESTED,
    Verb.REFUND: Event.REFUND_REQUESTED,
}


def _request(at: DecisionContext, trigger: Command) -> Decision:
    return Decision(_REQUESTS[at.attempt.verb])


def _cancel(at: DecisionContext, trigger: Command) -> Decision:
    return Decision(Event.PAYMENT_CANCELED, {"next_action": None}, effects=(CloseOtherAttempts(), *abandoned(at)))


def _retry(at: DecisionContext, trigger: Command) -> Decision | None:
    if at.state is not State.PAST_DUE or at.payment.case is None:
        return None
    waiting = SaveCase(replace(at.payment.case, due_at=None))
    return Decision(Event.RETRY_STARTED, effects=(waiting, OpenAttempt(Verb.CHARGE)))


def _end_grace(at: DecisionContext, trigger: Command) -> Decision | None:
    if at.state is not State.IN_GRACE or at.payment.case is None:
        return None
    return Decision(Event.GRACE_EXPIRED, effects=abandoned(at))


def _settle_otherwise(at: DecisionContext, trigger: Command) -> Decision | None:
    if at.state not in IN_DUNNING:
        return None
    return Decision(Event.INVOICE_PAID_OTHERWISE, effects=(CloseOtherAttempts(), *recovered(at)))


_COMMANDS: dict[type[Command], Callable[[DecisionContext, Command], Decision | None]] = {
    Started: _start,
    Blocked: _block,
    ReviewRequired: _hold_for_review,
    ReviewDecided: _review,
    OperationRequested: _request,
    CancelRequested: _cancel,
    RetryDue: _retry,
    GraceEnded: _end_grace,
    InvoicePaidOtherwise: _settle_otherwise,
}
