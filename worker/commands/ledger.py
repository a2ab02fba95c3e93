"""`payments ledger`: the books, which are the movements of money."""

from __future__ import annotations

import click

from domain.money import decimal_text
from models.movements import Difference, count, differences
from worker.commands.open_runtime import fail, open_runtime

# Beyond these, more lines say nothing new.
_MOST_LINES = 100


@click.group()
def ledger() -> None:
    """The books."""


@ledger.command()
def verify() -> None:
    """Prove that every amount of payments and cash balances is the sum of its movements; exit 1 if one is not."""
    with open_runtime() as runtime:
        payments, movements = runtime.read(count)
        found = runtime.read(lambda connection: list(differences(connection)))
    click.echo(f"{payments} payments, {movements} movements")
    for difference in found[:_MOST_LINES]:
        _print_difference(difference)
    if found:
        fail(f"{len(found)} amounts are not the sums of their movements")
    click.echo("every amount is the sum of its movements")


def _print_difference(difference: Difference) -> None:
    stored, booked = (decimal_text(minor, difference.currency) for minor in (difference.stored, difference.booked))
    amounts = f"stored {stored}  booked {booked} {difference.currency}"
    click.echo(f"{difference.subject_id}  {difference.amount}  {amounts}", err=True)
