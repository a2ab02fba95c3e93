"""`payments ledger`: the books, which are the movements of money."""

from __future__ import annotations

import click

from domain.money import decimal_text
from models.ends import rows_without_end
from models.movements import Difference, count, differences, of_other_currency
from worker.commands.open_runtime import fail, open_runtime

# Beyond these, more lines say nothing new.
_MOST_LINES = 100


@click.group()
def ledger() -> None:
    """The books."""


@ledger.command()
def verify() -> None:
    """Prove that every amount of payments and cash balances is the sum of its movements, and that nothing waits without
    an end; exit 1 otherwise."""
    with open_runtime() as runtime:
        payments, movements = runtime.read(count)
        found = runtime.read(lambda connection: list(differences(connection)))
        strange = runtime.read(of_other_currency)
        endless = runtime.read(rows_without_end)
    click.echo(f"{payments} payments, {movements} movements")
    for row in endless[:_MOST_LINES]:
        click.echo(f"{row.table}  {row.id}  {row.status}  waits without an end", err=True)
    for difference in found[:_MOST_LINES]:
        _print_difference(difference)
    for moved in strange[:_MOST_LINES]:
        click.echo(f"{moved.payment_id}  {moved.kind} {moved.provider_id}  is in {moved.currency}", err=True)
    if strange:
        fail(f"{len(strange)} movements are not in the currency of their payment")
    if found:
        fail(f"{len(found)} amounts are not the sums of their movements")
    click.echo("every amount is the sum of its movements")
    if endless:
        fail(f"{len(endless)} rows wait without an end")
    click.echo("nothing waits without an end")


def _print_difference(difference: Difference) -> None:
    stored, booked = (decimal_text(minor, difference.currency) for minor in (difference.stored, difference.booked))
    amounts = f"stored {stored}  booked {booked} {difference.currency}"
    click.echo(f"{difference.subject_id}  {difference.amount}  {amounts}", err=True)
