"""Fits rule sets to the payments of a file: which rules, on which days, and how good each is on later days."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import ceil
from typing import TYPE_CHECKING

from domain.fraud.default_rules import DEFAULT_RULES
from domain.fraud.quality import Quality
from domain.fraud.rule_set import RuleSet
from domain.fraud.rules import RULES
from worker.fraud_backtest import Days, quality_of
from worker.fraud_fit import Fitted, fit
from worker.fraud_matrix import Matrix
from worker.fraud_points import Scale, choose_points
from worker.fraud_rules_file import require_version

if TYPE_CHECKING:
    from worker.fraud_fit import Values

DEFAULT, FREE, MONOTONE = "default", "free", "monotone"
# What a file cannot teach, by rule.
LEFT_OUT = {
    "over_limit": "says the same as the amount",
    "user_known_for_days": "grows with the file, which knows nobody before its first row",
    "user_first_payment": "is as likely the user's first payment in the file only",
}
# Fewer would fit curves to chance.
LEAST_FRAUDS = 20
_NOTHING = (
    "--fit-days: nothing that the rules read tells fraud from genuine payments; map more columns, or take more days"
)
# Where no days are given: so much of the file is history only, and so much of its end is for the choice.
_HISTORY, _CHOICE = 0.2, 0.16
Done = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class Draft:
    """A fitted rule set with the curves it was made of."""

    rule_set: RuleSet
    fitted: Fitted
    scale: Scale


@dataclass(frozen=True, slots=True)
class FitRun:
    """What was fitted. `chosen`: each rule set on the days on which the scale was chosen; `between`: on those between
    them and the days of the fit, which had no part in anything; None if there are none."""

    fit_days: Days
    choose_days: Days
    drafts: Mapping[str, Draft]
    chosen: Mapping[str, Quality]
    between: Mapping[str, Quality] | None
    left_out: Mapping[str, str]

    def rule_set(self, name: str) -> RuleSet:
        """Return one of the rule sets that are compared."""
        return DEFAULT_RULES if name == DEFAULT else self.drafts[name].rule_set


def split_days(matrix: Matrix, delay_days: float) -> tuple[Days, Days]:
    """Return the days to fit to and those to choose on, by the length of a file: between them all labels arrive.

    Raises ValueError for a file that is too short."""
    days = matrix.days[-1] + 1
    first, choose = int(days * _HISTORY), days - int(days * _CHOICE)
    last = choose - ceil(delay_days) - 1
    if last < first or choose >= days:
        raise ValueError(f"{days} days are too few for a fit, with labels that take {delay_days:g} days to arrive")
    return Days(first, last), Days(choose, days - 1)


def run_fit(matrix: Matrix, fit_days: Days, choose_days: Days, version: str, done: Done, judged: Done) -> FitRun:
    """Fit a free and a monotone rule set, and score the later days with them and with the shipped one.

    `version`: of both, before their names. `done`: is told of each sweep of the fit; `judged`: of each payment that is
    scored. Raises ValueError where nothing can be fitted."""
    for name in (FREE, MONOTONE):
        require_version(f"{version}-{name}")
    earlier, later = matrix.rows_of(fit_days), matrix.rows_of(choose_days)
    for days, rows in (("--fit-days", earlier), ("--choose-days", later)):
        frauds = sum(matrix.is_fraud[rows.start : rows.stop])
        if not LEAST_FRAUDS <= frauds < len(rows):
            raise ValueError(f"{days}: {len(rows)} payments, {frauds} of them fraud; {LEAST_FRAUDS} are needed")
    left_out = _left_out(matrix.values(earlier))
    values, choose_values = (
        {name: column for name, column in matrix.values(rows).items() if name not in left_out}
        for rows in (earlier, later)
    )
    drafts = {}
    for name in (FREE, MONOTONE):
        directions = {rule: RULES[rule].direction for rule in values}
        fitted = fit(values, matrix.labels(earlier), directions, is_monotone=name == MONOTONE, done=done)
        if not fitted.curves:
            raise ValueError(_NOTHING)
        rule_set, scale = choose_points(f"{version}-{name}", fitted, values, choose_values, matrix.labels(later))
        if not rule_set.curves:
            raise ValueError(_NOTHING)
        drafts[name] = Draft(rule_set, fitted, scale)
    rule_sets = {DEFAULT: DEFAULT_RULES} | {name: draft.rule_set for name, draft in drafts.items()}
    between = range(earlier.stop, later.start)
    return FitRun(
        fit_days,
        choose_days,
        drafts,
        _qualities(matrix, later, rule_sets, judged),
        _qualities(matrix, between, rule_sets, judged) if between else None,
        left_out,
    )


def judged_rows(matrix: Matrix, fit_days: Days, choose_days: Days) -> int:
    """Return how many payments are scored in a run, by all rule sets together."""
    return (1 + len((FREE, MONOTONE))) * (matrix.rows_of(choose_days).stop - matrix.rows_of(fit_days).stop)


def _qualities(matrix: Matrix, rows: range, rule_sets: Mapping[str, RuleSet], done: Done) -> dict[str, Quality]:
    return {name: quality_of(matrix.judged(rows, rule_set), done) for name, rule_set in rule_sets.items()}


def _left_out(values: Values) -> dict[str, str]:
    """Return the rules that are not fitted, each with the reason."""
    import numpy as np

    reasons: dict[str, str] = {}
    kept: list[str] = []
    for name, column in values.items():
        twin = next((other for other in kept if np.array_equal(values[other], column)), None)
        if name in LEFT_OUT:
            reasons[name] = LEFT_OUT[name]
        elif column.min() == column.max():
            reasons[name] = "has one value in all payments"
        elif twin is not None:
            reasons[name] = f"has the same values as {twin}"
        else:
            kept.append(name)
    return reasons
