"""Fraud assessment: signals of one payment in, a score from 0 to 100 with reasons out."""

from domain.fraud.assessment import Assessment, Decision, assess
from domain.fraud.rules import RULE_SET, Reason, Signals

__all__ = ["RULE_SET", "Assessment", "Decision", "Reason", "Signals", "assess"]
