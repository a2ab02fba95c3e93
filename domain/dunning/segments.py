"""Segments: which dunning policy a new case gets, and which cases are held out to compare with."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from domain.dunning.draw import draw
from domain.dunning.policy import MONITOR_ONLY, DunningPolicy


@dataclass(frozen=True, slots=True)
class SegmentFacts:
    """What the choice of a policy depends on. `amount`: in minor units of the currency. `country`: the customer's.
    `seed`: the user's id, or the case's where there is none; it decides who is held out."""

    seed: str
    application: str
    amount: int
    currency: str
    method: str
    plan: str | None = None
    country: str | None = None


@dataclass(frozen=True, slots=True)
class Segment:
    """Cases that share a policy. An empty set fits every case; `minimum` and `maximum` belong to the segment, in minor
    units. `holdout`: the share of its users that is only watched, from 0 to 1."""

    name: str
    policy: DunningPolicy
    applications: frozenset[str] = frozenset()
    plans: frozenset[str] = frozenset()
    methods: frozenset[str] = frozenset()
    currencies: frozenset[str] = frozenset()
    countries: frozenset[str] = frozenset()
    minimum: int = 0
    maximum: int | None = None
    holdout: float = 0

    def fits(self, facts: SegmentFacts) -> bool:
        """Tell whether the segment has this case."""
        wanted = (
            (self.applications, facts.application),
            (self.plans, facts.plan),
            (self.methods, facts.method),
            (self.currencies, facts.currency),
            (self.countries, facts.country),
        )
        is_within = self.minimum <= facts.amount and (self.maximum is None or facts.amount <= self.maximum)
        return is_within and all(not names or name in names for names, name in wanted)

    def holds_out(self, facts: SegmentFacts) -> bool:
        """Tell whether this case is held out: always the same for one user, and still so if the share is raised."""
        return draw(self.name, facts.seed) < self.holdout


class Chosen(NamedTuple):
    """The policy of a new case. `segment`: the name of its segment, None outside of all."""

    policy: DunningPolicy
    is_holdout: bool
    segment: str | None


def choose_policy(segments: Iterable[Segment], facts: SegmentFacts, default: DunningPolicy) -> Chosen:
    """Return the policy of the first segment that fits, and `monitor_only` for those that it holds out.

    >>> facts = SegmentFacts("user_1", "shop", 990, "EUR", "sepa_debit", plan="annual")
    >>> segments = [Segment("large", DunningPolicy(), minimum=10_000), Segment("all", DunningPolicy(name="patient"))]
    >>> choose_policy(segments, facts, DunningPolicy()).policy.name, choose_policy([], facts, DunningPolicy()).segment
    ('patient', None)
    >>> choose_policy([Segment("watched", DunningPolicy(), holdout=1)], facts, DunningPolicy()).policy.name
    'monitor_only'
    """
    segment = next((segment for segment in segments if segment.fits(facts)), None)
    if segment is None:
        return Chosen(default, False, None)
    is_holdout = segment.holds_out(facts)
    return Chosen(MONITOR_ONLY if is_holdout else segment.policy, is_holdout, segment.name)
