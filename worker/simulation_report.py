"""What a simulation has found, as JSON and as lines for people. The same run gives the same bytes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from domain.money import decimal_text
from domain.simulation.assumptions import HORIZON
from domain.simulation.results import Range, Results, wilson
from worker.simulation_run import RESAMPLES, Difference, Spread

# What changes the figures of a seed: the numbers of domain/simulation/assumptions.py, and how they are drawn.
MODEL_VERSION = 1
_DAYS = HORIZON // timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Simulation:
    """A finished run. `paid_after`: of a merchant's own history, after what time each debt was paid in fact."""

    seed: str
    results: Sequence[Results]
    spreads: Sequence[Spread]
    paid_after: Sequence[timedelta | None] | None = None


def to_json(simulation: Simulation) -> str:
    """Return all figures as JSON."""
    first = simulation.results[0]
    report = {
        "seed": int(simulation.seed),
        "customers": "model" if simulation.paid_after is None else "history",
        "model_version": MODEL_VERSION,
        "first_failures": first.failures,
        "horizon_days": _DAYS,
        "ranges": {
            "confidence": 0.95,
            "recovered_share": "Wilson",
            "others": f"percentile bootstrap over customers, {RESAMPLES} resamples",
        },
        "recovered_in_fact": _in_fact(simulation.paid_after),
        "baseline": first.strategy.name,
        "strategies": [
            _strategy(each, spread, simulation.results)
            for each, spread in zip(simulation.results, simulation.spreads, strict=True)
        ],
    }
    return json.dumps(report, indent=2, sort_keys=True) + "\n"


def _strategy(results: Results, spread: Spread, everyone: Sequence[Results]) -> dict[str, Any]:
    number, recovered = results.failures, sum(results.recovered)
    return {
        "name": results.strategy.name,
        "policy": results.strategy.policy.to_json() | {"version": results.strategy.policy.version},
        "reads_declines": not results.strategy.is_blind,
        "recovered": {"count": recovered, "of": number} | _share(recovered / number, wilson(recovered, number)),
        "recovered_amounts": [_amount(results, spread, currency) for currency in sorted(spread.amounts)],
        "collected_in_breach": results.collected_in_breach,
        "recovered_by": dict(results.sources),
        "time_to_recovery_days": {
            "median": _round(results.days_until(0.5)),
            "nine_tenths": _round(results.days_until(0.9)),
        },
        "recovered_within_10_days": _round(results.share_soon),
        "tries_after_the_first": {"count": sum(results.tries), "by_cause": dict(results.causes)}
        | {"per_first_failure": _round(sum(results.tries) / number), "range": _range(spread.tries)},
        "charges_that_reached_no_issuer": results.unsent,
        "breaches": _breaches(results),
        "mails": {"count": results.mails.total(), "by_kind": dict(results.mails)},
        "customers_who_left": results.left,
        "cases_given_up": results.ended,
        "by_reason": _by_reason(results),
        "recovered_by_day": [_round(share) for share in results.recovered_by_day(_DAYS)],
        # As far as there are any before it.
        "against": [_against(results, *pair) for pair in zip(everyone, spread.against, strict=False)],
    }


def _against(results: Results, other: Results, difference: Difference) -> dict[str, Any]:
    number = results.failures
    more, tries = sum(results.recovered) - sum(other.recovered), sum(results.tries) - sum(other.tries)
    return {
        "strategy": other.strategy.name,
        "recovered": {"count": more} | _share(more / number, difference.recovered),
        "tries_per_first_failure": {"more": _round(tries / number), "range": _range(difference.tries)},
        "mails": results.mails.total() - other.mails.total(),
    }


def _amount(results: Results, spread: Spread, currency: str) -> dict[str, Any]:
    owed = sum(amount for has, amount in results.owed if has == currency)
    pairs = zip(results.owed, results.amounts, strict=True)
    recovered = sum(amount for (has, _), amount in pairs if has == currency)
    texts = {"amount": decimal_text(recovered, currency), "of": decimal_text(owed, currency)}
    return {"currency": currency} | texts | _share(recovered / owed, spread.amounts[currency])


def _breaches(results: Results) -> list[dict[str, Any]]:
    ordered = sorted(results.breaches.items(), key=lambda item: (-item[1], item[0].name))
    return [{"rule": rule.name, "source": rule.source, "tries": count} for rule, count in ordered]


def _by_reason(results: Results) -> dict[str, Any]:
    return {
        reason: {"first_failures": count, "recovered": results.recovered_because[reason]}
        | {"tries_after_the_first": results.tried_because[reason]}
        for reason, count in results.failed_because.items()
    }


def _in_fact(paid_after: Sequence[timedelta | None] | None) -> dict[str, Any] | None:
    """Return what a history says itself, where it has any of it: a model that is far from that is a bad guide."""
    if paid_after is None or not any(paid_after):
        return None
    count = sum(each is not None and each <= HORIZON for each in paid_after)
    return {"count": count, "of": len(paid_after)} | _share(count / len(paid_after), wilson(count, len(paid_after)))


def _share(share: float, spread: Range) -> dict[str, Any]:
    return {"share": _round(share), "range": _range(spread)}


def _range(spread: Range) -> list[float | None]:
    return [_round(end) for end in spread]


def _round(number: float | None) -> float | None:
    return None if number is None else round(number, 5)


# --- for people


def to_text(simulation: Simulation) -> str:
    """Return a table of the strategies, and the rules that each of them breaks."""
    first = simulation.results[0]
    where = "of the model" if simulation.paid_after is None else "of the history, with fates by the model"
    head = f"{first.failures} first failures {where}, seed {simulation.seed}, watched for {_DAYS} days"
    rows = [_HEAD, *(_row(*each) for each in zip(simulation.results, simulation.spreads, strict=True))]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEAD))]
    table = ["  ".join(_aligned(row, widths)).rstrip() for row in rows]
    return "\n".join([head, "", *table, "", *_notes(simulation)])


_HEAD = ("", "recovered", "95 %", "tries", "95 %", "nine tenths by", "mails", "left", "breaches", "in breach")


def _row(results: Results, spread: Spread) -> tuple[str, ...]:
    number, recovered = results.failures, sum(results.recovered)
    slow = results.days_until(0.9)
    return (
        results.strategy.name,
        f"{recovered / number:.1%}",
        _percent(wilson(recovered, number)),
        f"{sum(results.tries) / number:.2f}",
        f"{spread.tries[0]:.2f} to {spread.tries[1]:.2f}",
        "-" if slow is None else f"day {slow:.1f}",
        f"{results.mails.total() / number:.2f}",
        f"{results.left / number:.1%}",
        str(results.breaches.total()),
        str(results.collected_in_breach),
    )


def _aligned(row: Sequence[str], widths: Sequence[int]) -> list[str]:
    return [
        f"{cell:<{width}}" if not column else f"{cell:>{width}}"
        for column, (cell, width) in enumerate(zip(row, widths, strict=True))
    ]


def _notes(simulation: Simulation) -> list[str]:
    lines = []
    for results, spread in zip(simulation.results, simulation.spreads, strict=True):
        for other, difference in zip(simulation.results, spread.against, strict=False):
            more = (sum(results.recovered) - sum(other.recovered)) / results.failures
            lines.append(
                f"{results.strategy.name} against {other.strategy.name}: {more:+.1%} recovered"
                f" ({_percent(difference.recovered, sign='+')}),"
                f" {(sum(results.tries) - sum(other.tries)) / results.failures:+.2f} tries"
                f" ({difference.tries[0]:+.2f} to {difference.tries[1]:+.2f})"
            )
    for results in simulation.results:
        for row in _breaches(results):
            tries = "1 try" if row["tries"] == 1 else f"{row['tries']} tries"
            lines.append(f"{results.strategy.name} breaks {row['rule']} by {tries} ({row['source']})")
    fact = _in_fact(simulation.paid_after)
    if fact is not None:
        lines.append(f"in fact {fact['share']:.1%} were recovered; a model that is far from it is a bad guide")
    lines.append("recovered, tries, mails and left: of each first failure; recovered: within the rules")
    lines.append(f"ranges: recovered by Wilson, others by bootstrap ({RESAMPLES} resamples of the customers)")
    return lines


def _percent(spread: Range, sign: str = "") -> str:
    return f"{spread[0]:{sign}.1%} to {spread[1]:{sign}.1%}"
