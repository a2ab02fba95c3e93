"""`payments fraud statistics`: how well the score has done in a month."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import click

from domain.months import month_named, month_of
from models.fraud.statistics import show_fraud_statistics
from worker.commands.open_runtime import open_runtime

_Json = dict[str, Any]


@click.command()
@click.option("--month", help="Payments that were scored in this month (UTC): 2026-11. Left out: in this one.")
@click.option("--json", "as_json", is_flag=True, help="Print all figures as JSON.")
def statistics(month: str | None, *, as_json: bool) -> None:
    """Show what was blocked, found, reviewed and found late, how each rule did, and the networks' ratios."""
    with open_runtime() as runtime:
        now, policy = runtime.clock.now(), runtime.policy.fraud
        begin = month_named(month) if month is not None else month_of(now)
        shown = runtime.read(show_fraud_statistics, begin, now, policy.rule_set, policy.base_currency)
    click.echo(json.dumps(shown, indent=2) if as_json else "\n".join(_lines(shown)))


def _lines(shown: _Json) -> Iterator[str]:
    currency = shown["base_currency"]
    so_far = "" if shown["is_over"] else ", which is not over"
    yield f"payments that were scored in {shown['month']}{so_far}: {shown['scored']}"
    for decision, ratio in shown["decisions"].items():
        yield _line(f"decided: {decision}", ratio)
    yield _line("with a label of any kind", shown["labeled"])
    yield _line("confirmed fraud", shown["confirmed_fraud"], f"{shown['confirmed_fraud']['amount']} {currency}")
    yield _line("of that blocked (detection)", shown["detection"], f"{shown['detection']['amount']} {currency}")
    yield "  a blocked payment is confirmed only by a label on it, so that true detection is higher"
    late = shown["found_late"]
    days = "" if late["median_days"] is None else f", known after {late['median_days']} days (median)"
    yield _line("of that found late", late, f"{late['amount']} {currency}{days}")
    yield _line("of that stopped in review", shown["stopped_in_review"])
    yield from _reviews(shown["reviews"])
    yield from _unavailable(shown["unavailable"])
    yield from _rules(shown)
    yield from _monitoring(shown["monitoring"])


def _reviews(reviews: _Json) -> Iterator[str]:
    wait = "" if reviews["median_minutes"] is None else f"decided after {reviews['median_minutes']} minutes (median)"
    yield _line("reviews", reviews["opened"], wait)
    for outcome, ratio in reviews["outcomes"].items():
        yield _line(f"  {outcome}", ratio)


def _unavailable(unavailable: _Json) -> Iterator[str]:
    yield "rules whose signal was not known, by share of the payments" if unavailable else "every signal was known"
    for rule, ratio in unavailable.items():
        yield _line(f"  {rule}", ratio)


def _rules(shown: _Json) -> Iterator[str]:
    yield f"rules of {shown['rule_set']}: fired, fraud among that"
    dead = [name for name, rule in shown["rules"].items() if rule["is_live"] and not rule["fired"]]
    for name, rule in shown["rules"].items():
        if rule["fired"]:
            old = "" if rule["is_live"] else "  (of another rule set)"
            yield f"  {name:<32}{rule['fired']:>9}{rule['frauds']:>9}{_percent(rule['precision']):>9}{old}"
    yield f"dead rules, with points that fired on nothing: {', '.join(dead) or 'none'}"


def _monitoring(months: list[_Json]) -> Iterator[str]:
    yield "monitoring by the card networks, of all cards together: reached only if both limits are"
    for month in months:
        if not any(program["denominator"] for program in month["programs"]):
            continue
        yield f"  {month['month']}{'' if month['is_over'] else ' (not over)'}"
        for program in month["programs"]:
            least = f"limits {program['least_count']} and {program['least_hundredths_of_percent'] / 100:.2f}%"
            share = program["hundredths_of_percent"]
            shown = "-" if share is None else f"{share / 100:.2f}%"
            counted = f"{program['numerator']} of {program['denominator']}"
            state = "REACHED" if program["is_reached"] else "within"
            name = f"{program['network']} {program['name']}"
            yield f"    {name:<26}{counted:>20}{shown:>9}  {state}, {least} since {program['since']}"


def _line(name: str, ratio: _Json, more: str = "") -> str:
    of = f"{ratio['numerator']} of {ratio['denominator']}"
    return f"  {name:<36}{of:>18}{_percent(ratio['rate']):>9}  {more}".rstrip()


def _percent(rate: float | None) -> str:
    return "-" if rate is None else f"{100 * rate:.1f}%"
