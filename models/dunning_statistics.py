"""Recovery statistics as operators read them: every figure with its numerator, its denominator and its rate."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from fractions import Fraction
from itertools import accumulate
from typing import Any

from sqlalchemy import Connection, Row, Subquery

from domain.dunning.cohort import HORIZON, Cohort, GroupBy, StatisticsRequest
from domain.dunning.policy import DunningPolicy
from domain.dunning.statistics import (
    HORIZON_DAYS,
    LOST,
    NOTHING,
    SOURCES,
    AtRisk,
    CaseCell,
    CaseFigures,
    ClosedCell,
    Experience,
    OpenCell,
    Outcome,
    Ratio,
    Recovery,
    at_risk,
    figures_of,
)
from domain.money import decimal_text
from models import dunning_figures as sums
from models.dunning_cohort import POLICY_SEPARATOR, cohort_cases, cohort_tries
from models.session import begin_report

# What open cases are weighted by: the cases whose debt failed first within so long before the horizon began.
_EXPERIENCE = timedelta(days=180)
_WHOLE = ""


@dataclass
class _Group:
    """What the statements have found about a group."""

    cells: list[CaseCell] = field(default_factory=list)
    tries: list[Row[Any]] = field(default_factory=list)
    mails: int = 0
    days: dict[int, int] = field(default_factory=dict)
    median: Fraction | None = None
    subscriptions: Ratio = NOTHING
    debts: list[OpenCell] = field(default_factory=list)
    periods: list[OpenCell] = field(default_factory=list)
    payments: Ratio | None = None


def show_statistics(connection: Connection, request: StatisticsRequest, now: datetime) -> dict[str, Any]:
    """Return the figures of a cohort: of all of its cases, and of each group. They agree with one another."""
    begin_report(connection)
    return _statistics(connection, request, now)


def _statistics(connection: Connection, request: StatisticsRequest, now: datetime) -> dict[str, Any]:
    experience = _experience(connection, now)
    cohort, group_by = request.cohort, request.group_by
    whole = _found(connection, cohort, None, now).get(_WHOLE, _Group(payments=NOTHING))
    shown: dict[str, Any] = {
        "from": _text(cohort.begin),
        "to": _text(cohort.end),
        "at": _text(now),
        "horizon_days": HORIZON_DAYS,
        "group_by": group_by,
        "weights_measured_on": experience.sample,
        "total": _is_complete(cohort, None, "", now) | _view(whole, experience),
    }
    if group_by is None:
        return shown | {"groups": []}
    if group_by is GroupBy.TRY:
        tried = _tries(connection, cohort, now)
        groups = [
            _name(group_by, key) | _is_complete(cohort, group_by, key, now) | _try_view(tried[key]) for key in tried
        ]
        return shown | {"groups": groups}
    found = _found(connection, cohort, group_by, now)
    groups = [
        _name(group_by, key) | _is_complete(cohort, group_by, key, now) | _view(found[key], experience)
        for key in sorted(found)
    ]
    return shown | {"groups": groups}


def _found(connection: Connection, cohort: Cohort, group_by: GroupBy | None, now: datetime) -> dict[str, _Group]:
    cases = cohort_cases(cohort, group_by)
    tries = cohort_tries(cases)
    groups: dict[str, _Group] = {}
    for row in sums.case_cells(connection, cases, now):
        _of(groups, row).cells.append(_case_cell(row))
    for row in sums.try_sums(connection, tries, by_number=False):
        _of(groups, row).tries.append(row)
    for row in sums.mail_sums(connection, cases):
        _of(groups, row).mails = row.mails
    for row in sums.day_sums(connection, cases):
        _of(groups, row).days[int(row.day)] = row.cases
    for row in sums.median_seconds(connection, cases):
        _of(groups, row).median = Fraction(int(row.low + row.high), 2 * 86400)
    for row in sums.subscription_sums(connection, cases):
        _of(groups, row).subscriptions = Ratio(int(row.saved), row.subscriptions)
    for row in sums.open_debts(connection, cases, now):
        _of(groups, row).debts.append(_open_cell(row))
    for row in sums.open_periods(connection, cases, now):
        _of(groups, row).periods.append(_open_cell(row))
    accepted = sums.payment_sums(connection, cohort, group_by)
    for row in accepted or ():
        _of(groups, row).payments = Ratio(int(row.succeeded), int(row.succeeded + row.failed))
    for group in groups.values() if accepted is not None else ():
        group.payments = group.payments or NOTHING
    return groups


def _tries(connection: Connection, cohort: Cohort, now: datetime) -> dict[str, _Group]:
    cases = cohort_cases(cohort, GroupBy.TRY)
    tries = cohort_tries(cases)
    groups: dict[str, _Group] = {}
    for row in sorted(sums.try_sums(connection, tries, by_number=True), key=lambda row: int(row.grp)):
        _of(groups, row).tries.append(row)
    for row in sums.try_cells(connection, cases, tries, now):
        _of(groups, row).cells.append(_case_cell(row))
    return groups


def _of(groups: dict[str, _Group], row: Row[Any]) -> _Group:
    return groups.setdefault(str(row.grp), _Group())


def _experience(connection: Connection, now: datetime) -> Experience:
    before: Subquery = cohort_cases(Cohort(now - HORIZON - _EXPERIENCE, now - HORIZON), None)
    ended = sums.closed_cells(connection, before)
    return Experience(
        tuple(ClosedCell(row.decline_class, int(row.day), bool(row.is_recovered), row.cases) for row in ended)
    )


def _case_cell(row: Row[Any]) -> CaseCell:
    return CaseCell(
        row.currency,
        row.decline_class,
        row.decline_reason,
        Outcome(row.outcome),
        row.source,
        row.cases,
        int(row.amount),
        int(row.seconds),
        int(row.young),
    )


def _open_cell(row: Row[Any]) -> OpenCell:
    return OpenCell(row.currency, row.decline_class, int(row.age), row.cases, int(row.amount))


def _is_complete(cohort: Cohort, group_by: GroupBy | None, key: str, now: datetime) -> dict[str, bool]:
    """Say whether every case that the group can have has reached the horizon. A month is cut off at the range's end."""
    end = dict(cohort.months).get(key, cohort.end) if group_by is GroupBy.COHORT else cohort.end
    return {"is_complete": Cohort(cohort.begin, min(end, cohort.end)).is_complete(now)}


def _name(group_by: GroupBy, key: str) -> dict[str, Any]:
    if group_by is not GroupBy.POLICY:
        return {"group": key}
    name, _, stored = key.partition(POLICY_SEPARATOR)
    # A case of an earlier release has stored none.
    version = DunningPolicy.from_json(json.loads(stored)).version if stored else None
    return {"group": f"{name} {version or 'unknown'}", "policy_name": name, "policy_version": version}


def _view(group: _Group, experience: Experience) -> dict[str, Any]:
    figures = figures_of(group.cells)
    recovered, tries = figures.recovered, _tries_of(group.tries)
    return {
        **_of_cases(figures, group.tries),
        "recovered_later": _ratio(Ratio(figures.outcomes[Outcome.RECOVERED_LATER], figures.cases)),
        "open": _ratio(Ratio(figures.outcomes[Outcome.OPEN], figures.cases)),
        "lost": _ratio(Ratio(figures.lost, figures.cases)),
        "lost_reasons": _shares(figures.outcomes, LOST, figures.lost),
        "recovery_time": _time(figures, group.median),
        "recovered_by_day": _by_day(group.days, figures.cases),
        "sources": _shares(figures.sources, SOURCES, recovered),
        "tries_per_recovery": _ratio(Ratio(tries.denominator, recovered)),
        "mails_per_recovery": _ratio(Ratio(group.mails, recovered)),
        "subscriptions_saved": _ratio(group.subscriptions),
        "payment_success": None if group.payments is None else _ratio(group.payments),
        "at_risk": {
            "owed": _risk(at_risk(group.debts, experience)),
            "per_period": _risk(at_risk(group.periods, experience)),
        },
    }


def _try_view(group: _Group) -> dict[str, Any]:
    figures = figures_of(group.cells)
    return {
        **_of_cases(figures, group.tries),
        "recovery_time": _time(figures, None),
        "sources": _shares(figures.sources, SOURCES, figures.recovered),
    }


def _of_cases(figures: CaseFigures, tries: Iterable[Row[Any]]) -> dict[str, Any]:
    rows = list(tries)
    return {
        "cases": figures.cases,
        "younger_than_horizon": figures.young,
        "recovery": {subset: _recovery(recovery) for subset, recovery in figures.recovery.items()},
        "try_success": _ratio(_tries_of(rows)),
        "tries_by_cause": [{"cause": row.cause, **_ratio(Ratio(int(row.succeeded), row.tries))} for row in rows],
    }


def _tries_of(rows: Iterable[Row[Any]]) -> Ratio:
    return sum((Ratio(int(row.succeeded), row.tries) for row in rows), NOTHING)


def _recovery(recovery: Recovery) -> dict[str, Any]:
    return {
        "count": _ratio(recovery.count),
        "amounts": [
            {
                "currency": currency,
                "numerator": decimal_text(ratio.numerator, currency),
                "denominator": decimal_text(ratio.denominator, currency),
                "rate": _rounded(ratio.rate),
            }
            for currency, ratio in recovery.amounts.items()
        ],
    }


def _time(figures: CaseFigures, median: Fraction | None) -> dict[str, Any]:
    return {
        "recovered": figures.recovered,
        "average_days": _rounded(figures.average_days, 2),
        "median_days": _rounded(median, 2),
    }


def _by_day(days: Mapping[int, int], cases: int) -> list[dict[str, Any]]:
    by_day = accumulate(days.get(day, 0) for day in range(HORIZON_DAYS))
    return [{"day": day, **_ratio(Ratio(recovered, cases))} for day, recovered in enumerate(by_day, 1)]


def _shares(counts: Mapping[Any, int], order: Iterable[str], of: int) -> list[dict[str, Any]]:
    return [{"name": str(name), **_ratio(Ratio(counts[name], of))} for name in order if counts.get(name)]


def _risk(risks: Mapping[str, AtRisk]) -> list[dict[str, Any]]:
    return [
        {
            "currency": currency,
            "cases": risk.cases,
            "amount": decimal_text(risk.raw, currency),
            "weighted": None if risk.weighted is None else decimal_text(risk.weighted, currency),
        }
        for currency, risk in risks.items()
    ]


def _ratio(ratio: Ratio) -> dict[str, Any]:
    return {"numerator": ratio.numerator, "denominator": ratio.denominator, "rate": _rounded(ratio.rate)}


def _rounded(rate: Fraction | None, digits: int = 4) -> float | None:
    return None if rate is None else round(rate.numerator / rate.denominator, digits)


def _text(instant: datetime) -> str:
    return instant.isoformat(timespec="milliseconds").replace("+00:00", "Z")
