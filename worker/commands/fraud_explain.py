"""`payments fraud explain`: why a payment was scored as it was, in sentences."""

from __future__ import annotations

from typing import Any

import click
from sqlalchemy import Connection, Row

from domain.fraud.wording import sentence_of
from models.fraud.assessments import assessments_of
from models.queries import find_payment
from worker.commands.open_runtime import open_runtime


@click.command()
@click.argument("payment_id")
def explain(payment_id: str) -> None:
    """Say why a payment was approved, verified, reviewed or blocked."""
    with open_runtime() as runtime:
        payment, scores = runtime.read(_read, payment_id)
    click.echo(f"{payment_id}  {payment.state}")
    for row in scores:
        click.echo(f"{row.at:%Y-%m-%dT%H:%M:%SZ}  {row.stage}: score {row.score}, {row.decision}, by {row.rule_set}")
        for reason in row.reasons:
            click.echo(f"  {reason['points']:+4d}  {sentence_of(reason['rule'], reason['value'])}")
        if not row.reasons:
            click.echo("        no rule fired")
        if row.unavailable:
            click.echo(f"        not known: {', '.join(name.replace('_', ' ') for name in row.unavailable)}")
    if not scores:
        click.echo("it was not scored: scoring is off, or it was not charged yet")


def _read(connection: Connection, payment_id: str) -> tuple[Row[Any], list[Row[Any]]]:
    return find_payment(connection, payment_id, None), assessments_of(connection, payment_id)
