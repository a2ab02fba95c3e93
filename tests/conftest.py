"""Servers for the tests, and an empty place inside them for each test.

Found servers are used (see stack/servers.py), PostgreSQL and Redis otherwise come from wheels. Tests marked
`rabbitmq` are deselected where no RabbitMQ is found, and the header says so.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
import redis
from kombu import Connection
from sqlalchemy import make_url

from stack.process import ROOT
from stack.servers import Servers, brought_postgres, brought_redis, discover

SERVERS = pytest.StashKey[Servers]()
QUEUES = ("charges", "webhooks", "dunning", "mail", "upkeep")
RESERVED_REDIS_DATABASES = range(9, 16)


def pytest_configure(config: pytest.Config) -> None:
    config.stash[SERVERS] = discover()


def pytest_report_header(config: pytest.Config) -> str:
    found = config.stash[SERVERS].by_name().items()
    said = [
        f"{name} {'found' if url else 'left out' if name == 'RabbitMQ' else 'from a wheel'}"
        for name, url in found
    ]
    return f"servers: {', '.join(said)}"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.stash[SERVERS].amqp:
        return
    left_out = [item for item in items if item.get_closest_marker("rabbitmq")]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if item not in left_out]


@pytest.fixture(scope="session")
def servers(pytestconfig: pytest.Config) -> Servers:
    """The servers that were there before the tests."""
    return pytestconfig.stash[SERVERS]


@pytest.fixture(scope="session")
def postgres_server(servers: Servers) -> Iterator[str]:
    """The URL of a PostgreSQL server's own database; create databases in it, never tables."""
    if servers.postgres:
        yield servers.postgres
    else:
        with brought_postgres() as url:
            yield url


@pytest.fixture(scope="session")
def postgres_template(postgres_server: str) -> Iterator[str]:
    """The name of a migrated, empty database to make others from."""
    with new_database(postgres_server) as url:
        migrate(url)
        yield make_url(url).database or ""


@pytest.fixture
def postgres_url(postgres_server: str, postgres_template: str) -> Iterator[str]:
    """The URL of a migrated, empty PostgreSQL database that nobody else uses."""
    with new_database(postgres_server, template=postgres_template) as url:
        yield url


@pytest.fixture
def empty_postgres_url(postgres_server: str) -> Iterator[str]:
    """The URL of a PostgreSQL database without any table."""
    with new_database(postgres_server) as url:
        yield url


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The file of a migrated, empty SQLite database."""
    file = tmp_path_factory.mktemp("sqlite") / "template.db"
    migrate(f"sqlite:///{file}")
    return file.read_bytes()


@pytest.fixture
def sqlite_url(sqlite_template: bytes, tmp_path: Path) -> str:
    """The URL of a migrated, empty SQLite database that nobody else uses."""
    file = tmp_path / "celeriac.db"
    file.write_bytes(sqlite_template)
    return f"sqlite:///{file}"


@pytest.fixture(scope="session")
def redis_server(servers: Servers) -> Iterator[str]:
    """The URL of a Redis or Valkey server; use `redis_url` unless the test needs the server itself."""
    if servers.redis:
        yield servers.redis
    else:
        with brought_redis() as url:
            yield url


@pytest.fixture
def redis_url(redis_server: str) -> Iterator[str]:
    """The URL of an empty Redis database, claimed for this test among those reserved for tests."""
    server = make_url(redis_server)
    with claimed_database(redis_server) as number:
        yield server.set(database=str(number)).render_as_string(hide_password=False)


@pytest.fixture
def queue_prefix() -> str:
    """A value of CELERY_QUEUE_PREFIX that no other test uses, as all tests share one RabbitMQ."""
    return f"test-{secrets.token_hex(4)}-"


@pytest.fixture
def amqp_url(servers: Servers, queue_prefix: str) -> Iterator[str]:
    """The URL of a RabbitMQ; only for tests marked `rabbitmq`, which name their queues by `queue_prefix`."""
    if not servers.amqp:
        pytest.fail("this test needs RabbitMQ and is not marked `rabbitmq`")
    yield servers.amqp
    delete_queues(servers.amqp, queue_prefix)


@contextmanager
def new_database(server: str, template: str = "template1") -> Iterator[str]:
    """Create a PostgreSQL database, yield its URL, drop it whoever is still connected."""
    name = f"celeriac_test_{secrets.token_hex(6)}"
    address = make_url(server).set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(address, autocommit=True) as admin:
        admin.execute(f"CREATE DATABASE {name} TEMPLATE {template}".encode())
        try:
            yield make_url(server).set(database=name).render_as_string(hide_password=False)
        finally:
            admin.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())


def migrate(database_url: str) -> None:
    """Bring a database to the newest migration, as an operator does."""
    settings = {
        "DATABASE_URL": database_url,
        "CELERY_BROKER_URL": "redis://127.0.0.1:9/0",
        "STRIPE_SECRET_KEY": "sk_test_unused",
        "STRIPE_PUBLISHABLE_KEY": "pk_test_unused",
        "STRIPE_WEBHOOK_SECRET": "whsec_unused",
        "STRIPE_API_BASE": "http://127.0.0.1:9",
    }
    command = [sys.executable, "-m", "celery", "-A", "worker", "payments", "db", "upgrade"]
    result = subprocess.run(command, cwd=ROOT, env={**os.environ, **settings}, capture_output=True, text=True)
    if result.returncode:
        pytest.fail(f"the migration of {database_url} failed:\n{result.stdout}{result.stderr}", pytrace=False)


@contextmanager
def claimed_database(server: str) -> Iterator[int]:
    """Empty one of the reserved Redis databases and keep other test runs of this machine off it."""
    for number in RESERVED_REDIS_DATABASES:
        with (Path(tempfile.gettempdir()) / f"celeriac-redis-{number}.lock").open("a") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            with redis.Redis.from_url(server, db=number) as client:
                client.flushdb()
                yield number
                client.flushdb()
            return
    pytest.fail(f"all reserved databases of {server} are in use by other test runs")


def delete_queues(server: str, prefix: str) -> None:
    """Remove the durable queues that a test's processes declared."""
    with Connection(server) as connection, connection.channel() as channel:
        for queue in QUEUES:
            channel.queue_delete(f"{prefix}{queue}")
