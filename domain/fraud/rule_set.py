"""A rule set: the points that each rule gives by its value, the bands, and the version that decisions name."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

MOST_POINTS = 200
MOST_STEPS = 40


class FraudDecision(StrEnum):
    """What the score means for the charge."""

    APPROVE = "approve"
    VERIFY = "verify"
    REVIEW = "review"
    BLOCK = "block"


@dataclass(frozen=True, slots=True)
class Curve:
    """Points by the value of a rule, in steps: from each bound on, the points beside it. Below the first bound: none.

    >>> curve = Curve((5, 8), (30, 50))
    >>> [curve.points(value) for value in (4, 5, 7, 8)]
    [0, 30, 30, 50]
    """

    bounds: tuple[int, ...]
    steps: tuple[int, ...]

    def points(self, value: int) -> int:
        """Return the points of a value."""
        reached = bisect_right(self.bounds, value)
        return self.steps[reached - 1] if reached else 0

    @property
    def most(self) -> int:
        """The most that it can add."""
        return max(0, *self.steps)


@dataclass(frozen=True, slots=True)
class Bands:
    """From which score on a payment is verified, reviewed and blocked."""

    verify: int = 30
    review: int = 50
    block: int = 70

    def decision(self, score: int) -> FraudDecision:
        """Return what a score means.

        >>> [Bands().decision(score).value for score in (29, 30, 50, 70)]
        ['approve', 'verify', 'review', 'block']
        """
        if score >= self.block:
            return FraudDecision.BLOCK
        if score >= self.review:
            return FraudDecision.REVIEW
        return FraudDecision.VERIFY if score >= self.verify else FraudDecision.APPROVE


@dataclass(frozen=True, slots=True)
class BandsFor:
    """The bands of payments with these methods and currencies; an empty set means any."""

    bands: Bands
    methods: frozenset[str] = frozenset()
    currencies: frozenset[str] = frozenset()

    def fits(self, method: str, currency: str) -> bool:
        """Tell whether a payment is one of them."""
        return (not self.methods or method in self.methods) and (not self.currencies or currency in self.currencies)


@dataclass(frozen=True, slots=True)
class RuleSet:
    """Points by rule, immutable once it has a version. `exceptions`: bands for some payments; the first that fits
    counts."""

    version: str
    curves: Mapping[str, Curve]
    bands: Bands = Bands()
    exceptions: tuple[BandsFor, ...] = field(default=())

    def bands_for(self, method: str, currency: str) -> Bands:
        """Return the bands of a payment."""
        return next((each.bands for each in self.exceptions if each.fits(method, currency)), self.bands)


def problems_of(rule_set: RuleSet, known: Mapping[str, object]) -> Iterator[str]:
    """Yield what is wrong with a rule set, a sentence each. `known`: the rules that there are, by name."""
    for name, curve in rule_set.curves.items():
        if name not in known:
            yield f"{name}: there is no such rule"
        if len(curve.bounds) != len(curve.steps) or not curve.bounds:
            yield f"{name}: needs as many points as bounds, and one at least"
        elif list(curve.bounds) != sorted(set(curve.bounds)):
            yield f"{name}: the bounds must rise"
        if len(curve.steps) > MOST_STEPS:
            yield f"{name}: has more than {MOST_STEPS} steps"
        if any(abs(points) > MOST_POINTS for points in curve.steps):
            yield f"{name}: points must be within -{MOST_POINTS} and {MOST_POINTS}"
    for bands in (rule_set.bands, *(each.bands for each in rule_set.exceptions)):
        if not 0 < bands.verify <= bands.review <= bands.block <= 100:
            yield "bands: must rise from verify to review to block, within 1 and 100"
