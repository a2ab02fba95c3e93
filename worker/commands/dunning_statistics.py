"""`payments dunning statistics`: what dunning has recovered, as a table, as JSON, and as a picture."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from domain.dunning.cohort import GroupBy, parse_request
from models.dunning_statistics import show_statistics
from worker.commands.open_runtime import fail, open_runtime
from worker.plots import PlotRefused, draw_statistics, require_plottable

_Json = dict[str, Any]
_SUBSETS = {"all": "recovered", "soft": "of soft ones", "insufficient_funds": "of no money"}
_NAME_WIDTH = 27


@click.command()
@click.option("--cohort", metavar="MONTH", help="Debts that first failed in this month (UTC): 2026-11.")
@click.option("--from", "begin", metavar="DAY", help="On this day or later: 2026-11-01, or an instant with its zone.")
@click.option("--to", "end", metavar="DAY", help="Before this day. Without a range: this month and the five before it.")
@click.option("--group-by", type=click.Choice([each.value for each in GroupBy]), help="One line for each of these.")
@click.option("--json", "as_json", is_flag=True, help="Print what the API responds.")
@click.option("--plot", metavar="FILE", type=click.Path(path_type=Path), help="Draw it: FILE.png or FILE.svg.")
def statistics(
    cohort: str | None, begin: str | None, end: str | None, group_by: str | None, as_json: bool, plot: Path | None
) -> None:
    """Show what dunning has recovered. Every figure has its denominator."""
    if plot is not None:
        try:
            require_plottable(plot)
        except PlotRefused as refusal:
            fail(str(refusal))
    given = {"cohort": cohort, "from": begin, "to": end, "group_by": group_by}
    with open_runtime() as runtime:
        now = runtime.clock.now()
        request = parse_request({name: value for name, value in given.items() if value is not None}, now)
        shown = runtime.read(show_statistics, request, now)
    if as_json:
        click.echo(json.dumps(shown, indent=2))
    else:
        click.echo("\n".join(_lines(shown)))
    if plot is not None:
        draw_statistics(shown, plot)
        click.echo(f"drawn: {plot}", err=True)


def _lines(shown: _Json) -> Iterator[str]:
    total = shown["total"]
    yield f"debts that first failed from {_day(shown['from'])} until {_day(shown['to'])}, UTC"
    if not total["is_complete"]:
        young, cases = total["younger_than_horizon"], total["cases"]
        days = shown["horizon_days"]
        yield f"* not complete: recovery counts for {days} days, and {young} of {cases} cases are younger"
    yield ""
    heads = "".join(f"{head:>15}" for head in _SUBSETS.values())
    yield f"{shown['group_by'] or '':<{_NAME_WIDTH}}{'cases':>7}{heads}{'days':>7}{'tries':>7}{'mails':>7}"
    for group in shown["groups"]:
        yield _line(group["group"], group)
    yield _line("all", total)
    yield ""
    yield from _details(shown)


def _line(name: str, group: _Json) -> str:
    title = name if group["is_complete"] else f"{name[: _NAME_WIDTH - 3]} *"
    counts = (group["recovery"][subset]["count"] for subset in _SUBSETS)
    shares = "".join(f"{_share(count):>15}" for count in counts)
    days = _number(group["recovery_time"]["average_days"], 1)
    each = "".join(
        f"{_number(group.get(name, {}).get('rate')):>7}" for name in ("tries_per_recovery", "mails_per_recovery")
    )
    return f"{title[:_NAME_WIDTH]:<{_NAME_WIDTH}}{group['cases']:>7}{shares}{days:>7}{each}".rstrip()


def _details(shown: _Json) -> Iterator[str]:
    total = shown["total"]
    yield "of all these cases"
    for amount in total["recovery"]["all"]["amounts"]:
        yield _detail(f"money recovered, {amount['currency']}", amount)
    yield _detail("recovered after the horizon", total["recovered_later"])
    yield _detail("still open", total["open"])
    yield _detail("lost", total["lost"])
    yield from (_detail(f"  {reason['name']}", reason) for reason in total["lost_reasons"])
    yield _detail("subscriptions saved", total["subscriptions_saved"])
    yield _detail("money came from", {"numerator": "", "denominator": "", "rate": None}).rstrip()
    yield from (_detail(f"  {source['name']}", source) for source in total["sources"])
    yield _detail("tries that brought money", total["try_success"])
    yield from (_detail(f"  {tried['cause']}", tried) for tried in total["tries_by_cause"])
    time = total["recovery_time"]
    days = f"average {_number(time['average_days'])}, median {_number(time['median_days'])}"
    yield f"  {'days to the money':<30}{days}, of {time['recovered']} cases"
    yield _detail("tries per recovery", total["tries_per_recovery"], is_share=False)
    yield _detail("mails per recovery", total["mails_per_recovery"], is_share=False)
    yield _detail("payments of the time that collected", total["payment_success"])
    for what, name in (("owed", "at risk, owed"), ("per_period", "at risk, each period")):
        for risk in total["at_risk"][what]:
            weighted = "not measured" if risk["weighted"] is None else f"weighted {risk['weighted']}"
            yield f"  {name:<30}{risk['amount']} {risk['currency']} of {risk['cases']} open cases, {weighted}"
    yield f"  {'weights are measured on':<30}{shown['weights_measured_on']} cases that have reached the horizon"


def _detail(name: str, ratio: _Json, *, is_share: bool = True) -> str:
    rate = f"{_percent(ratio['rate'])}" if is_share else _number(ratio["rate"])
    between = "of" if is_share else "for"
    of = f"{ratio['numerator']} {between} {ratio['denominator']}" if ratio["denominator"] != "" else ""
    return f"  {name:<38}{of:>28}{rate if of else '':>10}".rstrip()


def _share(ratio: _Json) -> str:
    return f"{ratio['numerator']}/{ratio['denominator']} {_percent(ratio['rate'])}".strip()


def _percent(rate: float | None) -> str:
    return "-" if rate is None else f"{100 * rate:.1f}%"


def _number(number: float | None, digits: int = 2) -> str:
    return "-" if number is None else f"{number:.{digits}f}"


def _day(instant: str) -> str:
    day, _, time = instant.partition("T")
    return day if time == "00:00:00.000Z" else f"{day} {time}"
