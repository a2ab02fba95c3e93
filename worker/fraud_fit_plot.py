"""Draws what a fit has found: how precise each rule set is at how much fraud it finds, and the curves of the draft.

matplotlib is imported when a picture is wanted, and not before: it is an extra, and takes a second to load."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from domain.fraud.quality import Quality
from domain.fraud.rule_set import Curve
from worker.fraud_fit_run import DEFAULT, FREE, MONOTONE, FitRun

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Distinguishable without colour vision (Okabe and Ito).
_COLOURS = {DEFAULT: "#7f7f7f", FREE: "#d55e00", MONOTONE: "#0072b2"}
_MOST_CURVES, _COLUMNS = 12, 4


def draw(run: FitRun, drafted: str, file: Path) -> None:
    """Draw into a file whose ending says the format."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    curves = run.rule_set(drafted).curves
    shown = sorted(curves, key=lambda rule: min(curves[rule].steps) - max(0, *curves[rule].steps))[:_MOST_CURVES]
    rows = -(-len(shown) // _COLUMNS)
    # A fixed salt and no date: the same run gives the same bytes.
    with rc_context({"svg.hashsalt": "celeriac", "font.size": 9}):
        figure = Figure(figsize=(13, 4.2 + 2.1 * rows), dpi=120, layout="constrained")
        grid = figure.add_gridspec(rows + 2, _COLUMNS)
        _draw_precision(figure.add_subplot(grid[:2, :2]), run)
        _draw_bands(figure.add_subplot(grid[:2, 2:]), run.chosen[drafted], drafted)
        for place, rule in enumerate(shown):
            _draw_curve(figure.add_subplot(grid[2 + place // _COLUMNS, place % _COLUMNS]), rule, curves[rule])
        figure.savefig(file, metadata={"Date": None} if file.suffix.lower() == ".svg" else {"Software": None})


def _draw_precision(axes: Axes, run: FitRun) -> None:
    for name, quality in run.chosen.items():
        flagged = found = 0
        points: list[tuple[float, float]] = []
        for genuine, frauds in reversed(quality.by_score):
            flagged, found = flagged + genuine + frauds, found + frauds
            if flagged:
                points.append((found / quality.all.frauds, found / flagged))
        label = f"{name}: average precision {quality.average_precision or 0:.3f}, AUC {quality.auc or 0:.3f}"
        axes.plot(*zip(*points, strict=True), color=_COLOURS[name], label=label, linewidth=2)
    axes.set(xlabel="share of the fraud that is found", ylabel="share of the flagged that is fraud", ylim=(0, 1.02))
    axes.set_title(f"Days {run.choose_days.first} to {run.choose_days.last}, on which the bands were chosen")
    axes.legend(frameon=False)
    _tidy(axes)


def _draw_bands(axes: Axes, quality: Quality, drafted: str) -> None:
    names = [decision.value for decision in quality.bands]
    for shift, share, colour, label in (
        (-0.2, [tally.frauds / max(1, quality.all.frauds) for tally in quality.bands.values()], "#d55e00", "fraud"),
        (0.2, [tally.count / max(1, quality.all.count) for tally in quality.bands.values()], "#999999", "all payments"),
    ):
        bars = axes.bar([place + shift for place in range(len(names))], share, 0.4, color=colour, label=label)
        axes.bar_label(bars, [f"{each:.1%}" for each in share], fontsize=8)
    axes.set_xticks(range(len(names)), names)
    axes.set(ylim=(0, 1.1), title=f"Bands of the draft ({drafted})")
    axes.legend(frameon=False)
    _tidy(axes)


def _draw_curve(axes: Axes, rule: str, curve: Curve) -> None:
    """Draw the points over the steps, each as wide as the others: bounds may lie far apart."""
    steps = [0, *curve.steps]
    axes.step(range(len(steps) + 1), [*steps, steps[-1]], where="post", color="#0072b2", linewidth=2)
    axes.set_xticks(range(1, len(steps)), [str(bound) for bound in curve.bounds], fontsize=7, rotation=45)
    axes.set_title(rule, fontsize=9)
    _tidy(axes)


def _tidy(axes: Any) -> None:
    axes.grid(axis="y", color="#dddddd", linewidth=0.7)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
