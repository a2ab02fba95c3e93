"""`payments dunning`: what declines and retries have taught."""

from __future__ import annotations

import click

from models.unknown_codes import list_unknown_codes
from worker.commands.open_runtime import open_runtime


@click.group()
def dunning() -> None:
    """Declines and retries."""


@dunning.command("unknown-codes")
def unknown_codes_command() -> None:
    """List the codes of declines that no table has, the most frequent first."""
    with open_runtime() as runtime:
        codes = runtime.read(list_unknown_codes)
    for code in codes:
        click.echo("{count:>7}  {provider}  {field}  {code}  first {first_seen_at}  last {last_seen_at}".format(**code))
    if not codes:
        click.echo("every code of a decline is in the tables")
