"""One system a database for all tests of the API: each test uses invoices and users of its own."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import make_url

from sandbox.server import RunningSandbox
from sandbox.state import Settings

from .api_system import ApiSystem


@pytest.fixture(autouse=True)
def _bodies_may_be_deep(collection_between_tests: None) -> None:
    """Tests of this suite parse bodies that use up the stack."""


@pytest.fixture(scope="session")
def provider() -> Iterator[RunningSandbox]:
    """A sandbox that serves over a socket and delivers no webhooks."""
    with RunningSandbox(Settings(seed=1)) as running:
        yield running


@pytest.fixture(scope="session")
def on_sqlite(
    provider: RunningSandbox, sqlite_template: bytes, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ApiSystem]:
    """The application on SQLite."""
    file: Path = tmp_path_factory.mktemp("api") / "celeriac.db"
    file.write_bytes(sqlite_template)
    yield from _serving(f"sqlite:///{file}", provider)


@pytest.fixture(scope="session")
def on_postgres(provider: RunningSandbox, postgres_server: str, postgres_template: str) -> Iterator[ApiSystem]:
    """The application on PostgreSQL, in a database of its own for the whole session."""
    name = f"celeriac_test_api_{secrets.token_hex(6)}"
    address = make_url(postgres_server)
    plain = address.set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(plain, autocommit=True) as admin:
        admin.execute(f"CREATE DATABASE {name} TEMPLATE {postgres_template}".encode())
        try:
            yield from _serving(address.set(database=name).render_as_string(hide_password=False), provider)
        finally:
            admin.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def api(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[ApiSystem]:
    """The application, with no worker and no faults."""
    system: ApiSystem = request.getfixturevalue(f"on_{request.param}")
    system.messages.clear()
    system.tasks_run_in(monkeypatch)
    yield system
    system.is_worker_up, system.broker_error = False, None
    system.provider.heal()


def _serving(url: str, provider: RunningSandbox) -> Iterator[ApiSystem]:
    system = ApiSystem(url, provider)
    yield system
    system.close()
