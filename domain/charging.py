"""Decides on the outcome of a charge or an authorization, dunning included."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from domain.backoff import doubt_delay
from domain.booking import (
    ENDED,
    EXPIRED,
    NOT_SENT,
    REFUSED,
    UNDECIDED,
    book_approval,
    contradiction_with,
    end_by_provider,
    hold_mismatch,
    release,
)
from domain.decision import AttemptChanges, Decision, DecisionContext, PaymentChanges
from domain.decline import Decline, DeclineClass
from domain.dunning.decisions import end_unpaid
from domain.effects import AddAttempt
from domain.outcome import (
    WORKER_LOST,
    ActionRequired,
    AmountMismatch,
    Approved,
    AuthenticationRequired,
    CustomerApproved,
    Declined,
    InDoubt,
    NotSent,
    Outcome,
    Pending,
)
from domain.payment import (
    CLOSED,
    CLOSED_UNPAID,
    COLLECTED,
    IN_DUNNING,
    UNFINISHED,
    AttemptStatus,
    Event,
    State,
    Verb,
)

# A call was made for the attempt, and its outcome is not final.
_SENT = UNFINISHED - {AttemptStatus.DUE}
# Actions that take longer than a checkout. An invoice stays payable until it is canceled.
ACTION_PATIENCE: dict[str, timedelta] = {
    "verify_with_microdeposits": timedelta(days=14),
    "display_bank_transfer_instructions": timedelta(days=14),
    "pay_by_invoice": timedelta.max,
}


def decide_charge(context: DecisionContext, outcome: Outcome) -> Decision | None:
    """Decide on the outcome of a charge or an authorization.

    A closed attempt changes nothing any more, since its payment may be on its next attempt; unless it turns out
    that it took or holds money after all."""
    has_money = isinstance(outcome, AmountMismatch | CustomerApproved) or (
        isinstance(outcome, Approved) and not outcome.voided
    )
    if context.attempt.status in CLOSED and not has_money:
        # It is looked up because it may hold money that is to be released.
        return context.look_up_later(doubt_delay) if isinstance(outcome, InDoubt) else None
    if context.attempt.status in _SENT and context.state in ENDED:
        late = _end_late(context, outcome)
        if late is not None:
            return late
    match outcome:
        case Approved():
            return book_approval(context, outcome)
        case Declined(reference, decline) | AuthenticationRequired(reference, decline):
            return _decline(context, decline, reference)
        case ActionRequired():
            return _require_action(context, outcome)
        case CustomerApproved():
            return _resume(context, outcome)
        case Pending():
            return _wait_for_provider(context, outcome)
        case AmountMismatch():
            return hold_mismatch(context, outcome)
        case InDoubt(reason=reason):
            if context.attempt.status is AttemptStatus.SUCCEEDED and context.state in COLLECTED:
                return None
            is_lost = reason == WORKER_LOST
            return context.doubt(Event.CHARGE_IN_DOUBT, is_worker_lost=is_lost)
        case NotSent():
            return _not_sent(context, outcome)


def _end_late(context: DecisionContext, outcome: Outcome) -> Decision | None:
    """Decide on an attempt whose call was under way when its payment came to an end by another attempt.

    It is never closed unseen. None for an outcome that shows money, or doubt: that is decided as always."""
    match outcome:
        case Approved(voided=True):
            return context.close(AttemptStatus.CANCELED)
        case Declined(reference, decline) | AuthenticationRequired(reference, decline):
            return Decision(None, attempt=context.finish_declined(decline, reference))
        case NotSent(reason=reason):
            return context.close(AttemptStatus.FAILED, code=reason)
        case ActionRequired() | CustomerApproved():
            return release(context, outcome)
        case Pending(reference):
            waiting = context.wait(AttemptStatus.PENDING, reference)
            return Decision(None, attempt=waiting)
    return None


def _decline(context: DecisionContext, decline: Decline, reference: str | None) -> Decision | None:
    if context.state in COLLECTED | CLOSED_UNPAID | IN_DUNNING or context.payment.other_holder:
        return contradiction_with(context, reference)
    if context.payment.holds_authorization and context.attempt.status is AttemptStatus.SUCCEEDED:
        return _withdraw_authorization(context, decline, reference)
    if context.state is State.AUTHORIZED:
        return None
    if context.payment.is_client_confirmed:
        # The front end may try another card on the same intent, so the payment stays open.
        return _require_action(context, ActionRequired(reference or ""))
    finished = context.finish_declined(decline, reference)
    code = decline.decline_code or decline.code
    return end_unpaid(context, finished, decline.decline_class, code, Event.CHARGE_DECLINED, decline)


def _withdraw_authorization(context: DecisionContext, decline: Decline, reference: str | None) -> Decision | None:
    """Book that the provider takes an authorization back that it had accepted: nothing is held any more."""
    ended = end_by_provider(context, Approved(reference or context.attempt.id, voided=True))
    return ended and replace(ended, payment=ended.payment | {"failure_code": decline.code})


def _require_action(context: DecisionContext, outcome: ActionRequired) -> Decision | None:
    if context.state is State.REQUIRES_ACTION:
        return _still_require_action(context, outcome)
    is_open_again = context.state is State.PENDING and context.payment.is_client_confirmed
    if context.state not in UNDECIDED and not is_open_again:
        return None
    waiting = _wait_for_customer(context, outcome) | {"provider_reference": outcome.reference}
    return Decision(Event.ACTION_REQUIRED, {"next_action": outcome.next_action}, waiting)


def _still_require_action(context: DecisionContext, outcome: ActionRequired) -> Decision:
    """Wait on for the customer, and void the charge once they have taken too long."""
    waiting = _wait_for_customer(context, outcome)
    action = outcome.next_action.get("type", "")
    abandoned_at = _abandoned_at(context, action)
    is_abandoned = abandoned_at is not None and context.now >= abandoned_at
    is_voided = is_abandoned and not context.payment.has_other_unfinished_attempt
    effects = (AddAttempt(Verb.VOID, EXPIRED, cause=context.attempt.cause),) if is_voided else ()
    # The remaining amount of a bank transfer changes with each part that arrives.
    changes: PaymentChanges = {"next_action": outcome.next_action} if action in ACTION_PATIENCE else {}
    return Decision(None, changes, waiting, effects)


def _wait_for_customer(context: DecisionContext, outcome: ActionRequired) -> AttemptChanges:
    # A provider may show the end in its first response only.
    expires_at = outcome.expires_at or context.attempt.action_expires_at
    abandoned_at = _abandoned_at(context, outcome.next_action.get("type", ""))
    waiting = context.wait(AttemptStatus.ACTION_REQUIRED, ends=(expires_at, abandoned_at))
    return waiting | {"action_expires_at": expires_at}


def _abandoned_at(context: DecisionContext, action: str) -> datetime | None:
    """Return when a customer has taken too long over an action; None for one that is payable until it is canceled."""
    patience = ACTION_PATIENCE.get(action, context.policy.action_expires_after)
    return context.payment.created_at + patience if patience != timedelta.max else None


def _resume(context: DecisionContext, outcome: CustomerApproved) -> Decision | None:
    if context.attempt.status in CLOSED:
        return release(context, outcome) if context.state in ENDED else None
    if context.crashes_workers:
        return _not_sent(context, NotSent("not_completed", reference=outcome.reference))
    if context.attempt.status is AttemptStatus.DUE:
        return None
    if not context.allows(Event.CHARGE_RESUMED) or context.payment.is_client_confirmed:
        return None
    if context.payment.has_other_unfinished_attempt:
        return None  # a void is under way, and its outcome decides
    if context.is_key_unproven:
        return context.doubt(Event.CHARGE_IN_DOUBT)
    return Decision(Event.CHARGE_RESUMED, {"next_action": None}, context.resume(outcome.reference))


def _wait_for_provider(context: DecisionContext, outcome: Pending) -> Decision | None:
    if context.state is State.PENDING:
        return Decision(None, attempt=context.wait(AttemptStatus.PENDING))
    if not context.allows(Event.CHARGE_PENDING):
        return None
    waiting = context.wait(AttemptStatus.PENDING, outcome.reference)
    return Decision(Event.CHARGE_PENDING, {"next_action": None}, waiting)


def _not_sent(context: DecisionContext, outcome: NotSent) -> Decision | None:
    is_waiting = context.payment.is_client_confirmed or context.state is State.REQUIRES_ACTION
    if is_waiting and outcome.reference is not None:
        return _require_action(context, ActionRequired(outcome.reference))
    if context.state not in UNDECIDED:
        return None
    if context.is_key_unproven:
        return context.doubt(Event.CHARGE_IN_DOUBT)
    if _may_fail_over(context, outcome):
        return _fail_over(context, outcome)
    event = None if context.state is State.ACCEPTED else Event.CHARGE_NOT_SENT
    if outcome.is_retryable and not context.is_exhausted(outcome) and not context.payment.is_client_confirmed:
        return Decision(event, attempt=context.send_again(outcome))
    finished = context.finish(AttemptStatus.FAILED, outcome.reference, code=outcome.reason)
    if outcome.param is not None:
        finished |= {"param": outcome.param, "message": outcome.message}
    is_known = outcome.reference is not None or context.attempt.is_known_to_provider
    if is_known and (outcome.is_retryable or context.was_sent_before):
        # An earlier call may still be running: only a canceled object can never be charged.
        void = AddAttempt(Verb.VOID, NOT_SENT if outcome.is_retryable else REFUSED, cause=context.attempt.cause)
        return Decision(event, attempt=finished, effects=(void,))
    decline_class = DeclineClass.TECHNICAL if outcome.is_retryable else DeclineClass.HARD
    return end_unpaid(context, finished, decline_class, outcome.reason, Event.CHARGE_FAILED)


def _may_fail_over(context: DecisionContext, outcome: NotSent) -> bool:
    """Tell whether another provider may charge: only if this one provably has no object of the attempt, never in
    doubt."""
    is_unknown_there = outcome.reference is None and not context.attempt.is_known_to_provider
    is_own_outcome = context.attempt.status is AttemptStatus.OPEN and context.allows(Event.CHARGE_REROUTED)
    return context.payment.next_provider is not None and is_unknown_there and is_own_outcome


def _fail_over(context: DecisionContext, outcome: NotSent) -> Decision:
    provider = context.payment.next_provider
    if provider is None:
        raise AssertionError("bug: there is no provider to fail over to")
    finished = context.finish(AttemptStatus.FAILED, code=outcome.reason)
    next_attempt = AddAttempt(context.attempt.verb, provider=provider, cause=context.attempt.cause)
    return Decision(Event.CHARGE_REROUTED, {"provider": provider}, finished, (next_attempt,))
