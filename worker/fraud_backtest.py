"""Scores the payments of a file by a rule set, as if they came now."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from domain.fraud.assessment import Scored, assess, values_of
from domain.fraud.quality import Judged, Quality
from domain.fraud.rule_set import RuleSet
from worker.fraud_csv import Replayed


@dataclass(frozen=True, slots=True)
class Days:
    """Whole days since the first row of a file, both ends included. `last` None: to its end."""

    first: int = 0
    last: int | None = None

    def __contains__(self, day: int) -> bool:
        return day >= self.first and (self.last is None or day <= self.last)

    def are_over(self, day: int) -> bool:
        """Tell whether all of them lie before a day."""
        return self.last is not None and day > self.last


def judge_all(payments: Iterable[Replayed], rule_set: RuleSet, days: Days) -> Iterator[Judged]:
    """Yield the payments of these days as the rule set scores them. Those before them are read as history."""
    for payment in payments:
        if days.are_over(payment.day):
            return
        if payment.day in days:
            yield judge(payment, rule_set)


def judge(payment: Replayed, rule_set: RuleSet) -> Judged:
    """Score one payment."""
    scored = Scored(values_of(payment.facts), payment.facts.method, payment.currency)
    assessment = assess(rule_set, scored)
    return Judged(assessment.score, assessment.decision, assessment.reasons, payment.is_fraud, payment.amount)


def quality_of(judged: Iterable[Judged], done: Callable[[int], object] = lambda _: None) -> Quality:
    """Return the figures of payments. `done`: is told of each."""
    quality = Quality()
    for each in judged:
        quality.add(each)
        done(1)
    return quality
