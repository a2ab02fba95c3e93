"""`dev.py bench`: what a card payment costs in Celeriac, beside the floor (the least that it could cost).

Prints one Markdown table. Absolute figures depend on the machine and its load; compare the ratios to the floor, which
come from the same run. `dev.py bench trace` prints the files that a payment runs through instead, and `dev.py bench
books` what it takes to prove and to compare the books of many payments, `dev.py bench dunning` how fast the due dunning
cases of many subscriptions are found and published, `dev.py bench fraud` what it takes to screen a payment with few and
with many stored tries, and whether stored scores can be repeated.
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

from benchmarks import books, dunning, floor, fraud, trace
from benchmarks.contender import Contender, Entry, Round, Services
from benchmarks.rows import FloorRows, Payments
from benchmarks.stored_cases import Size
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
# Each comparison: the provider's response time in milliseconds, the worker's threads, the entries.
COMPARISONS = [(0, 16, ENTRIES), (0, 100, ENTRIES[:2]), (300, 100, ENTRIES[:2]), (300, 200, ENTRIES[:2])]
# The tests use the databases from 9 on.
REDIS_DATABASES = range(8, -1, -1)
HEAD = "| response time | threads | | CPU ms per payment | × floor | payments/s | × floor | memory MB |"


def main(arguments: list[str]) -> None:
    """Run the comparisons and print the table, or the trace."""
    parser = argparse.ArgumentParser(prog="dev.py bench", description=__doc__)
    whats = ["cost", "trace", "books", "dunning", "fraud"]
    parser.add_argument("what", nargs="?", choices=whats, default="cost", help="default: cost")
    parser.add_argument("--quick", action="store_true", help="one short round each: shows that it runs, not a figure")
    parser.add_argument(
        "--payments", type=int, help="payments in a round; default 600, quick 200; books: 100,000; fraud: 2,000"
    )
    parser.add_argument("--rounds", type=int, help="rounds of each contender, whose median counts; default 3")
    parser.add_argument("--subscriptions", type=int, help="of dunning; default 1,000,000, quick 20,000")
    parser.add_argument("--due", type=int, help="of dunning: due cases; default 10,000, quick 1,000")
    parser.add_argument("--tries", type=int, help="of fraud: stored tries; default 5,000,000, quick 50,000")
    options = parser.parse_args(arguments)
    if options.what == "trace":
        trace.main()
    elif options.what == "books":
        measure_books(options)
    elif options.what == "dunning":
        measure_dunning(options)
    elif options.what == "fraud":
        measure_fraud(options)
    else:
        measure_cost(options)


def measure_books(options: argparse.Namespace) -> None:
    """Fill a database with payments, prove and compare the books, and print the table."""
    payments = options.payments or (2_000 if options.quick else 100_000)
    interrupt_on_signals()
    with ExitStack() as running:
        directory = Path(running.enter_context(tempfile.TemporaryDirectory(prefix="celeriac-bench-")))
        url = running.enter_context(provider(directory, 0))
        lines = books.measure(running.enter_context(database()), url, payments)
    print("\n".join(lines))


def measure_dunning(options: argparse.Namespace) -> None:
    """Fill a database with subscriptions, sweep it, and print the tables."""
    subscriptions = options.subscriptions or (20_000 if options.quick else 1_000_000)
    due = options.due or (1_000 if options.quick else 10_000)
    if not 0 < due <= subscriptions:
        raise ProcessError("--due has to be at least 1, and no more than --subscriptions")
    interrupt_on_signals()
    with ExitStack() as running:
        url, broker_url = running.enter_context(database()), running.enter_context(broker())
        lines = dunning.measure(url, broker_url, Size(subscriptions, due, min(60_000, subscriptions // 2)))
    print("\n".join(lines))


def measure_fraud(options: argparse.Namespace) -> None:
    """Fill two databases with tries, screen payments of both in turn, repeat their scores, and print the table."""
    payments = options.payments or (200 if options.quick else 2_000)
    many = options.tries or (50_000 if options.quick else 5_000_000)
    interrupt_on_signals()
    with ExitStack() as running:
        urls = (running.enter_context(database()), running.enter_context(database()))
        lines = fraud.measure(urls, (min(10_000, many), many), payments)
    print("\n".join(lines))


def measure_cost(options: argparse.Namespace) -> None:
    """Run the comparisons and print the table."""
    payments = options.payments or (200 if options.quick else 600)
    rounds = options.rounds or (1 if options.quick else 3)
    interrupt_on_signals()
    lines = [HEAD, "|---:" * 2 + "|---" + "|---:" * 5 + "|"]
    with ExitStack() as running:
        directory = Path(running.enter_context(tempfile.TemporaryDirectory(prefix="celeriac-bench-")))
        services = Services(running.enter_context(database()), running.enter_context(broker()), directory)
        for delay_ms, threads, entries in COMPARISONS:
            lines += compare(services, delay_ms, threads, entries, payments, rounds)
            print(".", end="", file=sys.stderr, flush=True)
    print("\r" + "\n".join(lines))


def compare(
    services: Services, delay_ms: int, threads: int, entries: list[Entry], payments: int, rounds: int
) -> list[str]:
    """Measure all entries in turn; return the lines of the table."""
    with ExitStack() as running:
        provider_url = running.enter_context(provider(services.directory, delay_ms))
        contenders = [running.enter_context(Contender(entry, services, provider_url, threads)) for entry in entries]
        for contender in contenders:
            contender.warm_up(2 * threads)
        for _ in range(rounds):
            for contender in contenders:
                contender.measure(payments)
        floor_result = next(contender.result() for contender in contenders if contender.name == FLOOR.name)
        return [row(f"{delay_ms} ms", threads, contender, floor_result) for contender in contenders]


def row(delay: str, threads: int, contender: Contender, floor_result: Round) -> str:
    """Return the line of one contender."""
    result = contender.result()
    cells = (
        f"{delay} | {threads} | {contender.name}",
        f"{result.cpu_ms:.1f} | {result.cpu_ms / floor_result.cpu_ms:.2f}",
        f"{result.per_second:.0f} | {result.per_second / floor_result.per_second:.2f}",
        f"{result.memory_mb:.0f}",
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
    """Create a migrated database on a running PostgreSQL or one from the wheel, yield its URL, drop it."""
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
    """Bring the database to the newest migration by the operators' command."""
    command = [sys.executable, "-m", "celery", "-A", "worker", "payments", "db", "upgrade"]
    result = subprocess.run(
        command, cwd=ROOT, env={**os.environ, "DATABASE_URL": database_url}, capture_output=True, text=True
    )
    if result.returncode:
        raise ProcessError(f"the migration failed; its output says why\n{result.stdout}{result.stderr}")


@contextmanager
def broker() -> Iterator[str]:
    """Reserve an empty database of a running Redis or one from the wheel, yield its URL, empty it again."""
    with ExitStack() as running:
        server = make_url(discover().redis or running.enter_context(redis_from_wheel()))
        for number in REDIS_DATABASES:
            url = server.set(database=str(number)).render_as_string(hide_password=False)
            client = running.enter_context(Redis.from_url(url))
            if client.dbsize() == 0 and client.set("reserved", "by a benchmark", nx=True):
                break
        else:
            raise ProcessError("this Redis has no empty database from 0 to 8; set TEST_REDIS_URL to another Redis")
        try:
            yield url
        finally:
            client.flushdb()


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except ProcessError as error:
        raise SystemExit(f"bench: {error}") from None
    except KeyboardInterrupt:
        raise SystemExit("\nbench: stopped") from None
