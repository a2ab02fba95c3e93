"""The plan of retries: on which days a softly declined payment is tried again, and how long its grace period is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Self

# The policy of who names none.
DEFAULT_POLICY = "standard"


class EndAction(StrEnum):
    """What becomes of a subscription whose grace period ends without money."""

    CANCEL = "cancel"
    PAUSE = "pause"
    UNPAID = "unpaid"
    KEEP = "keep"  # it stays past due


class ResumeAnchor(StrEnum):
    """What the billing anchor of a paused subscription does when its debt is paid: it stays, or moves by the pause."""

    KEEP = "keep"
    MOVE = "move"


@dataclass(frozen=True, slots=True)
class DunningPolicy:
    """`delays_days`: the day of each retry, counted from the first failure. `attempts`: how many retries there are.
    `grace_days`: from the last failure to the end action. `resume_anchor`: of a subscription that was paused."""

    delays_days: tuple[int, ...] = (3, 7, 14)
    attempts: int = 3
    grace_days: int = 7
    end_action: EndAction = EndAction.CANCEL
    resume_anchor: ResumeAnchor = ResumeAnchor.KEEP

    def to_json(self) -> dict[str, Any]:
        """Return the policy as JSON, as a case stores it.

        >>> DunningPolicy.from_json(DunningPolicy(end_action=EndAction.PAUSE).to_json()).end_action.value
        'pause'
        """
        return asdict(self) | {"delays_days": list(self.delays_days)}

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> Self:
        """Return a policy that `to_json` has stored. What a later release has added gets its default."""
        given = {field.name: stored[field.name] for field in fields(cls) if field.name in stored}
        return cls(
            **given
            | {
                "delays_days": tuple(stored["delays_days"]),
                "end_action": EndAction(stored.get("end_action", EndAction.CANCEL)),
                "resume_anchor": ResumeAnchor(stored.get("resume_anchor", ResumeAnchor.KEEP)),
            }
        )

    def retry_at(self, first_failed_at: datetime, retry: int) -> datetime | None:
        """Return when retry number `retry` (from 1) is due, or None when no more are planned."""
        if retry > self.attempts:
            return None
        listed = self.delays_days[retry - 1] if retry <= len(self.delays_days) else exponential_days(retry)
        # A day by the formula may lie before the last listed day; retries never go backwards.
        return first_failed_at + timedelta(days=max(listed, *self.delays_days[: retry - 1], 0))

    def grace_ends_at(self, failed_at: datetime) -> datetime:
        """Return the end of the grace period that starts with this failure."""
        return failed_at + timedelta(days=self.grace_days)


def exponential_days(retry: int) -> int:
    """Return the day of a retry by exponential backoff: 3.5 days doubled each time, rounded down.

    >>> [exponential_days(n) for n in (1, 2, 3, 4)]
    [3, 7, 14, 28]
    """
    return int(3.5 * 2 ** (retry - 1))
