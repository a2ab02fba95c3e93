"""The fraud score: the sum of the points of all rules that fired, within 0 to 100, and what follows from it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from domain.commands import Blocked, ReviewRequired
from domain.fraud.rules import RULES, Reason, Signals


class FraudDecision(StrEnum):
    """What the score means for the charge."""

    APPROVE = "approve"
    VERIFY = "verify"
    REVIEW = "review"
    BLOCK = "block"


# Lower bound of each band, highest first: 0-29 approve, 30-49 verify, 50-69 manual review, 70+ block.
_BANDS = ((70, FraudDecision.BLOCK), (50, FraudDecision.REVIEW), (30, FraudDecision.VERIFY), (0, FraudDecision.APPROVE))


@dataclass(frozen=True, slots=True)
class Assessment:
    """A decision with its reasons: the score is exactly the capped sum of their points."""

    score: int
    decision: FraudDecision
    reasons: tuple[Reason, ...]


def assess(signals: Signals) -> Assessment:
    """Score a payment. A missing signal adds nothing."""
    reasons = tuple(reason for rule in RULES if (reason := rule(signals)) is not None)
    score = max(0, min(100, sum(reason.points for reason in reasons)))
    decision = next(decision for bound, decision in _BANDS if score >= bound)
    return Assessment(score, decision, reasons)


def stopping_command(decision: FraudDecision) -> Blocked | ReviewRequired | None:
    """Return the command that keeps a payment from being charged now; None if the charge may go on."""
    match decision:
        case FraudDecision.BLOCK:
            return Blocked()
        case FraudDecision.REVIEW:
            return ReviewRequired()
    return None
