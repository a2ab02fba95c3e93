"""Which mail follows from what happens to a dunning case. When it is sent, and whether still, `domain.dunning.mail`
decides."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from domain.commands import DisputeSeen, InvoicePaidOtherwise, LossRecounted, Trigger
from domain.decision import Decision, DecisionContext
from domain.decline import DeclineClass
from domain.dunning.case import CaseState, SubscriptionStatus, TryCause
from domain.dunning.mail import Mail
from domain.effects import MarkSubscription, Notify, SaveCase
from domain.payment import DunningCase, Event

# The mail that says what has become of the subscription. What the application ends, it tells its customer itself.
_ENDS = {SubscriptionStatus.CANCELED: Mail.CANCELED, SubscriptionStatus.PAUSED: Mail.PAUSED}


def with_mails(context: DecisionContext, trigger: Trigger, decision: Decision) -> Decision:
    """Add to a decision the mails that follow from it. A case gets each of them once at most."""
    # With somebody who has disputed a charge a person speaks, and no template.
    is_dispute = isinstance(trigger, DisputeSeen | LossRecounted) and not trigger.is_return
    if is_dispute or not context.policy.mail.is_on:
        return decision
    mails = tuple(Notify(mail) for mail in _mails(context, decision))
    if isinstance(trigger, InvoicePaidOtherwise) and trigger.cause is TryCause.BACKUP_METHOD:
        # Whoever is charged by another method than they have chosen hears of it, also if they heard of no failure.
        mails = tuple(_naming(each, trigger.by) for each in mails)
    return replace(decision, effects=(*decision.effects, *mails)) if mails else decision


def _naming(each: Notify, payment_id: str | None) -> Notify:
    return Notify(Mail.BACKUP_CHARGED, payment_id) if each.mail is Mail.RECOVERED else each


def _mails(context: DecisionContext, decision: Decision) -> Iterator[Mail]:
    for effect in decision.effects:
        if isinstance(effect, SaveCase):
            mail = _mail_of(context.payment.case, effect.case, decision)
            if mail is not None:
                yield mail


def _mail_of(before: DunningCase | None, case: DunningCase, decision: Decision) -> Mail | None:
    if case.state is CaseState.RECOVERED:
        return Mail.RECOVERED
    if case.unsent:
        return None  # no issuer was asked: the customer can do nothing about it
    match decision.event:
        case Event.RETRY_SCHEDULED:
            has_failed_before = before is not None and before.retry > 0
            return Mail.MID_DUNNING if has_failed_before else Mail.FIRST_FAILURE
        case Event.GRACE_STARTED:
            return Mail.FINAL_ATTEMPT if _is_soft(decision) else Mail.METHOD_UPDATE
        case Event.GRACE_EXPIRED | Event.CONSENT_WITHDRAWN:
            marked = (effect.status for effect in decision.effects if isinstance(effect, MarkSubscription))
            return next((_ENDS[status] for status in marked if status in _ENDS), None)
    return None


def _is_soft(decision: Decision) -> bool:
    """Tell whether the last retry has failed; anything harder wants another payment method at once."""
    return decision.attempt.get("decline_class") is DeclineClass.SOFT
