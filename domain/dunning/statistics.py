"""What recovery statistics count, and how: outcomes of dunning cases, rates with their denominators, weights.

The database adds rows up into cells; here cells become figures. Nothing here reads a row."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from fractions import Fraction

from domain.decline import DeclineClass, DeclineReason
from domain.dunning.case import TryCause
from domain.dunning.cohort import HORIZON
from domain.payment import COLLECTED, State

HORIZON_DAYS = HORIZON.days
# Fewer cases of a class than these say less about it than all classes together.
LEAST_SAMPLE = 20


class Outcome(StrEnum):
    """What has become of a case. All but the first four: why its debt is lost."""

    RECOVERED = "recovered"  # within the horizon
    RECOVERED_LATER = "recovered_later"
    OPEN = "open"
    WENT_ON = "went_on"  # of one try: it has not paid the debt
    RETRIES_FAILED = "retries_failed"
    ONLY_WATCHED = "only_watched"
    NEEDS_CUSTOMER = "needs_customer"
    HARD = "hard"
    CONSENT_WITHDRAWN = "consent_withdrawn"
    STOPPED = "stopped"
    TAKEN_BACK = "taken_back"
    UNKNOWN = "unknown"


# In the order in which they are shown.
LOST = tuple(
    outcome
    for outcome in Outcome
    if outcome not in (Outcome.RECOVERED, Outcome.RECOVERED_LATER, Outcome.OPEN, Outcome.WENT_ON)
)
# Why grace has ended without money, by the newest failure that counted.
LOST_BY_CLASS = {
    DeclineClass.TECHNICAL: Outcome.RETRIES_FAILED,
    DeclineClass.SOFT: Outcome.RETRIES_FAILED,
    DeclineClass.NEEDS_CUSTOMER: Outcome.NEEDS_CUSTOMER,
    DeclineClass.HARD: Outcome.HARD,
    DeclineClass.CONSENT_WITHDRAWN: Outcome.CONSENT_WITHDRAWN,
}
# A payment that was tried and has not collected.
FAILED_PAYMENTS = frozenset(
    {
        State.DECLINED,
        State.FAILED,
        State.PAST_DUE,
        State.IN_GRACE,
        State.UNCOLLECTIBLE,
        State.REVERSED,
    }
)
SUCCEEDED_PAYMENTS = COLLECTED
# Where the money came from if nobody has caused a further try: the first charge itself, which surfaced late or came
# back from a dispute; or another payment of the invoice.
FIRST_TRY, ANOTHER_PAYMENT = "first_try", "another_payment"
SOURCES = (*(cause.value for cause in TryCause), FIRST_TRY, ANOTHER_PAYMENT)


class Subset(StrEnum):
    """Whose recovery is shown: published figures differ because their denominators do."""

    ALL = "all"
    SOFT = "soft"
    INSUFFICIENT_FUNDS = "insufficient_funds"

    def has(self, decline_class: str | None, reason: str | None) -> bool:
        """Tell whether a case with such a first failure is among them.

        >>> [subset.value for subset in Subset if subset.has("soft", "bank")]
        ['all', 'soft']
        """
        if self is Subset.ALL:
            return True
        if self is Subset.SOFT:
            return decline_class == DeclineClass.SOFT
        return reason == DeclineReason.FUNDS


@dataclass(frozen=True, slots=True)
class Ratio:
    """A figure with its denominator."""

    numerator: int
    denominator: int

    @property
    def rate(self) -> Fraction | None:
        """The figure itself; None of nothing.

        >>> Ratio(1, 3).rate, Ratio(0, 0).rate
        (Fraction(1, 3), None)
        """
        return Fraction(self.numerator, self.denominator) if self.denominator else None

    def __add__(self, other: Ratio) -> Ratio:
        return Ratio(self.numerator + other.numerator, self.denominator + other.denominator)


NOTHING = Ratio(0, 0)


@dataclass(frozen=True, slots=True)
class CaseCell:
    """Cases of a group that are alike in all that the figures tell apart. `amount`: of their debts, in minor units of
    the currency. `seconds`: from their first failure to the money, of recovered ones. `young`: how many have not
    reached the horizon."""

    currency: str
    decline_class: str | None
    reason: str | None
    outcome: Outcome
    source: str | None
    cases: int
    amount: int
    seconds: int
    young: int


@dataclass(frozen=True, slots=True)
class Recovery:
    """How many of the cases were recovered within the horizon, and how much of their money in each currency."""

    count: Ratio = NOTHING
    amounts: Mapping[str, Ratio] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class CaseFigures:
    """What a group's cells add up to."""

    cases: int
    young: int
    recovery: Mapping[Subset, Recovery]
    outcomes: Counter[Outcome]
    sources: Counter[str]
    seconds: int

    @property
    def recovered(self) -> int:
        """How many were recovered within the horizon: the denominator of tries, mails and time."""
        return self.outcomes[Outcome.RECOVERED]

    @property
    def lost(self) -> int:
        """How many are closed without money."""
        return sum(self.outcomes[reason] for reason in LOST)

    @property
    def average_days(self) -> Fraction | None:
        """The average time from the first failure to the money."""
        return Fraction(self.seconds, 86400 * self.recovered) if self.recovered else None


def figures_of(cells: Iterable[CaseCell]) -> CaseFigures:
    """Add the cells of a group up.

    >>> cell = CaseCell("EUR", "soft", "funds", Outcome.RECOVERED, "dunning", 2, 3000, 172800, 0)
    >>> lost = CaseCell("EUR", "hard", "closed", Outcome.HARD, None, 1, 1000, 0, 0)
    >>> figures = figures_of([cell, lost])
    >>> figures.recovery[Subset.ALL].count, figures.recovery[Subset.SOFT].amounts, figures.average_days
    (Ratio(numerator=2, denominator=3), {'EUR': Ratio(numerator=3000, denominator=3000)}, Fraction(1, 1))
    """
    known = list(cells)
    outcomes: Counter[Outcome] = Counter()
    sources: Counter[str] = Counter()
    for cell in known:
        outcomes[cell.outcome] += cell.cases
        if cell.outcome is Outcome.RECOVERED:
            sources[cell.source or ANOTHER_PAYMENT] += cell.cases
    return CaseFigures(
        cases=sum(cell.cases for cell in known),
        young=sum(cell.young for cell in known),
        recovery={subset: _recovery(known, subset) for subset in Subset},
        outcomes=outcomes,
        sources=sources,
        seconds=sum(cell.seconds for cell in known if cell.outcome is Outcome.RECOVERED),
    )


def _recovery(cells: Iterable[CaseCell], subset: Subset) -> Recovery:
    count, amounts = NOTHING, dict[str, Ratio]()
    for cell in cells:
        if subset.has(cell.decline_class, cell.reason):
            is_recovered = cell.outcome is Outcome.RECOVERED
            count += Ratio(cell.cases if is_recovered else 0, cell.cases)
            amount = Ratio(cell.amount if is_recovered else 0, cell.amount)
            amounts[cell.currency] = amounts.get(cell.currency, NOTHING) + amount
    return Recovery(count, dict(sorted(amounts.items())))


@dataclass(frozen=True, slots=True)
class ClosedCell:
    """Cases of a class that have reached the horizon. `day`: the full days after the first failure on which they
    closed; HORIZON_DAYS for those that were open still."""

    decline_class: str | None
    day: int
    is_recovered: bool
    cases: int


@dataclass(frozen=True, slots=True)
class Experience:
    """How cases have ended before: what the chance of an open one is measured by."""

    cells: tuple[ClosedCell, ...]

    @property
    def sample(self) -> int:
        """How many cases it is measured on."""
        return sum(cell.cases for cell in self.cells)

    def chance(self, decline_class: str | None, age_days: int) -> Ratio | None:
        """Return how many of the cases that were still open at this age were recovered within the horizon; None where
        nothing is measured. Of the same class, unless there are too few of it.

        >>> soft = (ClosedCell("soft", 3, True, 40), ClosedCell("soft", 7, True, 20), ClosedCell("soft", 21, False, 40))
        >>> [str(Experience(soft).chance("soft", age).rate) for age in (0, 4, 8)]
        ['3/5', '1/3', '0']
        >>> Experience(soft).chance("hard", 4) == Experience(soft).chance("soft", 4), Experience(()).chance("soft", 0)
        (True, None)
        """
        if not self.cells:
            return None
        if age_days >= HORIZON_DAYS:
            return Ratio(0, self.sample)
        same = self._still_open(age_days, decline_class)
        found = same if same.denominator >= LEAST_SAMPLE else self._still_open(age_days)
        return found if found.denominator else None

    def _still_open(self, age_days: int, decline_class: str | None = None) -> Ratio:
        chance = NOTHING
        for cell in self.cells:
            if cell.day >= age_days and decline_class in (None, cell.decline_class):
                chance += Ratio(cell.cases if cell.is_recovered else 0, cell.cases)
        return chance


@dataclass(frozen=True, slots=True)
class OpenCell:
    """Open cases of a currency, class and age, and what is at risk with them, in minor units."""

    currency: str
    decline_class: str | None
    age_days: int
    cases: int
    amount: int


@dataclass(frozen=True, slots=True)
class AtRisk:
    """What is at risk in one currency, in minor units: in full, and what of it experience lets expect. `weighted` None:
    nothing like it is measured."""

    cases: int = 0
    raw: int = 0
    weighted: int | None = 0


def at_risk(cells: Iterable[OpenCell], experience: Experience) -> dict[str, AtRisk]:
    """Return what is at risk in each currency. It is rounded once, half to even.

    >>> experience = Experience((ClosedCell("soft", 3, True, 30), ClosedCell("soft", 21, False, 30)))
    >>> at_risk([OpenCell("EUR", "soft", 0, 3, 1001), OpenCell("EUR", "soft", 9, 1, 500)], experience)
    {'EUR': AtRisk(cases=4, raw=1501, weighted=500)}
    """
    found: dict[str, AtRisk] = {}
    weights: dict[str, Fraction | None] = {}
    for cell in cells:
        before = found.get(cell.currency, AtRisk())
        chance = experience.chance(cell.decline_class, cell.age_days)
        rate, sum_before = chance.rate if chance else None, weights.get(cell.currency, Fraction(0))
        weights[cell.currency] = None if rate is None or sum_before is None else sum_before + cell.amount * rate
        found[cell.currency] = AtRisk(before.cases + cell.cases, before.raw + cell.amount)
    return {
        currency: AtRisk(risk.cases, risk.raw, None if (weight := weights[currency]) is None else round(weight))
        for currency, risk in sorted(found.items())
    }
