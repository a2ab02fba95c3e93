"""Where a stored webhook event stands."""

from __future__ import annotations

from enum import StrEnum


class WebhookStatus(StrEnum):
    """Where a stored webhook event stands. All but the first are closed."""

    STORED = "stored"
    APPLIED = "applied"
    IGNORED = "ignored"  # it concerns no payment of ours
    UNREADABLE = "unreadable"  # it has not the documented form
    CONTRADICTING = "contradicting"  # it cannot follow from what is booked
