"""Makes whole points of fitted log-odds, on the scale on which the bands of a rule set hold."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from domain.fraud.rule_set import MOST_POINTS, Bands, Curve, RuleSet
from worker.fraud_fit import UNKNOWN, Fitted, bins_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from worker.fraud_fit import Values

# What is asked of the days on which the scale is chosen: more than is promised of later ones.
LEAST_PRECISION, LEAST_APPROVED = 0.97, 0.983
# Points for each unit of log-odds that are tried, from many to few: more points block more.
_SCALES = tuple(quarters / 4 for quarters in range(64, 7, -1))
# A step that this share of the payments reaches is a usual one; the lowest of them gets no points.
_USUAL = 0.05


@dataclass(frozen=True, slots=True)
class Scale:
    """The scale that was chosen. `precision`: of the block band on the days it was chosen on; None if nothing reaches
    it."""

    points_per_log_odd: float
    precision: float | None


def choose_points(
    version: str, fitted: Fitted, usual: Values, later: Values, is_fraud: NDArray[np.bool_]
) -> tuple[RuleSet, Scale]:
    """Return the rule set with most points whose block band is precise enough on the later payments.

    `usual`: the payments that say which values are usual. Where no scale is precise enough, the most precise one."""
    shifted = _shifted(fitted, usual)
    best: tuple[float, float] = (-1.0, _SCALES[-1])
    for scale in _SCALES:
        precision = _precision(_scores(whole_points(shifted, scale), later), is_fraud)
        best = max(best, (precision, scale))
        if precision >= LEAST_PRECISION:
            best = (precision, scale)
            break
    precision, scale = best
    curves = whole_points(shifted, scale)
    bands = _bands(_scores(curves, later))
    return RuleSet(version, curves, bands), Scale(scale, precision if precision >= 0 else None)


def whole_points(fitted: Mapping[str, tuple[tuple[int, ...], tuple[float, ...]]], scale: float) -> dict[str, Curve]:
    """Return the curves in whole points; steps with the same points are one, and a rule without points has none.

    >>> whole_points({"amount": ((0, 50, 60, 90), (0.01, 0.5, 0.52, 2.0))}, 10)
    {'amount': Curve(bounds=(50, 90), steps=(5, 20))}
    """
    curves = {}
    for name, (bounds, levels) in fitted.items():
        steps, before = [], 0
        for bound, level in zip(bounds, levels, strict=True):
            points = max(-MOST_POINTS, min(MOST_POINTS, round(level * scale)))
            if points != before:
                steps.append((bound, points))
            before = points
        if steps:
            curves[name] = Curve(tuple(bound for bound, _ in steps), tuple(points for _, points in steps))
    return curves


def _shifted(fitted: Fitted, usual: Values) -> dict[str, tuple[tuple[int, ...], tuple[float, ...]]]:
    """Return the curves, each moved so that the lowest of its usual steps is zero. A rule whose value is often
    not known stays, because what is not known adds nothing."""
    import numpy as np

    moved = {}
    for name, (bounds, levels) in fitted.curves.items():
        shares = np.bincount(bins_of(usual[name], bounds), minlength=len(bounds) + 1) / max(1, len(usual[name]))
        lowest = min((level for level, share in zip(levels, shares[1:], strict=True) if share >= _USUAL), default=0.0)
        by = lowest if (usual[name] == UNKNOWN).mean() < _USUAL else 0.0
        moved[name] = (bounds, tuple(level - by for level in levels))
    return moved


def _scores(curves: Mapping[str, Curve], values: Values) -> Any:
    """Return the scores of payments: the same sum as in `assess`."""
    import numpy as np

    total = np.zeros(len(next(iter(values.values()))), dtype=np.int64)
    for name, curve in curves.items():
        total += np.array([0, *curve.steps])[bins_of(values[name], curve.bounds)]
    return total.clip(0, 100)


def _precision(scores: Any, is_fraud: NDArray[np.bool_]) -> float:
    blocked = scores >= Bands().block
    return float(is_fraud[blocked].mean()) if blocked.any() else -1.0


def _bands(scores: Any) -> Bands:
    """Return the shipped bands; verification begins later if it would be asked of too many."""
    shipped = Bands()
    for verify in range(shipped.verify, shipped.review):
        if (scores < verify).mean() >= LEAST_APPROVED:
            return Bands(verify, shipped.review, shipped.block)
    return Bands(shipped.review, shipped.review, shipped.block)
