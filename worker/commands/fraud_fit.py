"""`payments fraud fit`: points for the rules, found in payments of which it is known whether they were fraud."""

from __future__ import annotations

import re
from pathlib import Path

import click

from worker.commands.campaign import as_json, bar, named, require_outputs, size_of, write
from worker.commands.open_runtime import fail
from worker.fraud_backtest import Days
from worker.fraud_csv import replay
from worker.fraud_fit import SWEEPS, require_numpy
from worker.fraud_fit_plot import draw
from worker.fraud_fit_report import in_words, to_json, to_text
from worker.fraud_fit_run import FREE, MONOTONE, FitRun, judged_rows, run_fit, split_days
from worker.fraud_mapping import read_mapping
from worker.fraud_matrix import Matrix, matrix_of
from worker.fraud_rules_file import to_toml

_File = click.Path(path_type=Path)
_DAYS = re.compile(r"(\d{1,5})-(\d{1,5})")


@click.command()
@click.option("--csv", "csv_file", type=_File, required=True, help="Payments with their labels; gzip is read as well.")
@click.option("--mapping", "mapping_file", type=_File, required=True, help="Which column is which of our fields: TOML.")
@click.option("--fit-days", metavar="A-B", help="The days to fit to; day 0 begins with the first row.")
@click.option(
    "--choose-days", metavar="C-D", help="Later days, on which the bands are chosen. Default of both: by length."
)
@click.option("--monotone", is_flag=True, help="Draft the points that never go against a rule's direction.")
@click.option("--version", help="The draft's version; default: the days of the fit.")
@click.option("--json", "json_file", type=_File, help="Write all figures to this file.")
@click.option("--draft", "draft_file", type=_File, help="Write the rule set to this file: TOML, for --rules.")
@click.option("--plot", "picture", type=_File, help="Draw it into this file: .png or .svg.")
def fit(
    csv_file: Path,
    mapping_file: Path,
    fit_days: str | None,
    choose_days: str | None,
    monotone: bool,
    version: str | None,
    json_file: Path | None,
    draft_file: Path | None,
    picture: Path | None,
) -> None:
    """Find points for the rules on earlier days, and the scale of the bands on later ones. Compares the shipped points
    with points that follow the payments freely and with points that keep to each rule's direction."""
    try:
        require_numpy()
        require_outputs(json_file, draft_file, picture=picture)
        days = _days(fit_days, choose_days)
        mapping = named(mapping_file, read_mapping)
        read = Days(days[0].first, days[1].last) if days is not None else Days()
        with bar("reading", size_of(csv_file)) as done:
            matrix = named(csv_file, lambda file: matrix_of(replay(file, mapping, done), read))
        run = _run(matrix, *(days or split_days(matrix, mapping.label.delay_days)), version)
    except ValueError as error:
        fail(str(error))
    drafted = MONOTONE if monotone else FREE
    write(json_file, as_json(to_json(run, drafted)))
    write(draft_file, _draft(run, drafted))
    try:
        if picture is not None:
            draw(run, drafted, picture)
    except OSError as error:
        fail(f"{error.filename}: cannot be written: {error.strerror}")
    click.echo(to_text(run, drafted))


def _run(matrix: Matrix, fit_days: Days, choose_days: Days, version: str | None) -> FitRun:
    named_version = version or f"fit-{fit_days.first}-{fit_days.last}"
    with bar("fitting", 2 * SWEEPS) as done, bar("scoring", judged_rows(matrix, fit_days, choose_days)) as judged:
        return run_fit(matrix, fit_days, choose_days, named_version, done, judged)


def _days(fit_days: str | None, choose_days: str | None) -> tuple[Days, Days] | None:
    """Return the days that are given. Raises ValueError."""
    if fit_days is None and choose_days is None:
        return None
    if fit_days is None or choose_days is None:
        raise ValueError("--fit-days and --choose-days are given both or not at all")
    earlier, later = _parsed("--fit-days", fit_days), _parsed("--choose-days", choose_days)
    if earlier.last is None or later.first <= earlier.last:
        raise ValueError("--choose-days must begin after --fit-days")
    return earlier, later


def _parsed(option: str, text: str) -> Days:
    found = _DAYS.fullmatch(text)
    first, last = (int(day) for day in found.groups()) if found is not None else (1, 0)
    if first > last:
        raise ValueError(f"{option}: must be two days such as 30-121, the first one not later than the last")
    return Days(first, last)


def _draft(run: FitRun, drafted: str) -> str:
    draft = run.drafts[drafted]
    curves = draft.rule_set.curves
    note = f"Fitted to days {run.fit_days.first} to {run.fit_days.last} of a file; a draft until somebody has read it."
    return to_toml(draft.rule_set, note, lambda rule: in_words(rule, curves[rule], draft))
