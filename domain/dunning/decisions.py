"""What a payment that fails, recovers or is given up does to its dunning case and its subscription."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from domain.decision import AttemptChanges, Decision, DecisionContext, PaymentChanges
from domain.decline import Decline, DeclineClass, DeclineReason, earliest_retry_after
from domain.declines.caps import Refusal
from domain.dunning.backup import is_of_backup, try_backup, try_next_backup
from domain.dunning.case import (
    OPEN_CASES,
    CaseEvent,
    CaseState,
    SubscriptionStatus,
    case_after,
    is_planned,
    may_retry,
)
from domain.dunning.policy import EndAction
from domain.dunning.schedule import DeclineKind, Planned, RetryFacts, next_try
from domain.dunning.segments import choose_policy
from domain.effects import Effect, MarkSubscription, SaveCase
from domain.payment import GIVEN_UP, AttemptStatus, DunningCase, Event, State

# A payment without a subscription is owed all the same after these; any other end is somebody's decision, or a request
# that the provider refuses.
_LEAVING_DEBT = (Event.CHARGE_DECLINED, Event.PAYMENT_EXPIRED, Event.PAYMENT_REVERSED)
# A case waits so long for a network's limit, also after the last planned retry: the limits of a day are over by then.
_LONGEST_WAIT_FOR_LIMIT = timedelta(days=3)
_MARKS: dict[EndAction, SubscriptionStatus] = {
    EndAction.CANCEL: SubscriptionStatus.CANCELED,
    EndAction.PAUSE: SubscriptionStatus.PAUSED,
    EndAction.UNPAID: SubscriptionStatus.UNPAID,
}


def end_unpaid(
    context: DecisionContext,
    finished: AttemptChanges,
    decline_class: DeclineClass,
    code: str,
    event: Event,
    decline: Decline | None = None,
) -> Decision:
    """End the attempt without money: a debt that is left goes to dunning, any other payment ends with `event`.
    `decline`: where an issuer or a bank has decided."""
    changes: PaymentChanges = {"failure_code": code, "next_action": None}
    if not _is_dunned(context, decline_class, event):
        return Decision(event, changes, finished, try_next_backup(context))
    event, case = _dun(context, decline_class, decline, is_lapsed=event is Event.PAYMENT_EXPIRED)
    status = SubscriptionStatus.PAST_DUE if case.due_at else SubscriptionStatus.CANCELED
    return Decision(event, changes, finished, (SaveCase(case), *_mark(context, status), *try_backup(case, decline)))


def refuse_try(context: DecisionContext, refusal: Refusal) -> Decision:
    """Decide on a charge whose instrument must not be tried now. It uses up no retry: its case waits until the limit
    allows one, unless that is long after the plan's last retry; then, and else, it ends like a hard decline."""
    finished = context.finish(AttemptStatus.FAILED, code=refusal.code)
    waiting = _waiting_for_limit(context, refusal)
    if waiting is not None:
        effects = (SaveCase(waiting), *mark_past_due(context))
        return Decision(Event.RETRY_SCHEDULED, {"next_action": None}, finished, effects)
    return end_unpaid(context, finished, refusal.decline_class, refusal.code, Event.CHARGE_FAILED)


def _waiting_for_limit(context: DecisionContext, refusal: Refusal) -> DunningCase | None:
    """Return the case that waits until a limit allows a try; None where it does not wait, or waits for no retry."""
    given = context.open_case
    is_in_grace = given is not None and given.state is CaseState.IN_GRACE
    may_wait = _is_dunned(context, refusal.decline_class, Event.CHARGE_DECLINED) and not is_in_grace
    if refusal.until is None or not context.payment.is_off_session or not may_wait:
        return None
    case = given or _new_case(context)
    plan = context.policy_of(case)
    last = plan.retry_at(case.first_failed_at, plan.attempts) or context.now
    # A try beside the plan leaves the planned one where it is.
    due_at = max(refusal.until, context.now + plan.least_gap, case.due_at or context.now)
    if due_at > max(last, context.now + _LONGEST_WAIT_FOR_LIMIT):
        return None
    refused = replace(case, last_class=refusal.decline_class, last_reason=None)
    return replace(_moved(context, refused, CaseEvent.RETRY_PLANNED), due_at=due_at)


def _is_dunned(context: DecisionContext, decline_class: DeclineClass, event: Event) -> bool:
    payment, is_of_subscription = context.payment, context.payment.subscription_id is not None
    if context.open_case is not None:
        return True
    if event is not Event.PAYMENT_REVERSED and is_of_backup(context):
        # It stands in for the method of another payment, whose case says whether the debt is collected.
        return False
    if not context.policy.is_dunning_enabled or payment.is_retried_by_provider or payment.has_dunned_sibling:
        return False
    if event is Event.PAYMENT_REVERSED:
        return payment.may_have_case
    is_owed = is_of_subscription or event in _LEAVING_DEBT or decline_class is DeclineClass.TECHNICAL
    # Its customer is gone when a debit fails days later; whoever leaves a checkout owes nothing by that.
    is_customer_gone = payment.is_off_session or (payment.is_debit and context.state is State.PENDING)
    return is_owed and is_customer_gone and not payment.is_captured_later


def _dun(
    context: DecisionContext, decline_class: DeclineClass, decline: Decline | None = None, *, is_lapsed: bool = False
) -> tuple[Event, DunningCase]:
    """Plan the next retry of a soft decline. After the last retry, or a harder decline, grace begins. `is_lapsed`: the
    customer was asked and has not acted.

    What no issuer was asked about uses up no retry, and begins no run of retries. Neither does a try that somebody else
    has caused, nor a technical decline, until several in a row show that waiting hours does not help."""
    given, attempt = context.open_case, context.given_attempt
    case = given or _new_case(context)
    # In grace nothing is planned.
    is_unplanned = attempt is not None and (case.state is CaseState.IN_GRACE or not is_planned(attempt.cause))
    if given is not None and is_unplanned:
        # Whoever leaves a try that they have begun themselves has not been declined.
        kept = _keep_plan(context, case, DeclineClass.TECHNICAL if is_lapsed else decline_class)
        if kept is not None:
            return kept
    case = replace(case, last_class=decline_class, last_reason=decline.reason if decline else None)
    is_technical = decline is not None and decline.reason is DeclineReason.TECHNICAL
    if is_technical and case.unsent >= context.policy_of(case).most_technical:
        decline_class = DeclineClass.SOFT
    if decline_class is DeclineClass.TECHNICAL:
        case = replace(case, unsent=case.unsent + 1)
    else:
        case = replace(case, first_failed_at=case.first_failed_at if case.retry else context.now, unsent=0)
    if decline_class is DeclineClass.CONSENT_WITHDRAWN:
        return Event.CONSENT_WITHDRAWN, _moved(context, case, CaseEvent.CONSENT_WITHDRAWN)
    # Nobody charges an instrument by itself whose owner was asked to be present.
    planned = _next_try(context, case, decline_class, decline) if context.payment.is_off_session else None
    if planned is not None:
        begun = _moved(context, case, CaseEvent.RETRY_PLANNED)
        retrying = replace(begun, retry=planned.retry, due_at=planned.at)
        return Event.RETRY_SCHEDULED, retrying
    ends_at = context.policy_of(case).grace_ends_at(case.first_failed_at, context.now)
    in_grace = _moved(context, case, CaseEvent.GRACE_STARTED)
    return Event.GRACE_STARTED, replace(in_grace, due_at=ends_at, grace_ends_at=ends_at)


def _new_case(context: DecisionContext) -> DunningCase:
    """Begin a case under the policy that its subscription names, else under that of the segment that it fits."""
    payment, case = context.payment, DunningCase(CaseState.RETRYING, context.now, retry=0)
    name, policy = context.policy.dunning_named(payment.dunning_policy)
    if payment.dunning_policy is not None or payment.segment_facts is None:
        return replace(case, policy_name=name, policy=policy)
    chosen = choose_policy(context.policy.dunning_segments, payment.segment_facts, policy)
    named = chosen.policy.name if chosen.segment else name
    return replace(case, policy_name=named, policy=chosen.policy, segment=chosen.segment, is_held_out=chosen.is_holdout)


def _moved(context: DecisionContext, case: DunningCase, event: CaseEvent) -> DunningCase:
    """Return the case after an event. What is due on it next, the caller says."""
    state = case_after(case.state, event)
    closed_at = None if state in OPEN_CASES else context.now
    return replace(case, state=state, due_at=None, paused_until=None, planned_at=None, closed_at=closed_at)


def _keep_plan(
    context: DecisionContext, case: DunningCase, decline_class: DeclineClass
) -> tuple[Event, DunningCase] | None:
    """Go on with the plan of a case after a try that is none of it. None for a decline that ends the plan."""
    if case.state is CaseState.IN_GRACE and decline_class is not DeclineClass.CONSENT_WITHDRAWN:
        return Event.GRACE_CONTINUED, case
    if decline_class is DeclineClass.TECHNICAL:
        return Event.RETRY_SCHEDULED, case
    if may_retry(decline_class) and case.due_at is not None:
        return Event.RETRY_SCHEDULED, replace(
            case, due_at=max(case.due_at, context.now + context.policy_of(case).least_gap)
        )
    return None


def _next_try(
    context: DecisionContext, case: DunningCase, decline_class: DeclineClass, decline: Decline | None
) -> Planned | None:
    is_technical = decline_class is DeclineClass.TECHNICAL
    if not (is_technical or may_retry(decline_class)):
        return None
    facts_of_segment = context.payment.segment_facts
    facts = RetryFacts(
        case_id=context.payment.id,
        first_failed_at=case.first_failed_at,
        last_tried_at=context.now,
        now=context.now,
        kind=DeclineKind.TECHNICAL if is_technical else _kind_of(decline),
        retry=case.retry,
        unsent=case.unsent,
        wait=(earliest_retry_after(decline) if decline else None) or timedelta(),
        most_retries=decline.reason.most_retries if decline and decline.reason else None,
        method=facts_of_segment.method if facts_of_segment else "",
        country=facts_of_segment.country if facts_of_segment else None,
        zone=context.payment.zone or context.policy.zone,
        calendar=context.policy.calendar,
    )
    return next_try(context.policy_of(case), facts)


def _kind_of(decline: Decline | None) -> DeclineKind:
    reason = decline.reason if decline is not None else None
    if reason is DeclineReason.UNKNOWN:
        return DeclineKind.UNKNOWN
    return DeclineKind.MONEY if reason is not None and reason.is_about_money else DeclineKind.SOFT


def close_case_recovered(context: DecisionContext, paid_by: str | None) -> tuple[Effect, ...]:
    """Return the effects of a debt that is paid: its dunning case ends, if it has one, and its subscription is paid.
    `paid_by`: the attempt that has brought the money, where it is known."""
    case = context.payment.case
    if case is None or case.state is CaseState.RECOVERED:
        return _mark(context, SubscriptionStatus.ACTIVE)
    recovered = replace(_moved(context, case, CaseEvent.DEBT_PAID), recovered_by=paid_by)
    return (SaveCase(recovered), *_mark(context, SubscriptionStatus.ACTIVE))


def mark_past_due(context: DecisionContext) -> tuple[Effect, ...]:
    """Return the effect of money that was taken back and is not collected again by itself."""
    return _mark(context, SubscriptionStatus.PAST_DUE)


def mark_active(context: DecisionContext) -> tuple[Effect, ...]:
    """Return the effect of money that is there again after it was taken back."""
    return _mark(context, SubscriptionStatus.ACTIVE)


def stop_case(context: DecisionContext) -> tuple[Effect, ...]:
    """Return the effects of a collection that is stopped: its case ends, its subscription stays as it is."""
    case = context.open_case
    return (SaveCase(_moved(context, case, CaseEvent.STOPPED)),) if case is not None else ()


def exhaust_case(context: DecisionContext, case: DunningCase) -> tuple[Effect, ...]:
    """Return the effects of grace that has ended: the case is exhausted, and the policy says what becomes of the
    subscription."""
    status = _MARKS.get(context.policy_of(case).end_action)
    return (SaveCase(_moved(context, case, CaseEvent.GRACE_ENDED)), *(_mark(context, status) if status else ()))


def reopen(context: DecisionContext, decline_class: DeclineClass, code: str) -> Decision | None:
    """Dun a debt once more whose money came by another payment and was taken back. None if it is collected, or dunned
    again already."""
    case = context.payment.case
    if case is None or case.state is not CaseState.RECOVERED or context.state not in GIVEN_UP:
        return None
    event, begun = _dun(replace(context, payment=replace(context.payment, case=None)), decline_class)
    if event is Event.CONSENT_WITHDRAWN:
        return None
    # No bank has declined it since.
    begun = replace(begun, last_class=case.last_class, last_reason=case.last_reason)
    return Decision(event, {"failure_code": code}, effects=(SaveCase(begun), *mark_past_due(context)))


def _mark(context: DecisionContext, status: SubscriptionStatus) -> tuple[MarkSubscription, ...]:
    """Return the effect on the payment's subscription, if it has one."""
    payment = context.payment
    if payment.subscription_id is None:
        return ()
    policy = (payment.case and payment.case.policy) or context.policy.dunning_named(payment.dunning_policy)[1]
    return (MarkSubscription(status, policy.resume_anchor),)
