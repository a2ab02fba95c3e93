"""What a fit has found, as JSON and as lines for people: how good the rule sets are, and what each curve says."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from domain.fraud.rule_set import Curve
from domain.fraud.rules import RULES, Direction
from worker.fraud_backtest import Days
from worker.fraud_fit_run import DEFAULT, FREE, MONOTONE, Draft, FitRun
from worker.fraud_report import to_json as quality_json
from worker.fraud_report import to_text as quality_text

_Json = dict[str, Any]
_WORDS = {Direction.RISING: "rising", Direction.FALLING: "falling", Direction.FREE: "free"}
_AGAINST = (
    "does not keep to the direction that a person expects, because this explains {share:.1%} of what all curves"
    " explain; it may have learned how long fraud lasts in these payments: keep it only if yours behave so"
)


def to_json(run: FitRun, drafted: str) -> _Json:
    """Return all figures; those at the top are of the rule set that is drafted, on the days of the choice."""
    return {
        "draft": drafted,
        "fit_days": _days(run.fit_days),
        "choose_days": _days(run.choose_days),
        **_quality(run, drafted),
        "compared": {name: _quality(run, name) for name in (DEFAULT, FREE, MONOTONE)},
        "between": {
            name: quality_json(quality, run.rule_set(name).bands) for name, quality in (run.between or {}).items()
        },
        "left_out": dict(run.left_out),
    }


def to_text(run: FitRun, drafted: str) -> str:
    """Return the figures of all rule sets, and what the curves of the drafted one say."""
    lines = [f"fitted to days {_span(run.fit_days)}, bands chosen on days {_span(run.choose_days)}"]
    for name in (DEFAULT, FREE, MONOTONE):
        rule_set = run.rule_set(name)
        mark = " (the draft)" if name == drafted else ""
        lines += ["", f"== {name}{mark}: {rule_set.version}", quality_text(run.chosen[name], rule_set.bands)]
        if run.between is not None:
            between = run.between[name]
            lines.append(
                f"days in between: AUC {_short(between.auc)}, average precision {_short(between.average_precision)}"
            )
    lines += ["", "what the curves of the draft say:"]
    draft = run.drafts[drafted]
    for name, curve in draft.rule_set.curves.items():
        lines += [f"{name}:", *(f"  {line}" for line in in_words(name, curve, draft))]
    return "\n".join(lines)


def in_words(rule: str, curve: Curve, draft: Draft) -> Iterator[str]:
    """Yield what a curve says, a sentence for each step, and a warning if it leaves its rule's direction."""
    for step in _steps(rule, curve):
        yield f"{step['says']}: {step['points']:+} points"
    if rule in draft.fitted.against:
        yield _AGAINST.format(share=draft.fitted.against[rule])


def _quality(run: FitRun, name: str) -> _Json:
    rule_set = run.rule_set(name)
    report = {"rules_version": rule_set.version} | quality_json(run.chosen[name], rule_set.bands)
    draft = run.drafts.get(name)
    if draft is None:
        return report
    return report | {
        "points_per_log_odd": draft.scale.points_per_log_odd,
        "steps": sum(len(curve.steps) for curve in rule_set.curves.values()),
        "curves": [_curve(rule, curve, draft) for rule, curve in rule_set.curves.items()],
    }


def _curve(rule: str, curve: Curve, draft: Draft) -> _Json:
    against = draft.fitted.against.get(rule)
    return {
        "rule": rule,
        "direction": _WORDS[RULES[rule].direction],
        "steps": _steps(rule, curve),
        "warning": _AGAINST.format(share=against) if against is not None else None,
    }


def _steps(rule: str, curve: Curve) -> list[_Json]:
    ends = [bound - 1 for bound in curve.bounds[1:]]
    return [
        {"from": bound, "to": end, "points": points, "says": RULES[rule].sentence.format(value=_range(bound, end))}
        for bound, end, points in zip(curve.bounds, [*ends, None], curve.steps, strict=True)
    ]


def _range(bound: int, end: int | None) -> str:
    if end is None:
        return f"{bound} or more"
    return str(bound) if bound == end else f"{bound} to {end}"


def _days(days: Days) -> list[int | None]:
    return [days.first, days.last]


def _span(days: Days) -> str:
    return f"{days.first} to {days.last}"


def _short(share: float | None) -> str:
    return "-" if share is None else f"{share:.3f}"
