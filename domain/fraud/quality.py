"""How good scores are, once it is known which payments were fraud: ranking, bands, and each rule by itself.

All figures are read from the stored whole scores. Payments with one score are one group: where a figure would have to
cut through a group, it takes the share that a random order within the group gives on average."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from domain.fraud.assessment import Reason
from domain.fraud.rule_set import FraudDecision

_SCORES = 101


class Judged(NamedTuple):
    """One payment as it was scored, and what it turned out to be. `amount`: in hundredths of the base currency."""

    score: int
    decision: FraudDecision
    reasons: Iterable[Reason]
    is_fraud: bool
    amount: int


@dataclass(slots=True)
class Tally:
    """Payments of one band, or of one rule that fired, and the fraud among them."""

    count: int = 0
    amount: int = 0
    frauds: int = 0
    fraud_amount: int = 0

    def add(self, is_fraud: bool, amount: int) -> None:
        """Count a payment."""
        self.count += 1
        self.amount += amount
        if is_fraud:
            self.frauds += 1
            self.fraud_amount += amount

    @property
    def precision(self) -> float | None:
        """The share that is fraud; None if there is no payment."""
        return self.frauds / self.count if self.count else None


@dataclass(slots=True)
class Quality:
    """The figures of a stream of payments. `by_score`: for each score, how many were genuine and how many fraud."""

    all: Tally = field(default_factory=Tally)
    bands: dict[FraudDecision, Tally] = field(default_factory=lambda: {each: Tally() for each in FraudDecision})
    rules: dict[str, Tally] = field(default_factory=dict)
    by_score: list[list[int]] = field(default_factory=lambda: [[0, 0] for _ in range(_SCORES)])

    def add(self, judged: Judged) -> None:
        """Count a payment."""
        self.by_score[judged.score][judged.is_fraud] += 1
        self.all.add(judged.is_fraud, judged.amount)
        self.bands[judged.decision].add(judged.is_fraud, judged.amount)
        for reason in judged.reasons:
            if reason.rule not in self.rules:
                self.rules[reason.rule] = Tally()
            self.rules[reason.rule].add(judged.is_fraud, judged.amount)

    @property
    def auc(self) -> float | None:
        """The chance that a fraud scores above a genuine payment; a tie is half a chance."""
        below, won = 0, 0
        for genuine, frauds in self.by_score:
            won += frauds * (2 * below + genuine)
            below += genuine
        pairs = 2 * below * self.all.frauds
        return won / pairs if pairs else None

    @property
    def average_precision(self) -> float | None:
        """The precision at each score, weighted by the share of the fraud that has it."""
        flagged = found = 0
        total = 0.0
        for genuine, frauds in reversed(self.by_score):
            flagged, found = flagged + genuine + frauds, found + frauds
            total += frauds * found / flagged if flagged else 0
        return total / self.all.frauds if self.all.frauds else None

    def precision_at(self, most: int) -> float | None:
        """Return the share of fraud among so many payments of the highest scores."""
        flagged = min(most, self.all.count)
        return self._frauds_within(flagged, counts_fraud=True) / flagged if flagged else None

    def recall_with_flagged(self, share: float) -> float | None:
        """Return the share of the fraud that is found where this share of the payments is flagged."""
        return self._recall(share * self.all.count, counts_fraud=True)

    def recall_at_false_positives(self, share: float) -> float | None:
        """Return the share of the fraud that is found where this share of the genuine payments is flagged."""
        return self._recall(share * (self.all.count - self.all.frauds), counts_fraud=False)

    def _recall(self, room: float, *, counts_fraud: bool) -> float | None:
        return self._frauds_within(room, counts_fraud=counts_fraud) / self.all.frauds if self.all.frauds else None

    def _frauds_within(self, room: float, *, counts_fraud: bool) -> float:
        """Return how many frauds are found, from the highest score down, until so many payments are flagged.

        `counts_fraud`: frauds use up room as well."""
        found = 0.0
        for genuine, frauds in reversed(self.by_score):
            size = genuine + frauds if counts_fraud else genuine
            if size > room:
                return found + frauds * room / size
            found, room = found + frauds, room - size
        return found
