"""The fraud score: the sum of the points of all rules that fired, within 0 to 100, and what follows from it.

Every surface comes through `assess` with the same two inputs, a rule set and values: payments as they come, a
pre-check, a repeat, a backtest, a shadow rule set."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from domain.check_results import CheckResults
from domain.commands import Blocked, ReviewRequired
from domain.fraud.brake import BRAKED, BrakeAction
from domain.fraud.facts import Facts, ListKind
from domain.fraud.limits import Limit
from domain.fraud.rule_set import FraudDecision, RuleSet
from domain.fraud.rules import RULES

# The rules on results read nothing but them.
_ANY_TIME = datetime(1970, 1, 1, tzinfo=UTC)
# What is not known of a payment stands here for None, so that values can be stored as they are.
Values = Mapping[str, int]
# The decision of a list, without points of a rule.
BLOCK_LIST, ALLOW_LIST = "block_list", "allow_list"
NO_HISTORY = "history_unavailable"


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a decision is what it is: a rule that fired, its points, and the number that fired it (no personal data)."""

    rule: str
    points: int
    value: int


@dataclass(frozen=True, slots=True)
class Assessment:
    """A decision with its reasons: the score is exactly the sum of their points, within 0 and 100.

    `unavailable`: the rules with points whose number was not known."""

    score: int
    decision: FraudDecision
    reasons: tuple[Reason, ...]
    unavailable: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Scored:
    """What is scored. `values`: the numbers of the rules that are known. `lists`: what operators have said of anything
    of the payment. `has_history`: whether its history could be read."""

    values: Values
    method: str
    currency: str
    lists: frozenset[ListKind] = frozenset()
    has_history: bool = True


def values_of(facts: Facts) -> dict[str, int]:
    """Return the numbers of all rules that are known of a payment."""
    found = {name: rule.value(facts) for name, rule in RULES.items()}
    return {name: value for name, value in found.items() if value is not None}


def with_results(values: Values, results: CheckResults) -> dict[str, int]:
    """Return the numbers of a payment with those that came with the provider's response.

    >>> from domain.check_results import Check
    >>> with_results({"amount": 5}, CheckResults(cvv=Check.MISMATCH))
    {'amount': 5, 'cvv_mismatch': 1}
    """
    facts = Facts(_ANY_TIME, amount=None, limit=1, method="", results=results)
    late = {rule.name: rule.value(facts) for rule in RULES.values() if rule.is_late}
    return {**values, **{name: value for name, value in late.items() if value is not None}}


def assess(rule_set: RuleSet, scored: Scored) -> Assessment:
    """Score a payment. A number that is not known adds nothing."""
    reasons, unavailable = [], []
    for name, curve in rule_set.curves.items():
        value = scored.values.get(name)
        if value is None:
            unavailable.append(name)
            continue
        points = curve.points(value)
        if points:
            reasons.append(Reason(name, points, value))
    score = max(0, min(100, sum(reason.points for reason in reasons)))
    bands = rule_set.bands_for(scored.method, scored.currency)
    decision, overruled_by = _overrule(bands.decision(score), scored)
    overruling = (Reason(overruled_by, 0, 1),) if overruled_by is not None else ()
    return Assessment(score, decision, (*overruling, *reasons), tuple(unavailable))


def _overrule(decision: FraudDecision, scored: Scored) -> tuple[FraudDecision, str | None]:
    """Return what is decided whatever the score says, and why: block beats allow, and what has no history is verified
    at least."""
    if ListKind.BLOCK in scored.lists:
        return FraudDecision.BLOCK, BLOCK_LIST
    if ListKind.ALLOW in scored.lists:
        return FraudDecision.APPROVE, ALLOW_LIST
    if not scored.has_history and decision is FraudDecision.APPROVE:
        return FraudDecision.VERIFY, NO_HISTORY
    return decision, None


def beyond_limit(assessment: Assessment, kind: str, limit: Limit) -> Assessment:
    """Return an assessment of a payment for which there is no slot: blocked, whatever its score."""
    full = Reason(f"{kind}_{limit.counted}_limit", 0, limit.most)
    return replace(assessment, decision=FraudDecision.BLOCK, reasons=(full, *assessment.reasons))


def braked(assessment: Assessment, action: BrakeAction) -> Assessment:
    """Return an assessment of a stranger's payment while the global brake is on."""
    decision = FraudDecision.BLOCK if action is BrakeAction.REFUSE else FraudDecision.VERIFY
    return replace(assessment, decision=decision, reasons=(Reason(BRAKED, 0, 1), *assessment.reasons))


def is_braked(assessment: Assessment) -> bool:
    """Tell whether the global brake has made the decision."""
    return any(reason.rule == BRAKED for reason in assessment.reasons)


def is_refused_by_brake(assessment: Assessment) -> bool:
    """Tell whether the global brake refuses the payment."""
    return is_braked(assessment) and assessment.decision is FraudDecision.BLOCK


def may_be_lifted_to_review(rule_set: RuleSet, scored: Scored, score: int) -> bool:
    """Tell whether what comes with the provider's response could still lift a score to review, so that the payment is
    authorized first and captured after a second score."""
    late = sum(curve.most for name, curve in rule_set.curves.items() if name in RULES and RULES[name].is_late)
    return late > 0 and score + late >= rule_set.bands_for(scored.method, scored.currency).review


def stopping_command(decision: FraudDecision) -> Blocked | ReviewRequired | None:
    """Return the command that keeps a payment from being charged now; None if the charge may go on."""
    match decision:
        case FraudDecision.BLOCK:
            return Blocked()
        case FraudDecision.REVIEW:
            return ReviewRequired()
    return None
