"""Pictures of dunning's statistics. The only file that draws; Matplotlib is imported when a picture is asked for."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

_Json = dict[str, Any]
_ENDINGS = (".png", ".svg")
# Wong's palette, which people who see colours otherwise can tell apart.
_BLUE, _ORANGE, _GREEN, _RED, _GREY = "#0072B2", "#E69F00", "#009E73", "#D55E00", "#999999"
_SUBSETS = (
    ("all", "all first failures", _BLUE),
    ("soft", "soft only", _ORANGE),
    ("insufficient_funds", "no money", _GREEN),
)
# More lines in one picture nobody tells apart.
_MOST_GROUPS = 8
_LINES = (_BLUE, _ORANGE, _GREEN, _RED, "#CC79A7", "#56B4E9", "#F0E442", _GREY)


class PlotRefused(Exception):
    """No picture can be drawn there, or with what is installed; the message says what to do."""


def require_plottable(file: Path) -> None:
    """Refuse a picture that could not be drawn, before any work is done for it. Raises PlotRefused."""
    if file.suffix.lower() not in _ENDINGS:
        raise PlotRefused(f"{file} must end with {' or '.join(_ENDINGS)}")
    _figure_class()
    is_new = not file.exists()
    try:
        with file.open("ab"):
            pass
        if is_new:
            file.unlink()
    except OSError as error:
        raise PlotRefused(f"{file} cannot be written: {error.strerror}") from None


def draw_statistics(shown: _Json, file: Path) -> None:
    """Draw what the statistics show: recovery, how fast it comes, where the money came from, what became of cases."""
    figure = _figure_class()(figsize=(12, 8.5), layout="constrained")
    figure.suptitle(_title(shown))
    groups = shown["groups"][:_MOST_GROUPS] or [{"group": "all", **shown["total"]}]
    axes = figure.subplots(2, 2)
    _draw_recovery(axes[0][0], groups, shown["group_by"])
    _draw_days(axes[0][1], [group for group in groups if "recovered_by_day" in group] or [shown["total"]])
    total = shown["total"]
    _draw_shares(axes[1][0], total["sources"], "where the money came from", "cases recovered", _GREEN)
    _draw_shares(axes[1][1], _fates(total), "what has become of the cases", "cases", _BLUE)
    figure.savefig(file, dpi=120)


def _figure_class() -> Callable[..., Any]:
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise PlotRefused("no picture without Matplotlib: pip install 'celeriac[plots]'") from None
    return Figure


def _title(shown: _Json) -> str:
    total = shown["total"]
    cases, days = total["cases"], shown["horizon_days"]
    title = f"{cases} debts that first failed from {shown['from'][:10]} until {shown['to'][:16].replace('T', ' ')} UTC"
    if len(shown["groups"]) > _MOST_GROUPS:
        title += f", the first {_MOST_GROUPS} of {len(shown['groups'])} groups"
    if total["is_complete"]:
        return title
    young = f"{total['younger_than_horizon']} of them are younger than {days} days"
    return f"{title}\n{young}: hatched bars and dashed lines are not complete"


def _draw_recovery(axes: Any, groups: list[_Json], group_by: str | None) -> None:
    width = 0.8 / len(_SUBSETS)
    for place, (subset, label, colour) in enumerate(_SUBSETS):
        counts = [group["recovery"][subset]["count"] for group in groups]
        at = [index + (place - 1) * width for index in range(len(groups))]
        heights = [100 * (count["rate"] or 0) for count in counts]
        bars = axes.bar(at, heights, width, color=colour, label=label)
        for bar, count, height, group in zip(bars, counts, heights, groups, strict=True):
            bar.set_hatch("" if group["is_complete"] else "//")
            bar.set_edgecolor("white")
            of = f"{count['numerator']} of {count['denominator']}"
            axes.text(bar.get_x() + width / 2, height + 1.5, of, ha="center", va="bottom", rotation=90, fontsize=8)
    axes.set_title("recovered within the horizon")
    axes.margins(x=0.02)
    axes.set_ylabel("recovered cases (%)")
    # Room for what is written above a full bar.
    axes.set_ylim(0, 130)
    axes.set_yticks(range(0, 101, 20))
    axes.set_xlabel(group_by or "")
    names = [_short(group["group"]) for group in groups]
    axes.set_xticks(range(len(groups)), names, fontsize=9 if len(groups) <= 4 else 7)
    axes.legend(loc="upper right", fontsize=8, ncols=3)


def _draw_days(axes: Any, groups: list[_Json]) -> None:
    for group, colour in zip(groups, _LINES, strict=False):
        days = [0, *(point["day"] for point in group["recovered_by_day"])]
        rates = [0, *(100 * (point["rate"] or 0) for point in group["recovered_by_day"])]
        label = f"{_short(group.get('group', 'all'))}\n{group['cases']} cases"
        style = "-" if group["is_complete"] else "--"
        axes.plot(days, rates, style, drawstyle="steps-post", color=colour, label=label)
    axes.set_title("how fast it comes")
    axes.set_xlabel("days after the first failure")
    axes.set_ylabel("recovered so far, of all cases (%)")
    axes.set_xlim(0, 28)
    axes.set_xticks(range(0, 29, 7))
    axes.set_ylim(0, max(10, axes.get_ylim()[1]))
    axes.grid(alpha=0.3)
    # Beside the lines, which may be anywhere.
    axes.legend(loc="upper left", bbox_to_anchor=(1, 1), fontsize=8)


def _draw_shares(axes: Any, shares: list[_Json], title: str, unit: str, colour: str) -> None:
    axes.set_title(title)
    axes.set_xlabel(unit)
    if not shares:
        axes.text(0.5, 0.5, "none", ha="center", va="center", transform=axes.transAxes, color=_GREY)
        axes.set_xticks([])
        axes.set_yticks([])
        return
    ordered = list(reversed(shares))
    counts = [share["numerator"] for share in ordered]
    axes.barh([share["name"].replace("_", " ") for share in ordered], counts, color=colour)
    for place, share in enumerate(ordered):
        said = f" {share['numerator']} of {share['denominator']} ({100 * (share['rate'] or 0):.1f} %)"
        axes.text(share["numerator"], place, said, va="center", fontsize=9)
    # Room for what is written behind the longest bar.
    axes.set_xlim(0, max(counts) * 1.45)
    axes.xaxis.get_major_locator().set_params(integer=True)


def _fates(total: _Json) -> list[_Json]:
    cases = total["cases"]
    known = [
        {"name": "recovered", **total["recovery"]["all"]["count"]},
        {"name": "recovered later", **total["recovered_later"]},
        {"name": "open", **total["open"]},
        *(
            {
                "name": f"lost: {lost['name']}",
                "numerator": lost["numerator"],
                "denominator": cases,
                "rate": lost["numerator"] / cases,
            }
            for lost in total["lost_reasons"]
        ),
    ]
    return [fate for fate in known if fate["denominator"]]


def _short(name: str) -> str:
    """Return a name on lines that fit below a bar: that of a policy has its version on the second one."""
    return "\n".join(word if len(word) <= 14 else f"{word[:13]}…" for word in name.split(" "))
