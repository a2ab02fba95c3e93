"""`python3 dev.py bench`: what a card payment costs in Celeriac, beside the least that it could cost.

Prints one Markdown table. Absolute figures belong to the machine and the hour; the ratios to the floor, taken in
the same run, are what counts.
"""

from __future__ import annotations

import argparse
import os
import secrets
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import psycopg
from redis import Redis
from sqlalchemy import make_url

from benchmarks import floor
from benchmarks.contender import Contender, Entry, Lap, Place
from benchmarks.rows import FloorRows, Payments
from models.task_messages import CHARGE
from stack.process import ROOT, Process, ProcessError, free_port, interrupt_on_signals, is_listening
from stack.servers import discover, postgres_from_wheel, redis_from_wheel

FLOOR = Entry("floor (create, store, confirm)", "benchmarks.floor", floor.THREE_STEPS, FloorRows)
ENTRIES = [
    FLOOR,
    Entry("Celeriac", "worker", CHARGE, Payments),
    Entry("floor (one call)", "benchmarks.floor", floor.ONE_CALL, FloorRows),
    Entry(
        "floor (create, store, confirm), without events",
        "benchmarks.floor",
        floor.THREE_STEPS,
        FloorRows,
        {"FLOOR_WITHOUT_EVENTS": "1"},
    ),
]
# Each race: how long the provider takes to answer, the worker's threads, who takes part.
RACES = [(0, 16, ENTRIES), (0, 100, ENTRIES[:2]), (300, 100, ENTRIES[:2]), (300, 200, ENTRIES[:2])]
# The tests claim the databases from 9 on.
REDIS_DATABASES = range(8, -1, -1)
HEAD = "| provider answers in | threads | | CPU ms per payment | × floor | payments/s | × floor | memory MB |"


def main() -> None:
    """Hold the races; print the table."""
    parser = argparse.ArgumentParser(prog="dev.py bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one short lap each: to see that it runs, not to quote")
    parser.add_argument("--payments", type=int, help="payments of a lap; default 600, quick 200")
    parser.add_argument("--laps", type=int, help="laps of each contender, of which the median counts; default 3")
    options = parser.parse_args()
    payments = options.payments or (200 if options.quick else 600)
    laps = options.laps or (1 if options.quick else 3)
    interrupt_on_signals()
    lines = [HEAD, "|---:" * 2 + "|---" + "|---:" * 5 + "|"]
    with ExitStack() as running:
        directory = Path(running.enter_context(tempfile.TemporaryDirectory(prefix="celeriac-bench-")))
        place = Place(running.enter_context(database()), running.enter_context(broker()), directory)
        for delay_ms, threads, entries in RACES:
            lines += race(place, delay_ms, threads, entries, payments, laps)
            print(".", end="", file=sys.stderr, flush=True)
    print("\r" + "\n".join(lines))


def race(place: Place, delay_ms: int, threads: int, entries: list[Entry], payments: int, laps: int) -> list[str]:
    """Feed all entries in turn; return the lines of the table."""
    with ExitStack() as running:
        provider_url = running.enter_context(provider(place.directory, delay_ms))
        contenders = [running.enter_context(Contender(entry, place, provider_url, threads)) for entry in entries]
        for contender in contenders:
            contender.warm_up(2 * threads)
        for _ in range(laps):
            for contender in contenders:
                contender.lap(payments)
        least = next(contender.result() for contender in contenders if contender.name == FLOOR.name)
        return [row(f"{delay_ms} ms", threads, contender, least) for contender in contenders]


def row(delay: str, threads: int, contender: Contender, least: Lap) -> str:
    """Return a contender's line of the table."""
    lap = contender.result()
    cells = (
        f"{delay} | {threads} | {contender.name}",
        f"{lap.cpu_ms:.1f} | {lap.cpu_ms / least.cpu_ms:.2f}",
        f"{lap.per_second:.0f} | {lap.per_second / least.per_second:.2f}",
        f"{lap.memory_mb:.0f}",
    )
    return f"| {' | '.join(cells)} |"


@contextmanager
def provider(directory: Path, delay_ms: int) -> Iterator[str]:
    """Run the fake provider; yield its URL."""
    port = free_port()
    command = [sys.executable, "-m", "benchmarks.provider", str(port), str(delay_ms)]
    with Process("provider", command, log=directory / f"provider-{delay_ms}.log") as process:
        process.wait_for(lambda: is_listening(port), "a listening port")
        yield f"http://127.0.0.1:{port}"


@contextmanager
def database() -> Iterator[str]:
    """Create a migrated database on the PostgreSQL that is found or brought, yield its URL, drop it."""
    with ExitStack() as running:
        server = make_url(discover().postgres or running.enter_context(postgres_from_wheel()))
        server = server.set(drivername="postgresql")
        name = f"celeriac_bench_{secrets.token_hex(6)}"
        address = server.render_as_string(hide_password=False)
        admin = running.enter_context(psycopg.connect(address, autocommit=True))
        admin.execute(f"CREATE DATABASE {name}".encode())
        try:
            url = server.set(database=name).render_as_string(hide_password=False)
            migrate(url)
            yield url
        finally:
            admin.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())


def migrate(database_url: str) -> None:
    """Bring the database to the newest migration, as an operator does."""
    command = [sys.executable, "-m", "celery", "-A", "worker", "payments", "db", "upgrade"]
    result = subprocess.run(
        command, cwd=ROOT, env={**os.environ, "DATABASE_URL": database_url}, capture_output=True, text=True
    )
    if result.returncode:
        raise ProcessError(f"the migration failed\n{result.stdout}{result.stderr}")


@contextmanager
def broker() -> Iterator[str]:
    """Take an empty database of the Redis that is found or brought, yield its URL, empty it again."""
    with ExitStack() as running:
        server = make_url(discover().redis or running.enter_context(redis_from_wheel()))
        for number in REDIS_DATABASES:
            url = server.set(database=str(number)).render_as_string(hide_password=False)
            client = running.enter_context(Redis.from_url(url))
            if client.dbsize() == 0 and client.set("taken", "by a benchmark", nx=True):
                break
        else:
            raise ProcessError("no empty database on the Redis found; name another one in TEST_REDIS_URL")
        try:
            yield url
        finally:
            client.flushdb()


if __name__ == "__main__":
    try:
        main()
    except ProcessError as error:
        raise SystemExit(f"bench: {error}") from None
    except KeyboardInterrupt:
        raise SystemExit("\nbench: stopped") from None
