"""`payments fraud backtest`: what a rule set would have decided about the payments of a file."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from pathlib import Path

import click

from domain.fraud.default_rules import DEFAULT_RULES
from domain.fraud.quality_form import quality_from_plain
from models.fraud.backtests import find_backtest, request_backtest
from models.fraud.rule_sets import rule_sets_in_use
from worker.commands.campaign import as_json, bar, named, require_outputs, size_of, write
from worker.commands.open_runtime import ACTOR, fail, open_runtime
from worker.fraud_backtest import Days, judge_all, quality_of
from worker.fraud_csv import replay
from worker.fraud_mapping import read_mapping
from worker.fraud_report import to_json, to_text
from worker.fraud_rules_file import read_rule_set

_File = click.Path(path_type=Path)
_Day = click.IntRange(min=0)
_POLL_SECONDS = 0.5


def _judge_stored(rules_file: Path | None, since: datetime, json_file: Path | None) -> None:
    """Let a worker judge a rule set on the stored decisions, and wait for it."""
    given = named(rules_file, read_rule_set) if rules_file is not None else None
    with open_runtime() as runtime:
        rule_set = given or runtime.read(rule_sets_in_use, runtime.policy.fraud.rule_set).live
        backtest_id = runtime.change(ACTOR, request_backtest, rule_set, since)
        click.echo(f"{backtest_id} is due; a worker of the queue `fraud` carries it out", err=True)
        while (row := runtime.read(find_backtest, backtest_id)).finished_at is None:
            time.sleep(_POLL_SECONDS)
    if row.quality is None:
        fail(f"{backtest_id} has failed; the log of the workers says why")
    quality, head = quality_from_plain(row.quality), {"rules_version": rule_set.version, "since": since.isoformat()}
    write(json_file, as_json(head | to_json(quality, rule_set.bands)))
    click.echo(f"rules {rule_set.version}\n{to_text(quality, rule_set.bands)}")


@click.command()
@click.option("--rules", "rules_file", type=_File, help="A rule set; default: the shipped one.")
@click.option("--csv", "csv_file", type=_File, help="Payments with their labels; gzip is read as well.")
@click.option("--mapping", "mapping_file", type=_File, help="Which column is which of our fields: TOML.")
@click.option("--since", type=click.DateTime(["%Y-%m-%d"]), help="Judge the stored decisions since this day instead.")
@click.option("--from-day", type=_Day, default=0, help="The first day to score; those before it are history only.")
@click.option("--to-day", type=_Day, help="The last day to score. Days count from the first row, which is day 0.")
@click.option("--json", "json_file", type=_File, help="Write all figures to this file.")
def backtest(
    rules_file: Path | None,
    csv_file: Path | None,
    mapping_file: Path | None,
    since: datetime | None,
    from_day: int,
    to_day: int | None,
    json_file: Path | None,
) -> None:
    """Score payments again, and compare the decisions with what was fraud in the end.

    Those of a file come in their order: each payment has the history that it had by then, and a label counts from the
    day on which it arrived. Those of the database (--since) are scored by a worker, from the numbers that were stored
    with each."""
    try:
        require_outputs(json_file)
        if since is not None and csv_file is None and mapping_file is None:
            _judge_stored(rules_file, since.replace(tzinfo=UTC), json_file)
            return
        if since is not None or csv_file is None or mapping_file is None:
            raise ValueError("give --csv and --mapping, or --since")
        if to_day is not None and to_day < from_day:
            raise ValueError("--to-day must not be before --from-day")
        rule_set = named(rules_file, read_rule_set) if rules_file is not None else DEFAULT_RULES
        mapping = named(mapping_file, read_mapping)
        with bar("scoring", size_of(csv_file)) as done:
            payments = replay(csv_file, mapping, done)
            quality = named(csv_file, lambda _: quality_of(judge_all(payments, rule_set, Days(from_day, to_day))))
        if not quality.all.count:
            raise ValueError(f"{csv_file}: has no payment on these days")
    except ValueError as error:
        fail(str(error))
    head = {"rules_version": rule_set.version, "from_day": from_day, "to_day": to_day}
    write(json_file, as_json(head | to_json(quality, rule_set.bands)))
    click.echo(f"rules {rule_set.version}\n{to_text(quality, rule_set.bands)}")
