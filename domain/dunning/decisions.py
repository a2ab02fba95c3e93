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
from domain.decline import DeclineClass
from domain.dunning.case import CaseState, SubscriptionStatus, may_retry, unsent_delay
from domain.payment import DunningCase, Event

# Card networks want retries of one card this far apart, also after our own system was down for days.
_LEAST_RETRY_GAP = timedelta(hours=20)


def end_unpaid(
    context: DecisionContext, finished: AttemptChanges, decline_class: DeclineClass, code: str, event: Event
) -> Decision:
    """End the attempt without money: a subscription's payment goes to dunning, any other ends with `event`."""
    changes: PaymentChanges = {"failure_code": code, "next_action": None}
    if not (context.payment.is_off_session and context.payment.subscription_id):
        return Decision(event, changes, finished)
    event, case = _dun(context, decline_class)
    status = SubscriptionStatus.PAST_DUE if case.due_at else SubscriptionStatus.CANCELED
    return Decision(event, changes, finished, (SaveCase(case), MarkSubscription(status)))


def _dun(context: DecisionContext, decline_class: DeclineClass) -> tuple[Event, DunningCase]:
    """Plan the next retry of a soft decline. After the last retry, or a harder decline, grace begins.

    What no issuer was asked about uses up no retry, and begins no run of retries."""
    case = context.payment.case or DunningCase(CaseState.RETRYING, first_failed_at=context.now, retry=0)
    if decline_class is DeclineClass.TECHNICAL:
        unsent, due_at = case.unsent + 1, context.now + unsent_delay(case.unsent + 1)
        return Event.RETRY_SCHEDULED, replace(case, state=CaseState.RETRYING, unsent=unsent, due_at=due_at)
    first_failed_at = case.first_failed_at if case.retry else context.now
    case = replace(case, first_failed_at=first_failed_at, unsent=0)
    if decline_class is DeclineClass.CONSENT_WITHDRAWN:
        return Event.CONSENT_WITHDRAWN, replace(case, state=CaseState.UNCOLLECTIBLE, due_at=None)
    planned = _next_retry(context, case) if may_retry(decline_class) else None
    if planned is not None:
        retry, due_at = planned
        return Event.RETRY_SCHEDULED, replace(case, state=CaseState.RETRYING, retry=retry, due_at=due_at)
    ends_at = context.policy.dunning.grace_ends_at(context.now)
    return Event.GRACE_STARTED, replace(case, state=CaseState.IN_GRACE, due_at=ends_at, grace_ends_at=ends_at)


def _next_retry(context: DecisionContext, case: DunningCase) -> tuple[int, datetime] | None:
    """Return the next planned retry that is far enough away: missed days are skipped, not caught up."""
    plan = context.policy.dunning
    for retry in range(case.retry + 1, plan.attempts + 1):
        due_at = plan.retry_at(case.first_failed_at, retry)
        if due_at is not None and due_at >= context.now + _LEAST_RETRY_GAP:
            return retry, due_at
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


def mark_active(context: DecisionContext) -> tuple[Effect, ...]:
    """Return the effect of money that is there again after it was taken back."""
    return (MarkSubscription(SubscriptionStatus.ACTIVE),) if context.payment.subscription_id else ()


def close_case_uncollectible(context: DecisionContext) -> tuple[Effect, ...]:
    """Return the effects that end the payment's dunning case without money, if it has one."""
    if context.payment.case is None:
        return ()
    closed = replace(context.payment.case, state=CaseState.UNCOLLECTIBLE, due_at=None)
    return (SaveCase(closed), MarkSubscription(SubscriptionStatus.CANCELED))
