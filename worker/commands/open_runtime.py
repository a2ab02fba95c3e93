"""What the commands share: the runtime on a database that is named first, and refusals in one line."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import NoReturn

import click
from sqlalchemy import URL, make_url
from sqlalchemy.exc import DBAPIError

from domain.errors import CeleriacError
from runtime import Runtime
from worker.celery import app
from worker.settings import load_settings

# Who changed what, in the audit trail.
ACTOR = "cli"


@contextmanager
def open_runtime() -> Iterator[Runtime]:
    """Name the database on stderr and yield the runtime; end with one line and exit code 1 on a refusal.

    The name comes first and always: the default is a file of the working directory, and an operator with several
    databases has to see which one a command changed, or failed on."""
    click.echo(f"database: {database_name(load_settings().process.database_url)}", err=True)
    try:
        yield app.runtime()
    except CeleriacError as error:
        fail(str(error))
    except DBAPIError as error:
        # The driver's own message is left out: it may repeat parts of a row.
        remedy = "check DATABASE_URL, and run `celery -A worker payments db upgrade`"
        fail(f"the database failed ({type(error.orig).__name__}): {remedy}")


def database_name(url: str) -> str:
    """Return a database's URL without the password and without the options, which may hold one too.

    >>> database_name("postgresql://shop:secret@db.example:5433/celeriac?sslpassword=secret")
    'postgresql://shop@db.example:5433/celeriac'
    >>> database_name("postgresql:///celeriac?host=/run/postgresql"), database_name("sqlite:///celeriac.db")
    ('postgresql:///celeriac on /run/postgresql', 'sqlite:///celeriac.db')
    """
    full = make_url(url)
    name = URL.create(full.drivername, full.username, host=full.host, port=full.port, database=full.database)
    hosts = ", ".join(full.normalized_query.get("host", ()))
    return name.render_as_string() + (f" on {hosts}" if hosts else "")


def fail(sentence: str) -> NoReturn:
    """End the process with one line and exit code 1."""
    click.echo(sentence, err=True)
    sys.exit(1)


def instant(at: datetime) -> str:
    """Return a time as operators read it: 2026-11-28 09:30:00.000Z."""
    return at.isoformat(sep=" ", timespec="milliseconds").replace("+00:00", "Z")
