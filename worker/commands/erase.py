"""`payments erase`: what is stored of a person."""

from __future__ import annotations

import click

from models.erase import erase_user
from worker.commands.open_runtime import ACTOR, open_runtime


@click.command()
@click.argument("user_id")
@click.option("--application", required=True, help="Whose user it is: the name of its API key.")
def erase(user_id: str, application: str) -> None:
    """Erase what is stored of a user; the books stay. It can be repeated, and has to be while payments are left."""
    with open_runtime() as runtime:
        erased = runtime.change(ACTOR, erase_user, user_id, application)
    click.echo(
        f"erased: the payers of {erased.payments} payments, the entities of {erased.signals} signals, "
        f"{erased.entities} entities with their counts, the payloads of {erased.webhook_events} events"
    )
    if erased.left:
        click.echo(f"{erased.left} payments are still collected and keep their payer; repeat this when they have ended")
