"""Scores an authorization once more, with what its response shows: checks of address and security code, 3-D Secure."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from sqlalchemy import Connection, Row

from domain.check_results import CheckResults
from domain.commands import ResultsScored
from domain.errors import NotFound
from domain.fraud import RuleSet, assess
from domain.fraud.assessment import with_results
from domain.fraud.rule_set import FraudDecision
from models.change import Change
from models.fraud.assessments import Stage, first_assessment, scored_before, store_later
from models.fraud.rule_sets import find_version


def score_results(change: Change, payment: Row[Any], checks: CheckResults | None) -> ResultsScored:
    """Score a locked payment whose money is held now, store the score, and return what follows. A payment that was not
    scored before its charge is not scored now."""
    first = first_assessment(change.connection, payment.id)
    is_voiding = bool(payment.has_other_unfinished_attempt)
    if first is None:
        return ResultsScored(is_voiding=is_voiding)
    rule_set = _rule_set(change, first.rule_set)
    before = scored_before(first, payment.method, payment.currency)
    scored = replace(before, values=with_results(before.values, checks or CheckResults()))
    assessment = assess(rule_set, scored)
    store_later(change, payment.id, Stage.RESULTS, scored, assessment, rule_set)
    decision = assessment.decision
    return ResultsScored(
        is_blocked=decision is FraudDecision.BLOCK,
        # What a person has approved before the charge is not asked again for the same score.
        needs_review=decision is FraudDecision.REVIEW and FraudDecision(first.decision) is not FraudDecision.REVIEW,
        is_voiding=is_voiding,
    )


def _rule_set(change: Change, version: str) -> RuleSet:
    """Return the rule set of the first score, so that nothing but the results makes a difference."""
    configured = change.policy.fraud.rule_set
    if version == configured.version:
        return configured
    return _stored(change.connection, version) or configured


def _stored(connection: Connection, version: str) -> RuleSet | None:
    try:
        return find_version(connection, version)
    except NotFound:
        # That of an earlier configuration.
        return None
