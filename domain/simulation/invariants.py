"""What must hold in every history of dunning, whatever the customer does. Tests play thousands of them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from domain.decline import DeclineClass
from domain.dunning.case import CaseState, SubscriptionStatus, TryCause
from domain.dunning.mail import DEMANDS
from domain.dunning.policy import STANDARD, DunningPolicy, GraceAnchor
from domain.payment import Event
from domain.simulation.breaches import breaches_of
from domain.simulation.play import History, Tried

# The only events of a payment that may end the access to its subscription.
_ENDING = frozenset({Event.GRACE_EXPIRED, Event.CONSENT_WITHDRAWN, Event.PAYMENT_CANCELED})
_WITH_ACCESS = frozenset({SubscriptionStatus.ACTIVE, SubscriptionStatus.PAST_DUE})


def violations_of(history: History, visa_cap: int) -> list[str]:
    """Return a sentence for everything in a history that must never happen. Empty: all is well."""
    return [
        *(f"{breach.rule.name}: tried at {breach.at}" for breach in breaches_of(history, visa_cap)),
        *_mails(history),
        *_grace(history),
        *_access(history),
        *_days(history),
        *_end(history),
    ]


def _mails(history: History) -> Iterator[str]:
    kinds = [mail for _, mail in history.mails]
    yield from (f"{mail} was sent twice" for mail in sorted(set(kinds)) if kinds.count(mail) > 1)
    if history.paid_at is not None:
        late = [mail for at, mail in history.mails if mail in DEMANDS and at > history.paid_at]
        yield from (f"{mail} was sent after success" for mail in late)


def _grace(history: History) -> Iterator[str]:
    ended = [each.at for each in history.happened if each.event is Event.GRACE_EXPIRED]
    if len(ended) > 1:
        yield "grace has ended twice"
    for at in ended:
        if any(tried.at > at for tried in history.tries):
            yield "a try was made or decided after the end of grace"
        planned = [tried.at for tried in history.tries if tried.cause in (None, TryCause.DUNNING)]
        grace = timedelta(days=history.strategy.policy.grace_days)
        is_from_last = history.strategy.policy.grace_anchor is GraceAnchor.LAST_RETRY
        if planned and at < max(planned) + (grace if is_from_last else timedelta()):
            yield "grace has ended too early after the last retry"


def _access(history: History) -> Iterator[str]:
    before = SubscriptionStatus.ACTIVE
    for each in history.happened:
        is_lost = before in _WITH_ACCESS and each.subscription not in _WITH_ACCESS
        if is_lost and each.event not in _ENDING:
            yield f"{each.event} has taken the access away"
        before = each.subscription


def _days(history: History) -> Iterator[str]:
    """Check that a strict policy tries on its listed days and at no other time. What reached no issuer is beside it."""
    policy = history.strategy.policy
    if policy.window_days or history.unsent:
        return
    for before, tried in zip(history.tries, history.tries[1:], strict=False):
        if tried.cause is TryCause.DUNNING and not _is_technical(before) and not _is_listed(policy, tried):
            yield f"a retry at {tried.sent_at} is on no day of the policy"


def _is_listed(policy: DunningPolicy, tried: Tried) -> bool:
    first = tried.planned_from
    listed = [policy.retry_at(first, number) for number in range(1, policy.attempts + 1)] if first else []
    return tried.sent_at in listed


def _is_technical(tried: Tried) -> bool:
    return tried.decline is not None and tried.decline.decline_class is DeclineClass.TECHNICAL


def _end(history: History) -> Iterator[str]:
    """Check that a history that was played to its end has one."""
    last = history.happened[-1]
    if last.case not in (None, CaseState.RECOVERED, CaseState.EXHAUSTED, CaseState.STOPPED):
        yield f"its case is {last.case} for ever"
    if history.strategy.policy == STANDARD and len(history.mails) > _MOST_MAILS:
        yield f"{len(history.mails)} mails were sent"


# First failure, mid-dunning, final attempt, method update, and how it has ended.
_MOST_MAILS = 5
