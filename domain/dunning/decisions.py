"""What a payment that fails, recovers or is given up does to its dunning case and its subscription."""

from __future__ import annotations

from dataclasses import replace

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
from domain.dunning.case import OPEN_CASES, CaseState, SubscriptionStatus, may_retry
from domain.dunning.schedule import DeclineKind, Planned, RetryFacts, next_try
from domain.payment import DunningCase, Event


def end_unpaid(
    context: DecisionContext, finished: AttemptChanges, decline_class: DeclineClass, code: str, event: Event
) -> Decision:
    """End the attempt without money: a subscription's payment goes to dunning, any other ends with `event`."""
    changes: PaymentChanges = {"failure_code": code, "next_action": None}
    if not _is_dunned(context):
        return Decision(event, changes, finished)
    event, case = _dun(context, decline_class)
    status = SubscriptionStatus.PAST_DUE if case.due_at else SubscriptionStatus.CANCELED
    return Decision(event, changes, finished, (SaveCase(case), MarkSubscription(status)))


def _is_dunned(context: DecisionContext) -> bool:
    payment = context.payment
    is_begun = payment.case is not None and payment.case.state in OPEN_CASES
    is_subscription = payment.is_off_session and payment.subscription_id is not None
    return is_subscription and (is_begun or context.policy.is_dunning_enabled)


def _dun(context: DecisionContext, decline_class: DeclineClass) -> tuple[Event, DunningCase]:
    """Plan the next retry of a soft decline. After the last retry, or a harder decline, grace begins.

    What no issuer was asked about uses up no retry, and begins no run of retries."""
    case = context.payment.case or DunningCase(CaseState.RETRYING, first_failed_at=context.now, retry=0)
    if decline_class is DeclineClass.TECHNICAL:
        case = replace(case, unsent=case.unsent + 1)
    else:
        case = replace(case, first_failed_at=case.first_failed_at if case.retry else context.now, unsent=0)
    if decline_class is DeclineClass.CONSENT_WITHDRAWN:
        return Event.CONSENT_WITHDRAWN, replace(case, state=CaseState.UNCOLLECTIBLE, due_at=None)
    planned = _next_try(context, case, decline_class)
    if planned is not None:
        retrying = replace(case, state=CaseState.RETRYING, retry=planned.retry, due_at=planned.at)
        return Event.RETRY_SCHEDULED, retrying
    ends_at = context.policy.dunning.grace_ends_at(case.first_failed_at, context.now)
    return Event.GRACE_STARTED, replace(case, state=CaseState.IN_GRACE, due_at=ends_at, grace_ends_at=ends_at)


def _next_try(context: DecisionContext, case: DunningCase, decline_class: DeclineClass) -> Planned | None:
    is_technical = decline_class is DeclineClass.TECHNICAL
    if not (is_technical or may_retry(decline_class)):
        return None
    facts = RetryFacts(
        case_id=context.payment.id,
        first_failed_at=case.first_failed_at,
        last_tried_at=context.now,
        now=context.now,
        kind=DeclineKind.TECHNICAL if is_technical else DeclineKind.SOFT,
        retry=case.retry,
        unsent=case.unsent,
        zone=context.policy.zone,
        calendar=context.policy.calendar,
    )
    return next_try(context.policy.dunning, facts)


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
