"""Reviews: when a payment begins to wait for a person, until when, who has it in hand, and how the wait ends."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from domain.commands import ReviewDecided, Trigger
from domain.decision import Decision, DecisionContext
from domain.effects import CloseReview, OpenReview, ReviewOutcome
from domain.errors import Conflict
from domain.payment import Event, State
from domain.transitions import TRANSITIONS

# What an operator has taken in hand is theirs for so long.
CLAIM = timedelta(minutes=15)
# What is held is released before it lapses: the void takes its time, and the provider may be down.
_BEFORE_LAPSE = timedelta(hours=1)
# Why a review that nobody has decided is rejected.
EXPIRED = "expired"


def with_review(context: DecisionContext, trigger: Trigger, decision: Decision) -> Decision:
    """Add to a decision that a payment begins to wait for a person, or waits no longer."""
    after = TRANSITIONS.get((context.state, decision.event), context.state) if decision.event else context.state
    is_begun = decision.event is Event.HOLD_REVIEW_REQUIRED or (after is State.REVIEW and context.state is not after)
    if is_begun:
        return replace(decision, effects=(*decision.effects, _begin(context, decision)))
    is_ended = context.state is State.REVIEW and after is not State.REVIEW
    if is_ended or _ends_review_of_hold(context, decision, after):
        return replace(decision, effects=(*decision.effects, _end(decision, trigger)))
    return decision


def _ends_review_of_hold(context: DecisionContext, decision: Decision, after: State) -> bool:
    """Tell whether money that is held need not wait for a person any more. It is on the attention list until then."""
    is_decided = decision.event in (Event.REVIEW_APPROVED, Event.REVIEW_REJECTED)
    is_waiting = context.state is State.AUTHORIZED and context.payment.has_open_entry
    return is_waiting and (is_decided or after is not State.AUTHORIZED)


def _begin(context: DecisionContext, decision: Decision) -> OpenReview:
    lapses_at = decision.payment.get("authorization_expires_at") or context.payment.authorization_expires_at
    return OpenReview(ends_at(context.now, context.policy.fraud.review_expires_after, lapses_at))


def _end(decision: Decision, trigger: Trigger) -> CloseReview:
    reason = trigger.reason if isinstance(trigger, ReviewDecided) else None
    if decision.event is Event.REVIEW_APPROVED:
        return CloseReview(ReviewOutcome.APPROVED, reason)
    if decision.event is Event.REVIEW_REJECTED:
        return CloseReview(ReviewOutcome.EXPIRED if reason == EXPIRED else ReviewOutcome.REJECTED, reason)
    return CloseReview(ReviewOutcome.ENDED, reason)


def ends_at(now: datetime, expires_after: timedelta, lapses_at: datetime | None) -> datetime:
    """Return when a review ends that nobody decides. `lapses_at`: when the money that it holds is lost.

    >>> noon = datetime(2026, 11, 28, 12)
    >>> str(ends_at(noon, timedelta(hours=72), None)), str(ends_at(noon, timedelta(hours=72), noon + timedelta(days=1)))
    ('2026-12-01 12:00:00', '2026-11-29 11:00:00')
    """
    planned = now + expires_after
    return planned if lapses_at is None else max(now, min(planned, lapses_at - _BEFORE_LAPSE))


def require_claimable(by: str, claimed_by: str | None, claimed_until: datetime | None, now: datetime) -> None:
    """Refuse an operator what another one has in hand. Raises Conflict.

    >>> noon = datetime(2026, 11, 28, 12)
    >>> require_claimable("operator:bob", "operator:ada", noon, noon)
    >>> require_claimable("operator:ada", "operator:ada", noon + CLAIM, noon)
    """
    if claimed_by in (None, by) or claimed_until is None or claimed_until <= now:
        return
    until = claimed_until.isoformat(timespec="seconds")
    raise Conflict(f"{claimed_by} has this review in hand until {until}; wait, or ask them to release it")
