"""What a strategy has brought and cost: the figures of its histories, each with its denominator."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from math import sqrt

from domain.payment import Event
from domain.simulation.breaches import Rule, breaches_of
from domain.simulation.play import History, Strategy

# Of the 95 % ranges.
_Z = 1.959964
_DAY = timedelta(days=1)
# Nine tenths of recoveries lie within them under optimised retries (Recurly, April 2026).
SOON = timedelta(days=10)

Range = tuple[float, float]


@dataclass(slots=True)
class Results:
    """The figures of one strategy over its histories.

    `recovered`, `amounts`, `tries`: one entry for each customer, in their order, so that strategies can be compared
    customer by customer. Recovered is what was paid within the rules; what a try collects that breaks one is counted in
    `collected_in_breach` alone. Amounts are in minor units, by currency."""

    strategy: Strategy
    recovered: list[int] = field(default_factory=list)
    amounts: list[int] = field(default_factory=list)
    tries: list[int] = field(default_factory=list)
    owed: list[tuple[str, int]] = field(default_factory=list)
    collected_in_breach: int = 0
    left: int = 0
    ended: int = 0
    unsent: int = 0
    causes: Counter[str] = field(default_factory=Counter)
    mails: Counter[str] = field(default_factory=Counter)
    sources: Counter[str] = field(default_factory=Counter)
    breaches: Counter[Rule] = field(default_factory=Counter)
    failed_because: Counter[str] = field(default_factory=Counter)
    recovered_because: Counter[str] = field(default_factory=Counter)
    tried_because: Counter[str] = field(default_factory=Counter)
    after: list[timedelta] = field(default_factory=list)

    def add(self, history: History, visa_cap: int) -> None:
        """Count one more customer."""
        failure, reason = history.customer.failure, history.customer.failure.reason.value
        found = breaches_of(history, visa_cap)
        is_in_breach = any(breach.is_collecting for breach in found)
        is_recovered = history.paid_at is not None and not is_in_breach
        self.recovered.append(int(is_recovered))
        self.amounts.append(failure.amount if is_recovered else 0)
        self.tries.append(len(history.retries))
        self.owed.append((failure.currency, failure.amount))
        self.collected_in_breach += is_in_breach
        self.left += history.left_at is not None
        self.ended += any(each.event in (Event.GRACE_EXPIRED, Event.CONSENT_WITHDRAWN) for each in history.happened)
        self.unsent += history.unsent
        self.causes.update(tried.cause.value for tried in history.retries if tried.cause is not None)
        self.mails.update(mail.value for _, mail in history.mails)
        self.breaches.update(breach.rule for breach in found)
        self.failed_because[reason] += 1
        self.tried_because[reason] += len(history.retries)
        if history.paid_at is not None and is_recovered:
            self.recovered_because[reason] += 1
            self.sources[history.paid_by or ""] += 1
            self.after.append(history.paid_at - failure.at)

    @property
    def failures(self) -> int:
        """The denominator of all shares: all first failures."""
        return len(self.recovered)

    def days_until(self, share: float) -> float | None:
        """Return within how many days that share of the recoveries has come; None without any."""
        if not self.after:
            return None
        return sorted(self.after)[min(int(share * len(self.after)), len(self.after) - 1)] / _DAY

    @property
    def share_soon(self) -> float | None:
        """The share of the recoveries that come within ten days."""
        return sum(each <= SOON for each in self.after) / len(self.after) if self.after else None

    def recovered_by_day(self, last: int) -> list[float]:
        """Return the share of all first failures that is recovered by each day, from day 0 to the last one."""
        return [sum(each <= day * _DAY for each in self.after) / self.failures for day in range(last + 1)]


def wilson(count: int, of: int) -> Range:
    """Return the 95 % range of a share by Wilson's score.

    >>> [round(end, 3) for end in wilson(70, 100)], wilson(0, 0)
    ([0.604, 0.781], (0.0, 1.0))
    """
    if not of:
        return 0.0, 1.0
    share, z2 = count / of, _Z**2
    middle, half = share + z2 / (2 * of), _Z * sqrt(share * (1 - share) / of + z2 / (4 * of**2))
    return (middle - half) / (1 + z2 / of), (middle + half) / (1 + z2 / of)


def percentile_range(drawn: Sequence[float]) -> Range:
    """Return the range that holds the middle 95 % of resampled figures.

    >>> percentile_range([number / 1000 for number in range(1001)])
    (0.025, 0.975)
    """
    ordered = sorted(drawn)
    last = len(ordered) - 1
    return ordered[round(0.025 * last)], ordered[round(0.975 * last)]
