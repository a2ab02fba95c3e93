"""`step`: what follows for a payment from an outcome, a command or a date. Pure; the only place that decides."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from domain.backoff import NOT_SENT_TRIES, doubt_delay, not_sent_delay, waiting_delay
from domain.decline import Decline, DeclineClass
from domain.dunning import CaseState, DunningPolicy, SubscriptionStatus, may_retry
from domain.errors import IllegalTransition
from domain.outcome import (
    ActionRequired,
    Approved,
    AuthenticationRequired,
    Declined,
    InDoubt,
    NotSent,
    Outcome,
    Pending,
)
from domain.payment import (
    COLLECTED,
    GIVEN_UP,
    IN_DUNNING,
    TRANSITIONS,
    Attempt,
    AttemptStatus,
    DunningCase,
    Event,
    Payment,
    State,
    Verb,
)

# A worker that dies is noticed when its lease ends; a living one renews every third of it.
LEASE = timedelta(seconds=15)
# Retries of one card stay this far apart even when the system was down for days (card networks' rules).
_LEAST_RETRY_GAP = timedelta(hours=20)
# An authorization is looked at after it should have ended, in case the provider's webhook was lost.
_AFTER_EXPIRY = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Policy:
    """What an operator may configure about settlement."""

    dunning: DunningPolicy = field(default_factory=DunningPolicy)
    action_expires_after: timedelta = timedelta(hours=24)
    max_claims: int = 5


@dataclass(frozen=True, slots=True)
class Started:
    """A worker has claimed the attempt and is about to call the provider."""


@dataclass(frozen=True, slots=True)
class Blocked:
    """The fraud score forbids the charge."""


@dataclass(frozen=True, slots=True)
class ReviewRequired:
    """The fraud score asks for a person."""


@dataclass(frozen=True, slots=True)
class ReviewDecided:
    """An operator has looked."""

    is_approved: bool


@dataclass(frozen=True, slots=True)
class Requested:
    """A capture, void or refund was asked for; its attempt was stored beside this."""


@dataclass(frozen=True, slots=True)
class CancelRequested:
    """Stop a payment of which nothing has reached the provider."""


@dataclass(frozen=True, slots=True)
class RetryDue:
    """The day of the next dunning retry has come."""


@dataclass(frozen=True, slots=True)
class GraceEnded:
    """The last day of grace is over."""


@dataclass(frozen=True, slots=True)
class DebtSettledOtherwise:
    """Another payment has collected the invoice that dunning is after."""


Command = (
    Started
    | Blocked
    | ReviewRequired
    | ReviewDecided
    | Requested
    | CancelRequested
    | RetryDue
    | GraceEnded
    | DebtSettledOtherwise
)
Cause = Command | Outcome


@dataclass(frozen=True, slots=True)
class SaveCase:
    """Open or move the dunning case of the payment."""

    case: DunningCase


@dataclass(frozen=True, slots=True)
class MarkSubscription:
    """Tell the subscription how its payment stands."""

    status: SubscriptionStatus


@dataclass(frozen=True, slots=True)
class OpenAttempt:
    """Store a new attempt of the payment, due now."""

    verb: Verb
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class CloseOtherAttempts:
    """Nothing else of this payment is waited for any more."""


@dataclass(frozen=True, slots=True)
class SettleSiblings:
    """The invoice is collected: end the dunning of its other payments."""


Effect = SaveCase | MarkSubscription | OpenAttempt | CloseOtherAttempts | SettleSiblings


@dataclass(frozen=True, slots=True)
class Step:
    """What to write. `event` None: only the attempt's bookkeeping moves, nothing happened to the payment."""

    event: Event | None
    payment: dict[str, Any] = field(default_factory=dict)
    attempt: dict[str, Any] = field(default_factory=dict)
    effects: tuple[Effect, ...] = ()


def step(payment: Payment, attempt: Attempt | None, cause: Cause, now: datetime, policy: Policy) -> Step | None:
    """Decide what follows from `cause`; None when it is already so (a duplicate, a late echo).

    Raises IllegalTransition when the cause cannot follow from the payment's state."""
    if isinstance(cause, Command):
        decided = _COMMANDS[type(cause)](payment, attempt, cause, now, policy)
    elif attempt is None:
        raise IllegalTransition("bug: an outcome without its attempt")
    else:
        decided = _VERBS[attempt.verb](payment, attempt, cause, now, policy)
    if decided is not None and decided.event is not None:
        target(payment.state, decided.event)
    return decided


def target(state: State, event: Event) -> State:
    """Return the state that the event leads to, by the table."""
    try:
        return TRANSITIONS[state, event]
    except KeyError:
        raise IllegalTransition(f"a payment that is {state} cannot see {event}") from None


# --- collecting: charge and authorize ---------------------------------------------------------------


def _collect(payment: Payment, attempt: Attempt, outcome: Outcome, now: datetime, policy: Policy) -> Step | None:
    match outcome:
        case Approved():
            return _collected(payment, attempt, outcome, now)
        case Declined(decline=decline) | AuthenticationRequired(decline=decline):
            return _declined(payment, attempt, decline, now, policy, outcome.reference)
        case ActionRequired():
            return _action_required(payment, attempt, outcome, now, policy)
        case Pending():
            return _pending(payment, attempt, outcome, now)
        case InDoubt():
            return _in_doubt(payment, attempt, outcome, now, Event.CHARGE_IN_DOUBT)
        case NotSent():
            return _not_sent(payment, attempt, outcome, now, policy)


def _collected(payment: Payment, attempt: Attempt, outcome: Approved, now: datetime) -> Step | None:
    if outcome.voided:
        return _ended_by_provider(payment, attempt, now)
    if payment.state in COLLECTED:
        return None
    if outcome.captured:
        return _captured(payment, attempt, outcome, now)
    if payment.state is State.AUTHORIZED:
        return _look_again_after_expiry(payment, attempt, now)
    if outcome.authorized != attempt.amount or payment.state in GIVEN_UP | IN_DUNNING:
        return _contradiction(payment, attempt, outcome, now)
    return Step(
        Event.CHARGE_AUTHORIZED,
        {
            "authorized": outcome.authorized,
            "authorization_expires_at": outcome.authorization_expires_at,
            "next_action": None,
        },
        _done(
            AttemptStatus.SUCCEEDED,
            now,
            outcome.reference,
            due_at=outcome.authorization_expires_at and outcome.authorization_expires_at + _AFTER_EXPIRY,
        ),
    )


def _captured(payment: Payment, attempt: Attempt, outcome: Approved, now: datetime) -> Step | None:
    is_whole = outcome.captured == attempt.amount
    if not is_whole and not (payment.state is State.AUTHORIZED and outcome.captured < attempt.amount):
        return _contradiction(payment, attempt, outcome, now)
    effects: tuple[Effect, ...] = (CloseOtherAttempts(), *_recovered(payment))
    if payment.has_unpaid_sibling:
        effects += (SettleSiblings(),)
    return Step(
        Event.CAPTURE_SUCCEEDED if payment.state is State.AUTHORIZED else Event.CHARGE_APPROVED,
        {"authorized": outcome.authorized, "captured": outcome.captured, "next_action": None, "failure_code": None},
        _done(AttemptStatus.SUCCEEDED, now, outcome.reference),
        effects,
    )


def _recovered(payment: Payment) -> tuple[Effect, ...]:
    if payment.case is None or payment.case.state is CaseState.RECOVERED:
        return ()
    closed = replace(payment.case, state=CaseState.RECOVERED, due_at=None)
    return (SaveCase(closed), MarkSubscription(SubscriptionStatus.ACTIVE))


def _contradiction(payment: Payment, attempt: Attempt, outcome: Approved, now: datetime) -> Step | None:
    reason = f"provider shows {outcome.captured or outcome.authorized} minor units, {attempt.amount} were asked"
    return _in_doubt(payment, attempt, InDoubt(reason, outcome.reference), now, Event.CHARGE_IN_DOUBT)


def _look_again_after_expiry(payment: Payment, attempt: Attempt, now: datetime) -> Step | None:
    if attempt.verb is not Verb.AUTHORIZE or now < (payment.authorization_expires_at or now):
        return None
    return Step(None, attempt={"due_at": now + waiting_delay(attempt.checks), "checks": attempt.checks + 1})


def _ended_by_provider(payment: Payment, attempt: Attempt, now: datetime) -> Step | None:
    if payment.state in GIVEN_UP | COLLECTED | IN_DUNNING or payment.state is State.BLOCKED:
        return None
    if payment.state is State.AUTHORIZED:
        expiry = payment.authorization_expires_at
        is_expiry = expiry is not None and now >= expiry - _AFTER_EXPIRY
        event = Event.AUTHORIZATION_EXPIRED if is_expiry else Event.VOID_SUCCEEDED
    else:
        event = Event.PAYMENT_EXPIRED if attempt.reason == "expired" else Event.PAYMENT_CANCELED
    status = AttemptStatus.SUCCEEDED if attempt.verb is Verb.VOID else AttemptStatus.CANCELED
    return Step(event, {"next_action": None}, _done(status, now), (CloseOtherAttempts(),))


def _declined(
    payment: Payment, attempt: Attempt, decline: Decline, now: datetime, policy: Policy, reference: str | None
) -> Step | None:
    if payment.state in COLLECTED | GIVEN_UP | IN_DUNNING or payment.state is State.AUTHORIZED:
        return None
    if payment.is_client_confirmed:
        # The front end may try another card on the same intent, so the payment stays open.
        return _action_required(payment, attempt, ActionRequired(reference or ""), now, policy)
    closing = _done(
        AttemptStatus.DECLINED,
        now,
        reference,
        code=decline.code,
        decline_class=decline.decline_class.value,
        decline_code=decline.decline_code,
        advice_code=decline.advice_code,
        network_advice_code=decline.network_advice_code,
        network_decline_code=decline.network_decline_code,
    )
    return _refused(payment, closing, decline.decline_class, decline.decline_code or decline.code, now, policy)


def _refused(
    payment: Payment,
    closing: dict[str, Any],
    decline_class: DeclineClass,
    code: str,
    now: datetime,
    policy: Policy,
    otherwise: Event = Event.CHARGE_DECLINED,
) -> Step:
    changes = {"failure_code": code, "next_action": None}
    if not (payment.is_off_session and payment.subscription_id):
        return Step(otherwise, changes, closing)
    if decline_class is DeclineClass.CONSENT_WITHDRAWN:
        case = _case(payment, now, CaseState.UNCOLLECTIBLE)
        ending = (SaveCase(case), MarkSubscription(SubscriptionStatus.CANCELED))
        return Step(Event.CONSENT_WITHDRAWN, changes, closing, ending)
    retry, due_at = _next_retry(payment, now, policy) if may_retry(decline_class) else (0, None)
    if due_at is not None:
        case = replace(_case(payment, now, CaseState.RETRYING), retry=retry, due_at=due_at)
        event = Event.RETRY_SCHEDULED
    else:
        ends_at = policy.dunning.grace_ends_at(now)
        case = replace(_case(payment, now, CaseState.IN_GRACE), due_at=ends_at, grace_ends_at=ends_at)
        event = Event.GRACE_STARTED
    return Step(event, changes, closing, (SaveCase(case), MarkSubscription(SubscriptionStatus.PAST_DUE)))


def _case(payment: Payment, now: datetime, state: CaseState) -> DunningCase:
    started = payment.case or DunningCase(state, first_failed_at=now, retry=0)
    return replace(started, state=state, due_at=None)


def _next_retry(payment: Payment, now: datetime, policy: Policy) -> tuple[int, datetime | None]:
    """The next planned retry that is far enough away: days that were missed are not made up for."""
    first, made = (payment.case.first_failed_at, payment.case.retry) if payment.case else (now, 0)
    for retry in range(made + 1, policy.dunning.attempts + 1):
        due_at = policy.dunning.retry_at(first, retry)
        if due_at is not None and due_at >= now + _LEAST_RETRY_GAP:
            return retry, due_at
    return made, None


def _action_required(
    payment: Payment, attempt: Attempt, outcome: ActionRequired, now: datetime, policy: Policy
) -> Step | None:
    waiting = {
        "status": AttemptStatus.ACTION_REQUIRED,
        "due_at": now + waiting_delay(attempt.checks),
        "checks": attempt.checks + 1,
        "claims": 0,
    }
    if payment.state is State.REQUIRES_ACTION:
        is_abandoned = now >= payment.created_at + policy.action_expires_after
        return Step(None, attempt=waiting, effects=(OpenAttempt(Verb.VOID, "expired"),) if is_abandoned else ())
    if payment.state not in (State.ACCEPTED, State.PROCESSING, State.IN_DOUBT):
        return None
    waiting |= {"checks": 0, "provider_reference": outcome.reference, "due_at": now + waiting_delay(0)}
    return Step(Event.ACTION_REQUIRED, {"next_action": outcome.next_action}, waiting)


def _pending(payment: Payment, attempt: Attempt, outcome: Pending, now: datetime) -> Step | None:
    waiting = {
        "status": AttemptStatus.PENDING,
        "due_at": now + waiting_delay(attempt.checks),
        "checks": attempt.checks + 1,
        "claims": 0,
    }
    if payment.state is State.PENDING:
        return Step(None, attempt=waiting)
    if (payment.state, Event.CHARGE_PENDING) not in TRANSITIONS:
        return None
    waiting |= {"checks": 0, "provider_reference": outcome.reference, "due_at": now + waiting_delay(0)}
    return Step(Event.CHARGE_PENDING, {"next_action": None}, waiting)


def _not_sent(payment: Payment, attempt: Attempt, outcome: NotSent, now: datetime, policy: Policy) -> Step | None:
    if payment.is_client_confirmed and outcome.reference is not None:
        return _action_required(payment, attempt, ActionRequired(outcome.reference), now, policy)
    if payment.state not in (State.ACCEPTED, State.PROCESSING, State.IN_DOUBT):
        return None
    if outcome.is_retryable and not payment.is_client_confirmed and not _is_exhausted(attempt, policy):
        again = _again(attempt, now)
        return Step(None if payment.state is State.ACCEPTED else Event.CHARGE_NOT_SENT, attempt=again)
    closing = _done(AttemptStatus.FAILED, now, outcome.reference, code=outcome.reason)
    return _refused(payment, closing, DeclineClass.HARD, outcome.reason, now, policy, Event.CHARGE_FAILED)


def _again(attempt: Attempt, now: datetime) -> dict[str, Any]:
    return {
        "status": AttemptStatus.DUE,
        "due_at": now + not_sent_delay(attempt.retries, attempt.id),
        "retries": attempt.retries + 1,
    }


def _is_exhausted(attempt: Attempt, policy: Policy) -> bool:
    return attempt.retries + 1 >= NOT_SENT_TRIES or attempt.claims >= policy.max_claims


def _in_doubt(payment: Payment, attempt: Attempt, outcome: InDoubt, now: datetime, event: Event) -> Step | None:
    if payment.state in COLLECTED and attempt.verb is not Verb.REFUND:
        return None
    doubting = {
        "status": AttemptStatus.IN_DOUBT,
        "due_at": now + doubt_delay(attempt.checks),
        "checks": attempt.checks + 1,
    }
    if attempt.status in (AttemptStatus.PENDING, AttemptStatus.ACTION_REQUIRED, AttemptStatus.SUCCEEDED):
        # The provider could not be asked; what was known before still holds.
        return Step(None, attempt={"due_at": doubting["due_at"], "checks": doubting["checks"]})
    if attempt.status is AttemptStatus.IN_DOUBT or (payment.state, event) not in TRANSITIONS:
        return Step(None, attempt=doubting)
    return Step(event, attempt=doubting | {"checks": 0, "due_at": now + doubt_delay(0)})


# --- capture, void, refund --------------------------------------------------------------------------


def _capture(payment: Payment, attempt: Attempt, outcome: Outcome, now: datetime, policy: Policy) -> Step | None:
    match outcome:
        case Approved(voided=True):
            return _ended_by_provider(payment, attempt, now)
        case Approved(captured=captured) if captured:
            if payment.state is not State.AUTHORIZED:
                return _close_quietly(attempt, AttemptStatus.SUCCEEDED, now)
            return _captured(payment, attempt, replace(outcome, authorized=payment.authorized), now)
        case Approved():
            return _redo(payment, attempt, NotSent("not_executed"), now, policy, Event.CAPTURE_FAILED)
    return _operation(payment, attempt, outcome, now, policy, Event.CAPTURE_IN_DOUBT, Event.CAPTURE_FAILED)


def _void(payment: Payment, attempt: Attempt, outcome: Outcome, now: datetime, policy: Policy) -> Step | None:
    match outcome:
        case Approved(voided=True):
            return _ended_by_provider(payment, attempt, now) or _close_quietly(attempt, AttemptStatus.SUCCEEDED, now)
        case Approved(captured=captured) if captured:
            collected = _collected(payment, replace(attempt, amount=payment.amount), outcome, now)
            closing = _done(AttemptStatus.FAILED, now, code="already_captured")
            return replace(collected, attempt=closing) if collected else Step(None, attempt=closing)
        case Approved() | ActionRequired():
            return _redo(payment, attempt, NotSent("not_executed"), now, policy, Event.VOID_FAILED)
    return _operation(payment, attempt, outcome, now, policy, Event.VOID_IN_DOUBT, Event.VOID_FAILED)


def _refund(payment: Payment, attempt: Attempt, outcome: Outcome, now: datetime, policy: Policy) -> Step | None:
    match outcome:
        case Approved(refunded=refunded):
            if attempt.status is AttemptStatus.SUCCEEDED:
                return None
            if refunded != attempt.amount:
                reason = f"provider shows {refunded} minor units refunded, {attempt.amount} were asked"
                return _in_doubt(payment, attempt, InDoubt(reason), now, Event.REFUND_IN_DOUBT)
            total = payment.refunded + refunded
            event = Event.REFUNDED_FULLY if total == payment.captured else Event.REFUNDED_PARTLY
            return Step(event, {"refunded": total}, _done(AttemptStatus.SUCCEEDED, now, outcome.reference))
        case Pending(reference=reference):
            waiting = {
                "status": AttemptStatus.PENDING,
                "provider_reference": reference,
                "due_at": now + waiting_delay(attempt.checks),
                "checks": attempt.checks + 1,
            }
            is_news = attempt.status is not AttemptStatus.PENDING
            return Step(Event.REFUND_PENDING if is_news else None, attempt=waiting)
        case Declined() if attempt.status is AttemptStatus.SUCCEEDED:
            left = payment.refunded - attempt.amount
            event = Event.REFUND_REVERSED_PARTLY if left else Event.REFUND_REVERSED_FULLY
            closing = _done(AttemptStatus.FAILED, now, code=outcome.decline.code)
            return Step(event, {"refunded": left}, closing)
    return _operation(payment, attempt, outcome, now, policy, Event.REFUND_IN_DOUBT, Event.REFUND_FAILED)


def _operation(
    payment: Payment,
    attempt: Attempt,
    outcome: Outcome,
    now: datetime,
    policy: Policy,
    in_doubt: Event,
    failed: Event,
) -> Step | None:
    match outcome:
        case NotSent():
            return _redo(payment, attempt, outcome, now, policy, failed)
        case Declined(decline=decline) | AuthenticationRequired(decline=decline):
            return _redo(payment, attempt, NotSent(decline.code, is_retryable=False), now, policy, failed)
        case InDoubt():
            return _in_doubt(payment, attempt, outcome, now, in_doubt)
    reason = f"provider answered {type(outcome).__name__} to {attempt.verb}"
    return _in_doubt(payment, attempt, InDoubt(reason), now, in_doubt)


def _redo(
    payment: Payment, attempt: Attempt, outcome: NotSent, now: datetime, policy: Policy, failed: Event
) -> Step | None:
    if attempt.status not in (AttemptStatus.DUE, AttemptStatus.OPEN, AttemptStatus.IN_DOUBT, AttemptStatus.PENDING):
        return None
    if outcome.is_retryable and not _is_exhausted(attempt, policy):
        return Step(None, attempt=_again(attempt, now))
    closing = _done(AttemptStatus.FAILED, now, code=outcome.reason)
    return Step(failed if (payment.state, failed) in TRANSITIONS else None, attempt=closing)


def _close_quietly(attempt: Attempt, status: AttemptStatus, now: datetime) -> Step | None:
    return None if attempt.status is status else Step(None, attempt=_done(status, now))


def _done(status: AttemptStatus, now: datetime, reference: str | None = None, **columns: Any) -> dict[str, Any]:
    closing: dict[str, Any] = {"status": status, "due_at": None, "settled_at": now, "claims": 0}
    if reference is not None:
        closing["provider_reference"] = reference
    return closing | columns


# --- commands and dates -----------------------------------------------------------------------------


def _start(payment: Payment, attempt: Attempt | None, cause: Cause, now: datetime, policy: Policy) -> Step | None:
    assert attempt is not None
    claimed = {"status": AttemptStatus.OPEN, "due_at": now + LEASE, "claims": attempt.claims + 1}
    is_first = attempt.verb.is_collecting and payment.state is not State.PROCESSING
    return Step(Event.CHARGE_STARTED if is_first else None, attempt=claimed)


def _block(payment: Payment, attempt: Attempt | None, cause: Cause, now: datetime, policy: Policy) -> Step | None:
    return Step(
        Event.FRAUD_BLOCKED, {"failure_code": "fraud_blocked"}, _done(AttemptStatus.CANCELED, now, code="fraud_blocked")
    )


def _hold_for_review(
    payment: Payment, attempt: Attempt | None, cause: Cause, now: datetime, policy: Policy
) -> Step | None:
    return Step(Event.REVIEW_REQUIRED, attempt={"due_at": None})


def _review(payment: Payment, attempt: Attempt | None, cause: Cause, now: datetime, policy: Policy) -> Step | None:
    assert isinstance(cause, ReviewDecided)
    if cause.is_approved:
        return Step(Event.REVIEW_APPROVED, attempt={"due_at": now})
    return Step(Event.REVIEW_REJECTED, {"failure_code": "review_rejected"}, _done(AttemptStatus.CANCELED, now))


def _request(payment: Payment, attempt: Attempt | None, cause: Cause, now: datetime, policy: Policy) -> Step | None:
    assert attempt is not None
    events = {
        Verb.CAPTURE: Event.CAPTURE_REQUESTED,
        Verb.VOID: Event.VOID_REQUESTED,
        Verb.REFUND: Event.REFUND_REQUESTED,
    }
    return Step(events[attempt.verb])


def _cancel(payment: Payment, attempt: Attempt | None, cause: Cause, now: datetime, policy: Policy) -> Step | None:
    effects: tuple[Effect, ...] = (CloseOtherAttempts(),)
    if payment.case is not None:
        closed = replace(payment.case, state=CaseState.UNCOLLECTIBLE, due_at=None)
        effects += (SaveCase(closed), MarkSubscription(SubscriptionStatus.CANCELED))
    return Step(Event.PAYMENT_CANCELED, {"next_action": None}, effects=effects)


def _retry(payment: Payment, attempt: Attempt | None, cause: Cause, now: datetime, policy: Policy) -> Step | None:
    if payment.state is not State.PAST_DUE or payment.case is None:
        return None
    return Step(Event.RETRY_STARTED, effects=(SaveCase(replace(payment.case, due_at=None)), OpenAttempt(Verb.CHARGE)))


def _end_grace(payment: Payment, attempt: Attempt | None, cause: Cause, now: datetime, policy: Policy) -> Step | None:
    if payment.state is not State.IN_GRACE or payment.case is None:
        return None
    closed = replace(payment.case, state=CaseState.UNCOLLECTIBLE, due_at=None)
    return Step(Event.GRACE_EXPIRED, effects=(SaveCase(closed), MarkSubscription(SubscriptionStatus.CANCELED)))


def _settled_otherwise(
    payment: Payment, attempt: Attempt | None, cause: Cause, now: datetime, policy: Policy
) -> Step | None:
    if payment.state not in IN_DUNNING:
        return None
    return Step(Event.DEBT_SETTLED_OTHERWISE, effects=(CloseOtherAttempts(), *_recovered(payment)))


_Decider = Callable[[Payment, Attempt, Outcome, datetime, Policy], Step | None]
_VERBS: dict[Verb, _Decider] = {
    Verb.CHARGE: _collect,
    Verb.AUTHORIZE: _collect,
    Verb.CAPTURE: _capture,
    Verb.VOID: _void,
    Verb.REFUND: _refund,
}
_CommandDecider = Callable[[Payment, Attempt | None, Cause, datetime, Policy], Step | None]
_COMMANDS: dict[type[Command], _CommandDecider] = {
    Started: _start,
    Blocked: _block,
    ReviewRequired: _hold_for_review,
    ReviewDecided: _review,
    Requested: _request,
    CancelRequested: _cancel,
    RetryDue: _retry,
    GraceEnded: _end_grace,
    DebtSettledOtherwise: _settled_otherwise,
}
