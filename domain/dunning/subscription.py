"""Subscriptions: what ends with one, what a pause does to its billing anchor, and which policies it may name."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from domain.dunning.case import SubscriptionStatus
from domain.dunning.policy import ResumeAnchor
from domain.errors import InvalidRequest


@dataclass(frozen=True, slots=True)
class ResumedAnchor:
    """The billing anchor of a subscription that goes on after a pause, and which choice has given it."""

    anchor_at: datetime
    choice: ResumeAnchor


def is_pause(status: SubscriptionStatus) -> bool:
    """Tell whether the status is that of a paused subscription."""
    return status is SubscriptionStatus.PAUSED


def resumed_anchor(
    status: SubscriptionStatus,
    anchor_at: datetime,
    paused_at: datetime | None,
    now: datetime,
    choice: ResumeAnchor,
) -> ResumedAnchor | None:
    """Return the billing anchor of a subscription whose status changes now; None for one that was not paused.

    >>> noon = datetime(2026, 11, 28, 12)
    >>> moved = resumed_anchor(
    ...     SubscriptionStatus.PAUSED, noon, noon.replace(day=29), noon.replace(day=30), ResumeAnchor.MOVED
    ... )
    >>> moved.anchor_at.day
    29
    """
    if not is_pause(status) or paused_at is None:
        return None
    return ResumedAnchor(anchor_at + (now - paused_at) if choice is ResumeAnchor.MOVED else anchor_at, choice)


def require_known_policy(name: str | None, names: Collection[str]) -> None:
    """Refuse the name of a dunning policy that is not configured. Raises InvalidRequest."""
    if name is not None and name not in names:
        raise InvalidRequest(f"policy must be one of: {', '.join(names)}")
