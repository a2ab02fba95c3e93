"""Decides what follows for a payment from a provider's outcome, a command or a due date. Pure; nothing else decides."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

from domain.allowed_operations import FRAUD_BLOCKED, REVIEW_REJECTED
from domain.attention import Reason
from domain.attention_decisions import with_attention
from domain.capture_void_refund import decide_capture, decide_refund, decide_void
from domain.charging import decide_charge
from domain.commands import (
    Blocked,
    CancelRequested,
    ChargeWithdrawn,
    Command,
    DebtReopened,
    DisputeSeen,
    GraceEnded,
    IntentRepeated,
    InvoicePaidOtherwise,
    LossRecounted,
    OperationRequested,
    ResultsScored,
    RetryDue,
    RetryRequested,
    ReviewDecided,
    ReviewRequired,
    Started,
    Trigger,
    TryRefused,
)
from domain.decision import LEASE, AttemptChanges, Decision, DecisionContext, Policy
from domain.disputes import decide_dispute, decide_recount, with_loss
from domain.dunning.case import CaseState, TryCause, becomes_default
from domain.dunning.decisions import close_case_recovered, exhaust_case, mark_active, refuse_try, reopen, stop_case
from domain.dunning.mail_plan import with_mails
from domain.effects import AddAttempt, CloseAttention, CloseOtherAttempts, MakeDefault, NoteDecline, SaveCase
from domain.errors import IllegalTransition
from domain.idempotency_key import state_after
from domain.instrument import Instrument
from domain.invoice import with_invoice
from domain.outcome import AuthenticationRequired, Declined, InDoubt, NotSent, Outcome, Pending
from domain.payment import COLLECTED, IN_DUNNING, Attempt, AttemptStatus, Event, Payment, State, Verb
from domain.review import with_review
from domain.transitions import TRANSITIONS


def decide(
    payment: Payment, attempt: Attempt | None, trigger: Trigger, now: datetime, policy: Policy
) -> Decision | None:
    """Decide what follows from `trigger`. None when it is booked already, as for a duplicate or a late repeat.

    Raises IllegalTransition when the trigger cannot follow from the payment's state."""
    context = DecisionContext(payment, attempt, now, policy)
    decision = _decide(context, trigger)
    if decision is not None and decision.event is not None:
        target(payment.state, decision.event)
    if decision is None:
        return None
    listed = with_attention(context, with_mails(context, trigger, decision))
    return with_invoice(context, with_loss(context, with_review(context, trigger, listed)))


def _decide(context: DecisionContext, trigger: Trigger) -> Decision | None:
    if isinstance(trigger, Command):
        return _COMMANDS[type(trigger)](context, trigger)
    decision = _OUTCOMES[context.attempt.verb](context, trigger)
    if decision is None:
        return None
    match trigger:
        case InDoubt() | NotSent():
            return _with_key_state(context, trigger, decision)
        case Declined() | AuthenticationRequired() | Pending() if context.attempt.verb.is_collecting:
            return _with_decline(trigger, _with_instrument(trigger.instrument, decision))
    return decision


def _with_instrument(instrument: Instrument | None, decision: Decision) -> Decision:
    """Add to the decision which instrument the attempt has tried, where that is shown."""
    if instrument is None or not decision.attempt:
        return decision
    tried: AttemptChanges = {"fingerprint": instrument.fingerprint, "network": instrument.network}
    return replace(decision, attempt=decision.attempt | tried)


def _with_decline(outcome: Outcome, decision: Decision) -> Decision:
    """Add to the decision that finishes a declined attempt what the decline tells of its instrument."""
    is_finished = decision.attempt.get("status") is AttemptStatus.DECLINED
    if not is_finished or not isinstance(outcome, Declined | AuthenticationRequired):
        return decision
    # First: what is charged next depends on it.
    return replace(decision, effects=(NoteDecline(outcome.decline, outcome.instrument), *decision.effects))


def _with_key_state(context: DecisionContext, outcome: InDoubt | NotSent, decision: Decision) -> Decision:
    """Add to the decision what a failed response says about the attempt's idempotency key."""
    state = state_after(context.attempt.key_state, outcome.response)
    is_news = state is not context.attempt.key_state and "key_number" not in decision.attempt
    return replace(decision, attempt=decision.attempt | {"key_state": state}) if is_news else decision


def target(state: State, event: Event) -> State:
    """Return the state that the event leads to. Raises IllegalTransition if the table has none."""
    try:
        return TRANSITIONS[state, event]
    except KeyError:
        raise IllegalTransition(f"a payment that is {state} cannot have the event {event}") from None


_OUTCOMES: dict[Verb, Callable[[DecisionContext, Outcome], Decision | None]] = {
    Verb.CHARGE: decide_charge,
    Verb.AUTHORIZE: decide_charge,
    Verb.CAPTURE: decide_capture,
    Verb.VOID: decide_void,
    Verb.REFUND: decide_refund,
}


def _start(context: DecisionContext, trigger: Command) -> Decision:
    claimed: AttemptChanges = {
        "status": AttemptStatus.OPEN,
        "due_at": context.now + LEASE,
        "claims": context.attempt.claims + 1,
    }
    if isinstance(trigger, Started) and trigger.instrument is not None:
        claimed |= {"fingerprint": trigger.instrument.fingerprint, "network": trigger.instrument.network}
    is_first = context.attempt.verb.is_collecting and context.state is not State.PROCESSING
    return Decision(Event.CHARGE_STARTED if is_first else None, attempt=claimed)


def _repeat_intent(context: DecisionContext, trigger: Command) -> Decision:
    """Claim the attempt once more. Its next creation gets a key of its own: an intent without a reference has no
    secret that anybody could pay with, so a second one does no harm."""
    attempt = context.attempt
    if not context.payment.is_client_confirmed or attempt.is_known_to_provider:
        raise IllegalTransition("only an intent that was not created can be asked for again")
    claimed = _start(context, trigger)
    again: AttemptChanges = {"retries": attempt.retries + 1, "finished_at": None, "code": None}
    return replace(claimed, payment={"failure_code": None}, attempt=claimed.attempt | again)


def _refuse_try(context: DecisionContext, trigger: Command) -> Decision | None:
    return refuse_try(context, trigger.refusal) if isinstance(trigger, TryRefused) else None


def _block(context: DecisionContext, trigger: Command) -> Decision | None:
    return _end_before_charge(context, Event.FRAUD_BLOCKED, trigger.code) if isinstance(trigger, Blocked) else None


def _hold_for_review(context: DecisionContext, trigger: Command) -> Decision:
    return Decision(Event.REVIEW_REQUIRED, attempt={"due_at": None})


def _take_score_of_results(context: DecisionContext, trigger: Command) -> Decision | None:
    """Go on with money that was authorized first: capture it, unless the application does that later; let a person
    decide; or release it."""
    if not isinstance(trigger, ResultsScored) or context.state is not State.AUTHORIZED:
        return None
    if trigger.is_blocked:
        release = () if trigger.is_voiding else (AddAttempt(Verb.VOID, FRAUD_BLOCKED),)
        return Decision(Event.FRAUD_BLOCKED, {"failure_code": FRAUD_BLOCKED}, effects=release)
    if trigger.needs_review:
        return Decision(Event.HOLD_REVIEW_REQUIRED)
    capture = () if trigger.is_voiding else _capture_at_once(context)
    return Decision(None, effects=capture) if capture else None


def _capture_at_once(context: DecisionContext) -> tuple[AddAttempt, ...]:
    return () if context.payment.is_captured_later else (AddAttempt(Verb.CAPTURE),)


def _decide_hold_review(context: DecisionContext, *, is_approved: bool) -> Decision:
    closing = CloseAttention(frozenset({Reason.HOLD_REVIEW}))
    if is_approved:
        return Decision(Event.REVIEW_APPROVED, effects=(closing, *_capture_at_once(context)))
    release = AddAttempt(Verb.VOID, REVIEW_REJECTED)
    return Decision(Event.REVIEW_REJECTED, {"failure_code": REVIEW_REJECTED}, effects=(closing, release))


def _decide_review(context: DecisionContext, trigger: Command) -> Decision:
    if isinstance(trigger, ReviewDecided) and context.state is State.AUTHORIZED:
        return _decide_hold_review(context, is_approved=trigger.is_approved)
    if isinstance(trigger, ReviewDecided) and trigger.is_approved:
        return Decision(Event.REVIEW_APPROVED, attempt={"due_at": context.now})
    return _end_before_charge(context, Event.REVIEW_REJECTED, REVIEW_REJECTED)


def _end_before_charge(context: DecisionContext, event: Event, code: str) -> Decision:
    return Decision(event, {"failure_code": code}, context.finish(AttemptStatus.CANCELED, code=code))


_REQUESTED = {
    Verb.CAPTURE: Event.CAPTURE_REQUESTED,
    Verb.VOID: Event.VOID_REQUESTED,
    Verb.REFUND: Event.REFUND_REQUESTED,
}


def _request_operation(context: DecisionContext, trigger: Command) -> Decision:
    if context.attempt.is_of_duplicate:
        return Decision(Event.DUPLICATE_REFUND_REQUESTED)
    return Decision(_REQUESTED[context.attempt.verb])


def _withdraw(context: DecisionContext, trigger: Command) -> Decision:
    return Decision(Event.CHARGE_WITHDRAWN, attempt=context.finish(AttemptStatus.CANCELED))


def _cancel(context: DecisionContext, trigger: Command) -> Decision:
    effects = (CloseOtherAttempts(), *stop_case(context))
    return Decision(Event.PAYMENT_CANCELED, {"next_action": None}, effects=effects)


def _retry(context: DecisionContext, trigger: Command) -> Decision | None:
    if context.state is not State.PAST_DUE or context.payment.case is None:
        return None
    if context.payment.is_retried_by_provider:
        return _cancel(context, trigger)
    waiting = SaveCase(replace(context.payment.case, due_at=None, paused_until=None, planned_at=None))
    return Decision(Event.RETRY_STARTED, effects=(waiting, AddAttempt(Verb.CHARGE, cause=TryCause.DUNNING)))


def _retry_beside_plan(context: DecisionContext, trigger: Command) -> Decision | None:
    is_open = context.state in IN_DUNNING and context.open_case is not None
    if not is_open or not isinstance(trigger, RetryRequested):
        return None
    return Decision(Event.RETRY_STARTED, effects=(AddAttempt(Verb.CHARGE, cause=trigger.cause),))


def _end_grace(context: DecisionContext, trigger: Command) -> Decision | None:
    if context.state is not State.IN_GRACE or context.payment.case is None:
        return None
    if context.payment.is_retried_by_provider:
        return _cancel(context, trigger)
    return Decision(Event.GRACE_EXPIRED, effects=exhaust_case(context, context.payment.case))


def _stop_dunning(context: DecisionContext, trigger: Command) -> Decision | None:
    if not isinstance(trigger, InvoicePaidOtherwise):
        return None
    if context.state in COLLECTED and context.payment.lost:
        # A bank has taken a part, which another payment has collected now.
        closing = (CloseAttention(frozenset({Reason.PARTLY_LOST})),) if context.payment.has_open_entry else ()
        return Decision(None, effects=(*closing, *mark_active(context)))
    paid = (*close_case_recovered(context, trigger.paid_by), *_default_after(trigger))
    if context.state in IN_DUNNING | {State.ACCEPTED}:
        return Decision(Event.INVOICE_PAID_OTHERWISE, effects=(CloseOtherAttempts(), *paid))
    case = context.payment.case
    is_given_up = context.allows(Event.INVOICE_PAID_OTHERWISE) and case is not None
    if not is_given_up or case is None or case.state is CaseState.RECOVERED:
        return None
    return Decision(Event.INVOICE_PAID_OTHERWISE, effects=paid)


def _default_after(paid: InvoicePaidOtherwise) -> tuple[MakeDefault, ...]:
    return (MakeDefault(paid.by),) if paid.by is not None and becomes_default(paid.cause) else ()


def _reopen(context: DecisionContext, trigger: Command) -> Decision | None:
    return reopen(context, trigger.decline_class, trigger.reason) if isinstance(trigger, DebtReopened) else None


def _decide_dispute(context: DecisionContext, trigger: Command) -> Decision | None:
    return decide_dispute(context, trigger) if isinstance(trigger, DisputeSeen) else None


def _recount_loss(context: DecisionContext, trigger: Command) -> Decision | None:
    return decide_recount(context, trigger) if isinstance(trigger, LossRecounted) else None


_COMMANDS: dict[type[Command], Callable[[DecisionContext, Command], Decision | None]] = {
    Started: _start,
    TryRefused: _refuse_try,
    IntentRepeated: _repeat_intent,
    Blocked: _block,
    ReviewRequired: _hold_for_review,
    ResultsScored: _take_score_of_results,
    ReviewDecided: _decide_review,
    OperationRequested: _request_operation,
    ChargeWithdrawn: _withdraw,
    CancelRequested: _cancel,
    RetryDue: _retry,
    RetryRequested: _retry_beside_plan,
    DebtReopened: _reopen,
    GraceEnded: _end_grace,
    InvoicePaidOtherwise: _stop_dunning,
    DisputeSeen: _decide_dispute,
    LossRecounted: _recount_loss,
}
