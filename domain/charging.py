"""What follows from a provider's answer to a charge or an authorization, dunning included."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from domain.backoff import waiting_delay
from domain.decision import (
    CloseOtherAttempts,
    CloseSiblingCases,
    Decision,
    DecisionContext,
    Effect,
    MarkSubscription,
    OpenAttempt,
    SaveCase,
)
from domain.decline import Decline, DeclineClass
from domain.dunning import CaseState, SubscriptionStatus, may_retry
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
from domain.payment import CLOSED_UNPAID, COLLECTED, IN_DUNNING, AttemptStatus, DunningCase, Event, State, Verb

# Retries of one card stay this far apart even when the system was down for days (card networks' rules).
_LEAST_RETRY_GAP = timedelta(hours=20)
# An authorization is looked at after it should have ended, in case the provider's webhook was lost.
_AFTER_EXPIRY = timedelta(hours=1)
# By then the ladder of doubt has taken more than five minutes: no call of ours lasts that long.
_LOOKS_BEFORE_BELIEF = 6
# Nothing has been decided about the money yet.
_UNDECIDED = (State.ACCEPTED, State.PROCESSING, State.IN_DOUBT)
# Why we void what was never charged: nothing could be sent, or the customer did not come back.
NOT_SENT = "not_sent"
_ENDS = {NOT_SENT: (NOT_SENT, Event.CHARGE_FAILED), "expired": ("action_expired", Event.PAYMENT_EXPIRED)}
_CLOSED = (AttemptStatus.DECLINED, AttemptStatus.FAILED, AttemptStatus.CANCELED)
# Actions that take longer than a checkout. An invoice is payable until somebody cancels it.
_PATIENCE: dict[str, timedelta] = {
    "verify_with_microdeposits": timedelta(days=14),
    "display_bank_transfer_instructions": timedelta(days=14),
    "pay_by_invoice": timedelta.max,
}


def collect(at: DecisionContext, outcome: Outcome) -> Decision | None:
    """Decide on the outcome of a charge or an authorization.

    An attempt that is closed says nothing more about its payment, which may be on its next attempt; unless it
    turns out to have taken or held money after all."""
    has_money = isinstance(outcome, AmountMismatch | CustomerApproved) or (
        isinstance(outcome, Approved) and not outcome.voided
    )
    if at.attempt.status in _CLOSED and not has_money:
        return None
    match outcome:
        case Approved():
            return collected(at, outcome)
        case (
            Declined(reference=reference, decline=decline)
            | AuthenticationRequired(reference=reference, decline=decline)
        ):
            return _declined(at, decline, reference)
        case ActionRequired():
            return _action_required(at, outcome)
        case CustomerApproved():
            return _resumed(at, outcome)
        case Pending():
            return _pending(at, outcome)
        case AmountMismatch():
            return _unresolved(at, outcome)
        case InDoubt(reason=reason):
            is_lost = reason == WORKER_LOST
            return None if at.state in COLLECTED else at.in_doubt(Event.CHARGE_IN_DOUBT, is_worker_lost=is_lost)
        case NotSent():
            return _not_sent(at, outcome)


def collected(at: DecisionContext, outcome: Approved) -> Decision | None:
    """Take what the provider's books show into ours."""
    if outcome.voided:
        # An earlier call of ours may have used up what the provider does not know any more.
        is_early = outcome.may_still_charge and at.attempt.lookups < _LOOKS_BEFORE_BELIEF and at.state in _UNDECIDED
        return at.in_doubt(Event.CHARGE_IN_DOUBT) if is_early else ended_by_provider(at)
    is_known = at.attempt.status is AttemptStatus.SUCCEEDED
    if at.state in COLLECTED:
        return None if is_known else _collected_twice(at, outcome)
    if outcome.captured:
        return captured(at, outcome)
    if at.state is State.AUTHORIZED:
        return _look_again_after_expiry(at)
    if at.state in CLOSED_UNPAID | IN_DUNNING:
        return None if is_known else _release(at, outcome)
    if outcome.authorized != at.attempt.amount:
        return at.in_doubt(Event.CHARGE_IN_DOUBT)
    expires_at = outcome.authorization_expires_at
    changes = {
        "authorized": outcome.authorized,
        "authorization_expires_at": expires_at,
        "next_action": None,
        "failure_code": None,
    }
    look_at = expires_at and expires_at + _AFTER_EXPIRY
    closing = at.done(AttemptStatus.SUCCEEDED, outcome.reference, due_at=look_at)
    return Decision(Event.CHARGE_AUTHORIZED, changes, closing)


def _collected_twice(at: DecisionContext, outcome: Approved) -> Decision | None:
    """A second attempt took the money as well: kept in the audit trail for an operator to give it back."""
    if not outcome.captured:
        return _release(at, outcome)
    return Decision(Event.CHARGE_DUPLICATED, attempt=at.done(AttemptStatus.SUCCEEDED, outcome.reference))


def _release(at: DecisionContext, outcome: Approved | CustomerApproved) -> Decision:
    """An authorization, or a customer's consent to one, surfaced that nobody waits for any more: let it go."""
    status = AttemptStatus.SUCCEEDED if isinstance(outcome, Approved) else AttemptStatus.CANCELED
    closing = at.done(status, outcome.reference)
    letting_go = OpenAttempt(Verb.VOID, "late_authorization", reference=outcome.reference)
    return Decision(None, attempt=closing, effects=(letting_go,))


def captured(at: DecisionContext, outcome: Approved) -> Decision:
    """Record captured money: all that was asked, part of what was authorized before, or what a person accepted."""
    is_part = at.state is State.AUTHORIZED and outcome.captured < at.attempt.amount
    is_held = at.attempt.status is AttemptStatus.SUCCEEDED
    expected = at.payment.authorized if is_held else at.attempt.amount
    # What a person accepts is what has come, which may be more by now than when he looked.
    is_accepted = at.state is State.REVIEW or (at.state in CLOSED_UNPAID and is_held)
    if outcome.captured != expected and not is_part and not is_accepted:
        return at.in_doubt(Event.CHARGE_IN_DOUBT)
    siblings = (CloseSiblingCases(),) if at.payment.has_unpaid_sibling else ()
    changes = {
        "authorized": outcome.authorized,
        "captured": outcome.captured,
        "next_action": None,
        "failure_code": None,
    }
    return Decision(
        Event.CAPTURE_SUCCEEDED if at.state in (State.AUTHORIZED, State.REVIEW) else Event.CHARGE_APPROVED,
        changes,
        at.done(AttemptStatus.SUCCEEDED, outcome.reference),
        (CloseOtherAttempts(), *recovered(at), *siblings),
    )


def recovered(at: DecisionContext) -> tuple[Effect, ...]:
    """Return the effects that end a dunning case with success, if there is one."""
    if at.payment.case is None or at.payment.case.state is CaseState.RECOVERED:
        return ()
    closed = replace(at.payment.case, state=CaseState.RECOVERED, due_at=None)
    return (SaveCase(closed), MarkSubscription(SubscriptionStatus.ACTIVE))


def ended_by_provider(at: DecisionContext) -> Decision | None:
    """Record that the provider's object was canceled: by our void, by expiry, or by somebody there."""
    if at.state in CLOSED_UNPAID | COLLECTED | IN_DUNNING | {State.BLOCKED}:
        return None
    is_ours = at.attempt.verb is Verb.VOID
    closing = at.done(AttemptStatus.SUCCEEDED if is_ours else AttemptStatus.CANCELED)
    if at.state is State.AUTHORIZED:
        expiry = at.payment.authorization_expires_at
        is_expiry = expiry is not None and at.now >= expiry - _AFTER_EXPIRY
        event = Event.AUTHORIZATION_EXPIRED if is_expiry else Event.VOID_SUCCEEDED
        return Decision(event, {"next_action": None}, closing, (CloseOtherAttempts(),))
    if is_ours and at.attempt.reason is None:
        return Decision(Event.PAYMENT_CANCELED, {"next_action": None}, closing, (CloseOtherAttempts(), *abandoned(at)))
    decline_class = DeclineClass.SOFT if at.attempt.reason == NOT_SENT else DeclineClass.HARD
    code, event = _ENDS.get(at.attempt.reason or "", ("canceled_at_provider", Event.PAYMENT_CANCELED))
    refused = _refused(at, closing, decline_class, code, event)
    return replace(refused, effects=(CloseOtherAttempts(), *refused.effects))


def abandoned(at: DecisionContext) -> tuple[Effect, ...]:
    """Return the effects that end a dunning case because somebody stopped the payment, if there is one."""
    if at.payment.case is None:
        return ()
    closed = replace(at.payment.case, state=CaseState.UNCOLLECTIBLE, due_at=None)
    return (SaveCase(closed), MarkSubscription(SubscriptionStatus.CANCELED))


def _look_again_after_expiry(at: DecisionContext) -> Decision | None:
    expiry = at.payment.authorization_expires_at
    if at.attempt.verb is not Verb.AUTHORIZE or expiry is None or at.now < expiry:
        return None
    lookups = at.attempt.lookups
    return Decision(None, attempt={"due_at": at.now + waiting_delay(lookups), "lookups": lookups + 1})


def _declined(at: DecisionContext, decline: Decline, reference: str | None) -> Decision | None:
    if at.state in COLLECTED | CLOSED_UNPAID | IN_DUNNING | {State.AUTHORIZED}:
        return None
    if at.payment.is_client_confirmed:
        # The front end may try another card on the same intent, so the payment stays open.
        return _action_required(at, ActionRequired(reference or ""))
    closing = at.done(
        AttemptStatus.DECLINED,
        reference,
        code=decline.code,
        decline_class=decline.decline_class,
        decline_code=decline.decline_code,
        advice_code=decline.advice_code,
        network_advice_code=decline.network_advice_code,
        network_decline_code=decline.network_decline_code,
    )
    code = decline.decline_code or decline.code
    return _refused(at, closing, decline.decline_class, code, Event.CHARGE_DECLINED)


def _refused(
    at: DecisionContext, closing: dict[str, Any], decline_class: DeclineClass, code: str, event: Event
) -> Decision:
    """End the attempt without money; a subscription's payment goes to dunning, any other ends with `event`."""
    changes = {"failure_code": code, "next_action": None}
    if not (at.payment.is_off_session and at.payment.subscription_id):
        return Decision(event, changes, closing)
    event, case = _dunned(at, decline_class)
    status = SubscriptionStatus.PAST_DUE if case.due_at else SubscriptionStatus.CANCELED
    return Decision(event, changes, closing, (SaveCase(case), MarkSubscription(status)))


def _dunned(at: DecisionContext, decline_class: DeclineClass) -> tuple[Event, DunningCase]:
    """A soft decline is tried again while retries are planned; after the last, or a harder one, grace begins."""
    known = at.payment.case or DunningCase(CaseState.RETRYING, first_failed_at=at.now, retry=0)
    if decline_class is DeclineClass.CONSENT_WITHDRAWN:
        return Event.CONSENT_WITHDRAWN, replace(known, state=CaseState.UNCOLLECTIBLE, due_at=None)
    planned = _next_retry(at, known) if may_retry(decline_class) else None
    if planned is not None:
        retry, due_at = planned
        return Event.RETRY_SCHEDULED, replace(known, state=CaseState.RETRYING, retry=retry, due_at=due_at)
    ends_at = at.policy.dunning.grace_ends_at(at.now)
    return Event.GRACE_STARTED, replace(known, state=CaseState.IN_GRACE, due_at=ends_at, grace_ends_at=ends_at)


def _next_retry(at: DecisionContext, case: DunningCase) -> tuple[int, datetime] | None:
    """Return the next planned retry that is far enough away: days that were missed are not made up for."""
    plan = at.policy.dunning
    for retry in range(case.retry + 1, plan.attempts + 1):
        due_at = plan.retry_at(case.first_failed_at, retry)
        if due_at is not None and due_at >= at.now + _LEAST_RETRY_GAP:
            return retry, due_at
    return None


def _action_required(at: DecisionContext, outcome: ActionRequired) -> Decision | None:
    if at.state is State.REQUIRES_ACTION:
        waiting = at.waiting(AttemptStatus.ACTION_REQUIRED, waiting_delay(at.attempt.lookups))
        patience = _PATIENCE.get(outcome.next_action.get("type", ""), at.policy.action_expires_after)
        is_abandoned = at.now - at.payment.created_at >= patience
        effects = (OpenAttempt(Verb.VOID, "expired"),) if is_abandoned else ()
        # What is left of a transfer changes with every part that comes.
        changes = {"next_action": outcome.next_action} if outcome.next_action.get("type") in _PATIENCE else {}
        return Decision(None, changes, waiting, effects)
    is_open_again = at.state is State.PENDING and at.payment.is_client_confirmed
    if at.state not in _UNDECIDED and not is_open_again:
        return None
    delay = waiting_delay(at.attempt.lookups if at.waits_on(AttemptStatus.ACTION_REQUIRED) else 0)
    waiting = at.waiting(AttemptStatus.ACTION_REQUIRED, delay, outcome.reference)
    return Decision(Event.ACTION_REQUIRED, {"next_action": outcome.next_action}, waiting)


def _resumed(at: DecisionContext, outcome: CustomerApproved) -> Decision | None:
    if at.attempt.status in _CLOSED:
        return _release(at, outcome) if at.state in CLOSED_UNPAID | IN_DUNNING | COLLECTED else None
    if at.crashes_workers:
        return _not_sent(at, NotSent("not_completed", reference=outcome.reference))
    if at.attempt.status is AttemptStatus.DUE:
        return None
    if not at.allows(Event.CHARGE_RESUMED) or at.payment.is_client_confirmed or at.payment.has_other_due_attempt:
        # A void of it is under way: what comes of that decides.
        return None
    return Decision(Event.CHARGE_RESUMED, {"next_action": None}, at.resumed(outcome.reference))


def _pending(at: DecisionContext, outcome: Pending) -> Decision | None:
    if at.state is State.PENDING:
        return Decision(None, attempt=at.waiting(AttemptStatus.PENDING, waiting_delay(at.attempt.lookups)))
    if not at.allows(Event.CHARGE_PENDING):
        return None
    waiting = at.waiting(AttemptStatus.PENDING, waiting_delay(0), outcome.reference)
    return Decision(Event.CHARGE_PENDING, {"next_action": None}, waiting)


def _unresolved(at: DecisionContext, outcome: AmountMismatch) -> Decision | None:
    """Hold money that does not match what was asked until a person accepts it or gives it back."""
    if at.state in COLLECTED:
        # The customer has paid once more; given back by a person.
        is_news = outcome.received > max(at.payment.captured, at.payment.authorized)
        return Decision(Event.CHARGE_DUPLICATED, {"authorized": outcome.received}) if is_news else None
    if at.attempt.status is AttemptStatus.SUCCEEDED:
        is_more = at.state is State.REVIEW and outcome.received != at.payment.authorized
        return Decision(None, {"authorized": outcome.received}) if is_more else None
    if not at.allows(Event.AMOUNT_MISMATCHED):
        return None
    changes = {"authorized": outcome.received, "failure_code": outcome.reason, "next_action": None}
    return Decision(Event.AMOUNT_MISMATCHED, changes, at.done(AttemptStatus.SUCCEEDED, outcome.reference))


def _not_sent(at: DecisionContext, outcome: NotSent) -> Decision | None:
    is_waiting = at.payment.is_client_confirmed or at.state is State.REQUIRES_ACTION
    if is_waiting and outcome.reference is not None:
        return _action_required(at, ActionRequired(outcome.reference))
    if at.state not in _UNDECIDED:
        return None
    if _may_go_elsewhere(at, outcome):
        return _rerouted(at, outcome)
    waiting = None if at.state is State.ACCEPTED else Event.CHARGE_NOT_SENT
    if outcome.is_retryable and not at.is_exhausted and not at.payment.is_client_confirmed:
        return Decision(waiting, attempt=at.again())
    closing = at.done(AttemptStatus.FAILED, outcome.reference, code=outcome.reason)
    if outcome.is_retryable and (outcome.reference is not None or at.attempt.is_known_to_provider):
        # A confirm of ours may still be on its way: only a canceled intent can never be charged.
        return Decision(waiting, attempt=closing, effects=(OpenAttempt(Verb.VOID, NOT_SENT),))
    decline_class = DeclineClass.SOFT if outcome.is_retryable else DeclineClass.HARD
    return _refused(at, closing, decline_class, outcome.reason, Event.CHARGE_FAILED)


def _may_go_elsewhere(at: DecisionContext, outcome: NotSent) -> bool:
    """Only what is proven to be unknown to this provider goes to another; never out of doubt."""
    is_untouched = outcome.reference is None and not at.attempt.is_known_to_provider
    is_own_answer = at.attempt.status is AttemptStatus.OPEN and at.allows(Event.CHARGE_REROUTED)
    return at.payment.next_provider is not None and is_untouched and is_own_answer


def _rerouted(at: DecisionContext, outcome: NotSent) -> Decision:
    closing = at.done(AttemptStatus.FAILED, code=outcome.reason)
    elsewhere = OpenAttempt(at.attempt.verb, provider=at.payment.next_provider)
    return Decision(Event.CHARGE_REROUTED, {"provider": at.payment.next_provider}, closing, (elsewhere,))
