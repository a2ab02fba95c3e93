"""`payments keys`: API keys are created, listed and revoked."""

from __future__ import annotations

import click

from models import api_keys
from models.session import transact
from worker.commands.open_runtime import ACTOR, fail, instant, open_runtime


@click.group()
def keys() -> None:
    """API keys."""


@keys.command()
@click.option("--role", type=click.Choice([role.value for role in api_keys.Role]), required=True, multiple=True)
@click.option("--name", required=True, help="The application; keys of one name see the same payments.")
def create(role: tuple[str, ...], name: str) -> None:
    """Print a new API key for each --role. It is shown once: only its hash is stored."""
    if not 1 <= len(name) <= 100 or not name.isprintable():
        fail("--name must be 1 to 100 printable characters")
    with open_runtime() as runtime:
        now = runtime.clock.now()
        for each in role:
            click.echo(transact(runtime.engine, api_keys.create_key, api_keys.Role(each), name, ACTOR, now))


@keys.command("list")
def list_keys() -> None:
    """List API keys."""
    with open_runtime() as runtime:
        rows = runtime.read(api_keys.list_keys)
    for row in rows:
        state = f"revoked {instant(row.revoked_at)}" if row.revoked_at else "active"
        click.echo(f"{row.id}  {row.role:<8}  {row.name:<20}  created {instant(row.created_at)}  {state}")


@keys.command()
@click.argument("key_id")
def revoke(key_id: str) -> None:
    """Revoke an API key; requests with it are refused at once."""
    with open_runtime() as runtime:
        transact(runtime.engine, api_keys.revoke_key, key_id, ACTOR, runtime.clock.now())
    click.echo(f"{key_id} is revoked")
