"""Every write of an assessment: a score of a payment, with all that explains and repeats it."""

from __future__ import annotations

from dataclasses import asdict
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, Row, bindparam, func, insert, select

from domain.fraud import Assessment, RuleSet, Scored
from domain.fraud.authentication import Demand
from domain.fraud.facts import ListKind
from domain.fraud.rule_set import FraudDecision
from domain.fraud.wording import explained
from models.change import Change
from models.session import insert_new
from models.tables import attempts, fraud_assessments, fraud_shadow_scores

FIRST = 1
# What a payment shows that has no score: not yet, or because scoring is off.
NOT_SCREENED = {"screened": False}


class Stage(StrEnum):
    """When a payment was scored."""

    CHARGE = "charge"
    RESULTS = "results"
    RESCORE = "rescore"


_of_payment = fraud_assessments.c.payment_id == bindparam("payment_id")
_select_first = select(fraud_assessments).where(_of_payment, fraud_assessments.c.number == FIRST)
_select_newest = select(fraud_assessments).where(_of_payment).order_by(fraud_assessments.c.number.desc()).limit(1)
# Number 1 is kept for the score before the charge, even if a repeat comes before it.
_last_number = select(func.coalesce(func.max(fraud_assessments.c.number), FIRST)).where(_of_payment)


def store_first(
    change: Change, payment_id: str, scored: Scored, assessment: Assessment, rule_set: RuleSet, demand: Demand
) -> bool:
    """Store the score before a payment's charge; return False if it has one already."""
    row = _row(change, payment_id, Stage.CHARGE, scored, assessment, rule_set)
    row |= {"is_authentication_wanted": demand.is_wanted, "authentication_reason": demand.reason}
    return insert_new(change.connection, fraud_assessments, row | {"number": FIRST})


def store_later(
    change: Change, payment_id: str, stage: str, scored: Scored, assessment: Assessment, rule_set: RuleSet
) -> None:
    """Store a further score of a locked payment."""
    number = change.connection.scalars(_last_number, {"payment_id": payment_id}).one() + 1
    row = _row(change, payment_id, stage, scored, assessment, rule_set)
    change.connection.execute(insert(fraud_assessments), row | {"number": number})


def store_shadow(change: Change, attempt_id: str, assessment: Assessment, version: str) -> None:
    """Store what a shadow rule set would have decided on the payment of an attempt."""
    payment_id = change.connection.scalar(select(attempts.c.payment_id).where(attempts.c.id == attempt_id))
    reasons = [asdict(reason) for reason in assessment.reasons]
    values = {"payment_id": payment_id, "rule_set": version, "score": assessment.score, "reasons": reasons}
    insert_new(change.connection, fraud_shadow_scores, values | {"decision": assessment.decision, "at": change.now})


def _row(
    change: Change, payment_id: str, stage: str, scored: Scored, assessment: Assessment, rule_set: RuleSet
) -> dict[str, Any]:
    return {
        "payment_id": payment_id,
        "stage": stage,
        "score": assessment.score,
        "decision": assessment.decision,
        "reasons": [asdict(reason) for reason in assessment.reasons],
        "unavailable": list(assessment.unavailable),
        "numbers": dict(scored.values),
        "lists": sorted(scored.lists),
        "has_history": scored.has_history,
        "rule_set": rule_set.version,
        "at": change.now,
    }


def scored_before(row: Row[Any], method: str, currency: str) -> Scored:
    """Return what was scored, as it was stored: under the same rule set it is the same score for ever."""
    lists = frozenset(ListKind(name) for name in row.lists)
    return Scored(row.numbers, method, currency, lists, has_history=row.has_history)


def wants_authentication(connection: Connection, payment_id: str) -> bool:
    """Tell whether 3-D Secure was to be asked for before a payment's charge."""
    found = first_assessment(connection, payment_id)
    if found is None:
        return False
    # A score of an earlier release has stored its decision only.
    is_verified = FraudDecision(found.decision) is FraudDecision.VERIFY
    return is_verified if found.is_authentication_wanted is None else bool(found.is_authentication_wanted)


def was_reviewed(connection: Connection, payment_id: str) -> bool:
    """Tell whether a payment's charge had to wait for a person. One that is to be charged has been approved."""
    found = first_assessment(connection, payment_id)
    return found is not None and FraudDecision(found.decision) is FraudDecision.REVIEW


def first_assessment(connection: Connection, payment_id: str) -> Row[Any] | None:
    """Return the score before a payment's charge, by which it was decided."""
    return connection.execute(_select_first, {"payment_id": payment_id}).one_or_none()


def newest_assessment(connection: Connection, payment_id: str) -> Row[Any] | None:
    """Return the newest score of a payment."""
    return connection.execute(_select_newest, {"payment_id": payment_id}).one_or_none()


def assessments_of(connection: Connection, payment_id: str) -> list[Row[Any]]:
    """Return all scores of a payment, the first one first."""
    all_of_it = select(fraud_assessments).where(_of_payment).order_by(fraud_assessments.c.number)
    return list(connection.execute(all_of_it, {"payment_id": payment_id}))


def assessment_view(row: Row[Any] | None) -> dict[str, Any]:
    """Return how a payment shows its score. One that was not scored says so."""
    if row is None:
        return NOT_SCREENED
    return {
        "screened": True,
        "score": row.score,
        "decision": row.decision,
        "stage": row.stage,
        "reasons": explained(row.reasons),
        "unavailable": row.unavailable,
        "rule_set": row.rule_set,
        "authentication": row.authentication_reason,
    }
