"""`payments fraud label`: an operator says whether a payment was fraud."""

from __future__ import annotations

import click

from models.fraud.requests import LabelPayment
from models.fraud.review_requests import request_label
from worker.commands.open_runtime import ACTOR, open_runtime


@click.command()
@click.argument("payment_id")
@click.option("--fraud/--no-fraud", "is_fraud", required=True, default=None)
@click.option("--note", help="Why; it is kept in the audit trail. No personal data.")
def label(payment_id: str, note: str | None, *, is_fraud: bool) -> None:
    """Say whether a payment was fraud. The operator's last word counts, whatever others say."""
    with open_runtime() as runtime:
        request = LabelPayment.parse({"is_fraud": is_fraud, "note": note})
        labeled = runtime.change(ACTOR, request_label, payment_id, request)
    for each in labeled["labels"]:
        click.echo(
            f"{each['at']}  {each['source']:<19}  {'fraud' if each['is_fraud'] else 'no fraud'}  {each['author']}"
        )
