"""Fits step curves to payments whose labels are known: of each rule, the log-odds of fraud by its value, added up over
all rules (a generalized additive model on bins, by penalized Newton steps).

numpy is imported when something is fitted, and not before: it is an extra, and the runtime needs none of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from domain.fraud.rule_set import MOST_STEPS
from domain.fraud.rules import Direction

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    _Floats = NDArray[np.float64]
    Values = Mapping[str, NDArray[np.int32]]

MISSING = "curves are fitted with numpy: pip install 'celeriac[fraud-fit]'"
# Stands for a value that is not known.
UNKNOWN = -(2**31)
# The bounds that are tried for a rule: so many shares of all payments, and of the fraud, which is at the far ends.
_SHARES_OF_ALL, _SHARES_OF_FRAUD = 40, 60
# How far two bins side by side, and any bin from none, lie apart without much evidence, in log-odds.
_STEP_SPREAD, _SPREAD = 0.7, 3.0
# The most that one Newton step may change a bin.
_MOST_CHANGE = 1.0
_SWEEPS, _SWEEPS_AFTER_FREEING, _SWEEPS_OF_STEPS = 14, 6, 10
# A curve may go against its direction if that explains this share of what all curves explain; so many curves may.
_LEAST_SHARE, _MOST_FREED = 0.004, 3
# Bins are kept apart if that explains at least so much, in units of half the deviance.
_LEAST_GAIN = 12.0
# So heavy is the bin that stays at zero.
_FIXED = 1e12
Done = Callable[[int], None]
SWEEPS = _SWEEPS + _MOST_FREED * _SWEEPS_AFTER_FREEING + _SWEEPS_OF_STEPS


def require_numpy() -> None:
    """Raise ValueError with what to do where numpy is not installed."""
    try:
        import numpy  # noqa: F401
    except ImportError:
        raise ValueError(MISSING) from None


@dataclass(frozen=True, slots=True)
class Fitted:
    """Log-odds by rule: from each bound on, what stands beside it; the most usual step is zero, and so is a value that
    is not known. `against`: rules whose curves go against their direction, with the share of what all curves explain
    that this is worth."""

    intercept: float
    curves: Mapping[str, tuple[tuple[int, ...], tuple[float, ...]]]
    against: Mapping[str, float]


@dataclass(slots=True)
class _Feature:
    """A rule's values as bins, of which bin 0 holds what is not known, and the log-odds of each bin. `usual`: the bin
    that stays at zero."""

    name: str
    direction: Direction
    bounds: _Floats
    bins: NDArray[np.uint8]
    curve: _Floats
    usual: int


def fit(values: Values, is_fraud: NDArray[np.bool_], directions: Mapping[str, Direction], *, is_monotone: bool,
        done: Done = lambda _: None) -> Fitted:  # fmt: skip
    """Fit a curve to each rule that has more than one value. A curve keeps to its rule's direction; if `is_monotone` is
    false, a few may leave it, where that explains much. `done`: is told of each sweep."""
    model = _Model(values, is_fraud, directions)
    nothing = model.deviance()
    model.sweep(_SWEEPS, done)
    against: dict[str, float] = {}
    for _ in range(0 if is_monotone else _MOST_FREED):
        found = model.worth_freeing(nothing - model.deviance())
        if found is None:
            done(_SWEEPS_AFTER_FREEING)
            continue
        feature, share = found
        feature.direction, against[feature.name] = Direction.FREE, share
        model.sweep(_SWEEPS_AFTER_FREEING, done)
    model.merge_bins()
    model.sweep(_SWEEPS_OF_STEPS, done, is_smooth=False)
    curves = {
        feature.name: (tuple(int(bound) for bound in feature.bounds), tuple(float(x) for x in feature.curve[1:]))
        for feature in model.features
        if len(feature.bounds) > 1
    }
    return Fitted(float(model.intercept), curves, against)


def bins_of(values: NDArray[np.int32], bounds: Sequence[int] | _Floats) -> NDArray[np.uint8]:
    """Return for each value how many bounds it has reached; 0 also for what is not known."""
    import numpy as np

    return np.searchsorted(np.asarray(bounds), values, side="right").astype(np.uint8)


class _Model:
    def __init__(self, values: Values, is_fraud: NDArray[np.bool_], directions: Mapping[str, Direction]) -> None:
        import numpy as np

        self._np: Any = np
        self._is_fraud = is_fraud
        self._target = is_fraud.astype(np.float64)
        share = (is_fraud.sum() + 0.5) / (len(is_fraud) + 1)
        self.intercept = np.log(share / (1 - share))
        self._sum = np.full(len(is_fraud), self.intercept)
        self.features = [
            self._feature(name, column, directions[name])
            for name, column in values.items()
            if len(np.unique(column[:: max(1, len(column) // 100_000)])) > 1 or len(np.unique(column)) > 1
        ]

    def _feature(self, name: str, column: NDArray[np.int32], direction: Direction) -> _Feature:
        bounds = self._candidates(column)
        bins = bins_of(column, bounds)
        counts = self._np.bincount(bins, minlength=len(bounds) + 1)
        return _Feature(name, direction, bounds, bins, self._np.zeros(len(bounds) + 1), int(counts.argmax()))

    def _candidates(self, column: NDArray[np.int32]) -> Any:
        """Return the bounds that are tried: all values if they are few, otherwise quantiles."""
        np = self._np
        is_known = column != UNKNOWN
        known, of_fraud = column[is_known], column[is_known & self._is_fraud]
        bounds = np.unique(known)
        if len(bounds) > _SHARES_OF_ALL:
            shares = np.linspace(0, 1, _SHARES_OF_ALL + 1), np.linspace(0, 1, _SHARES_OF_FRAUD + 1)
            samples = [np.quantile(each, q, method="lower") for each, q in zip((known, of_fraud), shares, strict=True)
                       if len(each)]  # fmt: skip
            bounds = np.unique(np.concatenate(samples))
        # A value below all that were seen counts as the lowest of them.
        bounds[0] = min(0, bounds[0])
        return bounds.astype(np.int64)

    def deviance(self) -> float:
        """Return half the deviance: minus the log-likelihood."""
        np = self._np
        signed = np.where(self._is_fraud, self._sum, -self._sum)
        return float(np.logaddexp(0, -signed).sum())

    def sweep(self, times: int, done: Done, *, is_smooth: bool = True) -> None:
        """Go over all curves so many times, and improve each given the others."""
        for _ in range(times):
            for feature in self.features:
                old, weights, target = self._improved(feature, is_smooth)
                new = self._shaped(feature, target, weights, feature.direction)
                change = self._np.concatenate([[0.0], new - old])
                self._sum += change[feature.bins]
                feature.curve = feature.curve + change
            self._move_intercept()
            done(1)

    def _improved(self, feature: _Feature, is_smooth: bool) -> tuple[Any, Any, Any]:
        """Return a curve without the bin of unknown values, the weight of each bin, and what it should become."""
        np = self._np
        slope, weights = self._derivatives(feature)
        old = feature.curve[1:]
        tie = 1 / _STEP_SPREAD**2 if is_smooth else 0.0
        new = np.array(_tied((weights + 1 / _SPREAD**2).tolist(), (weights * old - slope).tolist(), tie))
        return old, weights, old + np.clip(new - old, -_MOST_CHANGE, _MOST_CHANGE)

    def _derivatives(self, feature: _Feature) -> tuple[Any, Any]:
        np, bins = self._np, len(feature.curve)
        chance = 1 / (1 + np.exp(-self._sum))
        slope = np.bincount(feature.bins, chance - self._target, bins)[1:]
        weights = np.bincount(feature.bins, chance * (1 - chance), bins)[1:] + 1e-9
        if feature.usual:
            # The usual value stays at zero; the intercept moves instead.
            weights[feature.usual - 1], slope[feature.usual - 1] = _FIXED, 0.0
        return slope, weights

    def _shaped(self, feature: _Feature, target: Any, weights: Any, direction: Direction) -> Any:
        """Return the curve nearest to the target that keeps to a direction."""
        if direction is Direction.FREE:
            return target
        sign = int(direction)
        return sign * self._np.array(_rising((sign * target).tolist(), weights.tolist()))

    def _move_intercept(self) -> None:
        np = self._np
        chance = 1 / (1 + np.exp(-self._sum))
        step = (self._target - chance).sum() / (chance * (1 - chance)).sum()
        step = np.clip(step, -_MOST_CHANGE, _MOST_CHANGE)
        self.intercept += step
        self._sum += step

    def worth_freeing(self, explained: float) -> tuple[_Feature, float] | None:
        """Return the curve that would explain most by leaving its direction, with the share of what is explained; None
        if none explains much."""
        all_curves = max(explained, 1.0)
        gains = [(self._gain(feature) / all_curves, feature.name, feature) for feature in self.features]
        share, _, feature = max(gains, key=lambda gain: gain[:2], default=(0.0, "", None))
        return (feature, round(share, 4)) if feature is not None and share >= _LEAST_SHARE else None

    def _gain(self, feature: _Feature) -> float:
        if feature.direction is Direction.FREE:
            return 0.0
        _, weights, target = self._improved(feature, is_smooth=True)
        held = self._shaped(feature, target, weights, feature.direction)
        return float((weights * (target - held) ** 2).sum() / 2)

    def merge_bins(self) -> None:
        """Make one step of bins side by side that say nearly the same."""
        np = self._np
        for feature in self.features:
            _, weights = self._derivatives(feature)
            first = _steps(feature.curve[1:].tolist(), weights.tolist())
            usual_step = sum(place < feature.usual for place in first) if feature.usual else 0
            means = [float(np.average(feature.curve[1:][a:b], weights=weights[a:b]))
                     for a, b in zip(first, [*first[1:], len(weights)], strict=True)]  # fmt: skip
            step_of = np.searchsorted(np.asarray(first), np.arange(len(weights)), side="right").astype(np.uint8)
            merged = np.array([0.0, *means])
            lookup = np.concatenate([[0], step_of]).astype(np.uint8)
            self._sum += merged[lookup[feature.bins]] - feature.curve[feature.bins]
            feature.bounds, feature.bins = feature.bounds[first], lookup[feature.bins]
            feature.curve, feature.usual = merged, usual_step


def _tied(weights: list[float], pulls: list[float], tie: float) -> list[float]:
    """Return the levels that weights and pulls ask for, where each two side by side are tied: a tridiagonal system.

    >>> [round(level, 3) for level in _tied([1.0, 1.0], [0.0, 3.0], 1.0)], _tied([2.0], [3.0], 1.0)
    ([1.0, 2.0], [1.5])
    """
    last, before = len(weights) - 1, 0.0
    ratios: list[float] = []
    levels: list[float] = []
    for place, (weight, pull) in enumerate(zip(weights, pulls, strict=True)):
        ties = (place > 0) + (place < last)
        pivot = weight + tie * ties - (tie * ratios[-1] if ratios else 0.0)
        before = (pull + tie * before if ratios else pull) / pivot
        ratios.append(tie / pivot)
        levels.append(before)
    for place in range(last - 1, -1, -1):
        levels[place] += ratios[place] * levels[place + 1]
    return levels


def _rising(target: list[float], weights: list[float]) -> list[float]:
    """Return the rising curve that is nearest, by pooling neighbours that fall.

    >>> _rising([1.0, 3.0, 2.0, 5.0], [1.0, 1.0, 1.0, 1.0])
    [1.0, 2.5, 2.5, 5.0]
    """
    pools: list[tuple[float, float, int]] = []
    for level, weight in zip(target, weights, strict=True):
        pool = (level, weight, 1)
        while pools and pools[-1][0] > pool[0]:
            before, heavy, many = pools.pop()
            both = heavy + pool[1]
            pool = ((before * heavy + pool[0] * pool[1]) / both, both, many + pool[2])
        pools.append(pool)
    return [level for level, _, many in pools for _ in range(many)]


def _steps(levels: list[float], weights: list[float]) -> list[int]:
    """Return the places at which a new step begins, after the pairs that are least worth keeping apart are merged.

    >>> _steps([0.0, 0.1, 2.0, 2.1], [100.0, 100.0, 100.0, 100.0])
    [0, 2]
    """
    steps = [(place, level, weight) for place, (level, weight) in enumerate(zip(levels, weights, strict=True))]
    while len(steps) > 1:
        losses = [
            (one[2] * other[2] / (one[2] + other[2]) * (one[1] - other[1]) ** 2 / 2, place)
            for place, (one, other) in enumerate(pairwise(steps))
        ]
        loss, place = min(losses)
        if loss >= _LEAST_GAIN and len(steps) <= MOST_STEPS:
            break
        (begin, level, weight), (_, other_level, other_weight) = steps[place : place + 2]
        both = weight + other_weight
        steps[place : place + 2] = [(begin, (level * weight + other_level * other_weight) / both, both)]
    return [begin for begin, _, _ in steps]
