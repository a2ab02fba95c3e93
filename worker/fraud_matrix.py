"""Keeps the numbers that rules read of many payments in columns, so that curves can be fitted to them."""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from domain.fraud.assessment import Scored, assess, values_of
from domain.fraud.quality import Judged
from domain.fraud.rule_set import RuleSet
from domain.fraud.rules import RULES
from worker.fraud_backtest import Days
from worker.fraud_csv import Replayed
from worker.fraud_fit import UNKNOWN

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_MOST = 2**31 - 1


@dataclass(slots=True)
class Matrix:
    """Payments by row, in their order. `columns`: by rule; a rule of which no number was known has none."""

    columns: dict[str, array[int]] = field(default_factory=dict)
    days: array[int] = field(default_factory=lambda: array("i"))
    is_fraud: bytearray = field(default_factory=bytearray)
    amounts: array[int] = field(default_factory=lambda: array("q"))
    # Method and currency.
    ways: list[tuple[str, str]] = field(default_factory=list)

    def add(self, payment: Replayed) -> None:
        """Add a payment below the others."""
        rows, values = len(self.days), values_of(payment.facts)
        for name in values:
            if name not in self.columns:
                self.columns[name] = array("i", [UNKNOWN]) * rows
        for name, column in self.columns.items():
            value = values.get(name, UNKNOWN)
            column.append(value if value <= _MOST else _MOST)
        self.days.append(payment.day)
        self.is_fraud.append(payment.is_fraud)
        self.amounts.append(payment.amount)
        self.ways.append((payment.facts.method, payment.currency))

    def rows_of(self, days: Days) -> range:
        """Return the rows of these days, which lie together."""
        end = bisect_right(self.days, days.last) if days.last is not None else len(self.days)
        return range(bisect_left(self.days, days.first), end)

    def judged(self, rows: Sequence[int], rule_set: RuleSet) -> Iterator[Judged]:
        """Yield these payments as a rule set scores them."""
        columns = tuple(self.columns.items())
        for row in rows:
            values = {name: value for name, column in columns if (value := column[row]) != UNKNOWN}
            method, currency = self.ways[row]
            assessment = assess(rule_set, Scored(values, method, currency))
            yield Judged(
                assessment.score,
                assessment.decision,
                assessment.reasons,
                bool(self.is_fraud[row]),
                self.amounts[row],
            )

    def values(self, rows: range) -> dict[str, NDArray[np.int32]]:
        """Return the columns of these rows, in the order of the rules."""
        import numpy as np

        return {
            name: np.frombuffer(self.columns[name], dtype=np.int32)[rows.start : rows.stop]
            for name in RULES
            if name in self.columns
        }

    def labels(self, rows: range) -> NDArray[np.bool_]:
        """Return which of these rows are fraud."""
        import numpy as np

        return np.frombuffer(self.is_fraud, dtype=np.bool_)[rows.start : rows.stop]


def matrix_of(payments: Iterable[Replayed], days: Days) -> Matrix:
    """Return the payments of these days. Those before them are read as history."""
    matrix = Matrix()
    for payment in payments:
        if days.are_over(payment.day):
            break
        if payment.day in days:
            matrix.add(payment)
    return matrix
