"""What a payment that fails, recovers or is given up does to its dunning case and its subscription."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from domain.decision import (
    AttemptChanges,
    Decision,
    DecisionContext,
    Effect,
    MarkSubscription,
    PaymentChanges,
    SaveCase,
)
from domain.decline import Decline, DeclineClass, DeclineReason, earliest_retry_after
from domain.declines.caps import Refusal
from domain.dunning.case import MOST_UNSENT, CaseState, SubscriptionStatus, may_retry, unsent_delay
from domain.payment import AttemptStatus, DunningCase, Event

# Card networks want retries of one card this far apart, also after our own system was down for days.
_LEAST_RETRY_GAP = timedelta(hours=20)
# A case waits so long for a network's limit, also after the last planned retry: the limits of a day are over by then.
_LONGEST_WAIT_FOR_LIMIT = timedelta(days=3)


def end_unpaid(
    context: DecisionContext,
    finished: AttemptChanges,
    decline_class: DeclineClass,
    code: str,
    event: Event,
    decline: Decline | None = None,
) -> Decision:
    """End the attempt without money: a subscription's payment goes to dunning, any other ends with `event`.
    `decline`: where an issuer or a bank has decided."""
    changes: PaymentChanges = {"failure_code": code, "next_action": None}
    if not (context.payment.is_off_session and context.payment.subscription_id):
        return Decision(event, changes, finished)
    event, case = _dun(context, decline_class, decline)
    status = SubscriptionStatus.PAST_DUE if case.due_at else SubscriptionStatus.CANCELED
    return Decision(event, changes, finished, (SaveCase(case), MarkSubscription(status)))


def refuse_try(context: DecisionContext, refusal: Refusal) -> Decision:
    """Decide on a charge whose instrument must not be tried now. It uses up no retry: a subscription's case waits until
    the limit allows one, unless that is long after the plan's last retry; then, and else, it ends like a hard decline.
    """
    finished = context.finish(AttemptStatus.FAILED, code=refusal.code)
    payment = context.payment
    if refusal.until is not None and payment.is_off_session and payment.subscription_id:
        case = payment.case or DunningCase(CaseState.RETRYING, first_failed_at=context.now, retry=0)
        plan = context.policy.dunning
        last = plan.retry_at(case.first_failed_at, plan.attempts) or context.now
        due_at = max(refusal.until, context.now + _LEAST_RETRY_GAP)
        if due_at <= max(last, context.now + _LONGEST_WAIT_FOR_LIMIT):
            waiting = replace(case, state=CaseState.RETRYING, due_at=due_at)
            effects = (SaveCase(waiting), MarkSubscription(SubscriptionStatus.PAST_DUE))
            return Decision(Event.RETRY_SCHEDULED, {"next_action": None}, finished, effects)
    return end_unpaid(context, finished, refusal.decline_class, refusal.code, Event.CHARGE_FAILED)


def _dun(context: DecisionContext, decline_class: DeclineClass, decline: Decline | None) -> tuple[Event, DunningCase]:
    """Plan the next retry of a soft decline. After the last retry, or a harder decline, grace begins.

    What no issuer was asked about uses up no retry, and begins no run of retries. Nor does a technical decline, until
    several in a row show that waiting hours does not help."""
    case = context.payment.case or DunningCase(CaseState.RETRYING, first_failed_at=context.now, retry=0)
    if decline is not None and decline.reason is DeclineReason.TECHNICAL and case.unsent >= MOST_UNSENT:
        decline_class = DeclineClass.SOFT
    if decline_class is DeclineClass.TECHNICAL:
        unsent = case.unsent + 1
        due_at = max(context.now + unsent_delay(unsent), _not_before(context, decline))
        return Event.RETRY_SCHEDULED, replace(case, state=CaseState.RETRYING, unsent=unsent, due_at=due_at)
    first_failed_at = case.first_failed_at if case.retry else context.now
    case = replace(case, first_failed_at=first_failed_at, unsent=0)
    if decline_class is DeclineClass.CONSENT_WITHDRAWN:
        return Event.CONSENT_WITHDRAWN, replace(case, state=CaseState.UNCOLLECTIBLE, due_at=None)
    planned = _next_retry(context, case, decline) if may_retry(decline_class) else None
    if planned is not None:
        retry, due_at = planned
        return Event.RETRY_SCHEDULED, replace(case, state=CaseState.RETRYING, retry=retry, due_at=due_at)
    ends_at = context.policy.dunning.grace_ends_at(context.now)
    return Event.GRACE_STARTED, replace(case, state=CaseState.IN_GRACE, due_at=ends_at, grace_ends_at=ends_at)


def _not_before(context: DecisionContext, decline: Decline | None) -> datetime:
    """Return until when the network wants us to wait."""
    wait = earliest_retry_after(decline) if decline is not None else None
    return context.now + (wait or timedelta())


def _next_retry(context: DecisionContext, case: DunningCase, decline: Decline | None) -> tuple[int, datetime] | None:
    """Return the next planned retry that is far enough away: missed days are skipped, not caught up. It waits as long
    as the network advises. None where the reason of the decline allows no more."""
    plan = context.policy.dunning
    most = decline.reason.most_retries if decline is not None and decline.reason is not None else None
    if most is not None and case.retry >= most:
        return None
    for retry in range(case.retry + 1, plan.attempts + 1):
        due_at = plan.retry_at(case.first_failed_at, retry)
        if due_at is not None and due_at >= context.now + _LEAST_RETRY_GAP:
            return retry, max(due_at, _not_before(context, decline))
    return None


def close_case_recovered(context: DecisionContext) -> tuple[Effect, ...]:
    """Return the effects that end the payment's dunning case as recovered, if it has one."""
    case = context.payment.case
    if case is None or case.state is CaseState.RECOVERED:
        return ()
    closed = replace(case, state=CaseState.RECOVERED, due_at=None)
    return (SaveCase(closed), MarkSubscription(SubscriptionStatus.ACTIVE))


def mark_past_due(context: DecisionContext) -> tuple[Effect, ...]:
    """Return the effect of money that was taken back and is not collected again by itself."""
    return (MarkSubscription(SubscriptionStatus.PAST_DUE),) if context.payment.subscription_id else ()


def close_case_uncollectible(context: DecisionContext) -> tuple[Effect, ...]:
    """Return the effects that end the payment's dunning case without money, if it has one."""
    if context.payment.case is None:
        return ()
    closed = replace(context.payment.case, state=CaseState.UNCOLLECTIBLE, due_at=None)
    return (SaveCase(closed), MarkSubscription(SubscriptionStatus.CANCELED))
