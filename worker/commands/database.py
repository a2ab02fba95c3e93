"""`payments db`: the schema of the database."""

from __future__ import annotations

import click

from models import migrate
from worker.commands.open_runtime import open_runtime


@click.group()
def db() -> None:
    """The database."""


@db.command()
def upgrade() -> None:
    """Migrate the database to the newest schema."""
    with open_runtime() as runtime:
        migrate.upgrade(runtime.engine)
        revision = migrate.current_revision(runtime.engine)
    click.echo(f"database is at revision {revision}")
