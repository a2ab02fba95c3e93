"""Fraud assessment: signals of one payment in, a score from 0 to 100 with its reasons out."""

from domain.fraud.assessment import Assessment, FraudDecision, assess, stopping_command
from domain.fraud.rules import RULE_SET, Reason, Signals

__all__ = ["RULE_SET", "Assessment", "FraudDecision", "Reason", "Signals", "assess", "stopping_command"]
