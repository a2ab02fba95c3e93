"""Draws what a simulation has found: how much is recovered by each day, and of which failures.

matplotlib is imported when a picture is wanted, and not before: it is an extra, and takes a second to load."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from domain.simulation.assumptions import HORIZON
from domain.simulation.results import Results, wilson
from worker.simulation_report import Simulation

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

ENDINGS = (".png", ".svg")
MISSING = "pictures need matplotlib: pip install 'celeriac[plots]'"
# Distinguishable without colour vision (Okabe and Ito), and in the order of the strategies.
_COLOURS = ("#7f7f7f", "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
_MOST_REASONS = 7
_SMALLEST_SHARE = 0.01


def require_matplotlib() -> None:
    """Raise ValueError with what to do where matplotlib is not installed."""
    try:
        import matplotlib.figure  # noqa: F401
    except ImportError:
        raise ValueError(MISSING) from None


def draw(simulation: Simulation, file: Path) -> None:
    """Draw into a file whose ending says the format."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    # A fixed salt and no date: the same run gives the same bytes.
    with rc_context({"svg.hashsalt": "celeriac", "font.size": 10}):
        figure = Figure(figsize=(12, 5.6), dpi=130, layout="constrained")
        days, reasons = figure.subplots(1, 2, width_ratios=(1.15, 1))
        _draw_days(days, simulation)
        _draw_reasons(reasons, simulation)
        _label(figure, simulation)
        figure.savefig(file, metadata={"Date": None} if file.suffix.lower() == ".svg" else {"Software": None})


def _label(figure: Figure, simulation: Simulation) -> None:
    number = simulation.results[0].failures
    whose = "customers of the model" if simulation.paid_after is None else "first failures of the history"
    figure.suptitle(f"Dunning policies on the same {number:,} {whose} (seed {simulation.seed})", fontsize=13)


def _draw_days(axes: Axes, simulation: Simulation) -> None:
    last = HORIZON / timedelta(days=1)
    for place, (colour, results) in enumerate(zip(_cycle(len(simulation.results)), simulation.results, strict=True)):
        days = [0.0, *sorted(each / timedelta(days=1) for each in results.after), last]
        shares = [100 * count / results.failures for count in (*range(len(results.after) + 1), len(results.after))]
        axes.step(days, shares, where="post", color=colour, linewidth=2, label=_legend(results))
        low, high = wilson(sum(results.recovered), results.failures)
        end, half = [50 * (low + high)], [50 * (high - low)]
        axes.errorbar([last + 0.6 + 0.5 * place], end, yerr=half, color=colour, capsize=2.5, linewidth=1.5)
    axes.set(xlabel="days since the first failure", ylabel="recovered, % of all first failures")
    axes.set(xlim=(0, last + 0.6 + 0.5 * len(simulation.results)), ylim=(0, None), xticks=range(0, int(last) + 1, 7))
    axes.set_title("Recovered by day; bars at the end: 95 % (Wilson)", fontsize=10.5)
    axes.legend(loc="lower right", frameon=False, fontsize=9, borderaxespad=1.2)
    _tidy(axes, "both")


def _legend(results: Results) -> str:
    share, tries = sum(results.recovered) / results.failures, sum(results.tries) / results.failures
    return f"{results.strategy.name}: {share:.1%}, {tries:.2f} tries each, {results.breaches.total():,} breaches"


def _draw_reasons(axes: Axes, simulation: Simulation) -> None:
    first, count = simulation.results[0], len(simulation.results)
    counted = [
        item for item in first.failed_because.most_common(_MOST_REASONS) if item[1] >= _SMALLEST_SHARE * first.failures
    ]
    height = 0.8 / count
    for place, (colour, results) in enumerate(zip(_cycle(count), simulation.results, strict=True)):
        at = [row + (place - (count - 1) / 2) * height for row in range(len(counted))]
        shares = [100 * results.recovered_because[reason] / failures for reason, failures in counted]
        axes.barh(at, shares, height=height * 0.92, color=colour)
    axes.set_yticks(range(len(counted)), [f"{reason}\n{failures / first.failures:.0%}" for reason, failures in counted])
    axes.invert_yaxis()
    axes.set(xlabel="recovered, % of the first failures for this reason", xlim=(0, 100))
    axes.set_title("By the reason of the first decline, with its share", fontsize=10.5)
    _tidy(axes, "x")


def _tidy(axes: Axes, grid: Any) -> None:
    axes.grid(axis=grid, color="#dddddd", linewidth=0.7)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


def _cycle(count: int) -> list[str]:
    return [_COLOURS[number % len(_COLOURS)] for number in range(count)]
