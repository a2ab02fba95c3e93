"""Fraud: facts of one payment in, a score from 0 to 100 with its reasons out. No storage, no clock."""

from domain.fraud.assessment import (
    Assessment,
    Reason,
    Scored,
    assess,
    beyond_limit,
    braked,
    is_braked,
    is_refused_by_brake,
    stopping_command,
    values_of,
)
from domain.fraud.rule_set import FraudDecision, RuleSet

__all__ = [
    "Assessment",
    "FraudDecision",
    "Reason",
    "RuleSet",
    "Scored",
    "assess",
    "beyond_limit",
    "braked",
    "is_braked",
    "is_refused_by_brake",
    "stopping_command",
    "values_of",
]
