"""Sweeps the due dunning cases of many subscriptions, and tables in which nothing is due.

The rows are those of `benchmarks/stored_cases.py`. The floor marks the same rows in batches of the same size by one
bare statement each: it builds no message, looks at no other table, and begins each batch where the last one ended. The
rounds of both take turns."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from statistics import median, quantiles
from unittest.mock import patch

import psycopg
from celery import Celery
from redis import Redis
from sqlalchemy import Engine, text

from benchmarks.executed_plans import executed, noted, read_blocks
from benchmarks.stored_cases import DUE_IN, Size, change_payments, store_cases
from domain.decision import Policy
from domain.routing import Router
from models.clock import Clock
from models.due_rows import BATCH
from models.session import make_engine, transact
from models.task_messages import DUNNING, TaskMessage
from runtime import Runtime
from runtime.leases import LeaseKeeper
from tasks.sweep import publish_overdue
from worker.publisher import Publisher

TICKS = 200
ROUNDS = 3
# The changed payments are those of so long: a hundred a second, if 60,000 changed.
CHANGED_OVER = timedelta(minutes=10)
HEAD_OF_TICKS = [
    "| a tick with nothing due | median ms | p99 ms | first ms | statements | blocks |",
    "|---|" + "---:|" * 5,
]
HEAD_OF_SWEEPS = ["| | cases per second | × floor | statements |", "|---|---:|---:|---:|"]
_QUEUE = "dunning"
_FLOOR = """
UPDATE dunning_cases SET published_at = %(now)s WHERE id IN (
    SELECT id FROM dunning_cases WHERE due_at BETWEEN %(since)s AND %(now)s AND published_at IS NULL ORDER BY due_at
    LIMIT %(batch)s FOR UPDATE SKIP LOCKED)
RETURNING due_at
"""


def measure(database_url: str, broker_url: str, size: Size) -> list[str]:
    """Return the lines of the two tables. The broker is an empty Redis."""
    bench = _Bench(make_engine(database_url), size)
    begun = time.monotonic()
    transact(bench.engine, store_cases, size, bench.start)
    bench.vacuum()
    lines = [f"{size.subscriptions:,} subscriptions were stored in {time.monotonic() - begun:.0f} s", ""]
    lines += [*HEAD_OF_TICKS, bench.ticks("at rest")]
    with bench.held():
        now = bench.runtime.clock.now()
        transact(bench.engine, change_payments, size, now, CHANGED_OVER)
        # The last of them was a second ago.
        bench.offset = now - bench.runtime.clock.now()
        bench.runtime = bench.new_runtime()
        lines.append(bench.ticks(f"while a transaction has been open over {size.changed:,} payments"))
    bench.vacuum()
    lines += ["", *HEAD_OF_SWEEPS, *bench.sweeps(broker_url)]
    bench.engine.dispose()
    return lines


@dataclass
class _Bench:
    """A database with stored cases, and a process that sweeps it."""

    engine: Engine
    size: Size

    def __post_init__(self) -> None:
        self.offset = timedelta()
        self.published: list[TaskMessage] = []
        self.send: Callable[[Iterable[TaskMessage]], None] | None = None
        self.runtime = self.new_runtime()
        self.start = self.runtime.clock.now()

    def new_runtime(self) -> Runtime:
        """Return the runtime of a process that has swept nothing yet."""
        clock = Clock(self.engine, lambda: self.offset)
        return Runtime(
            engine=self.engine,
            clock=clock,
            gateways={},
            router=Router({}),
            policy=Policy(),
            leases=LeaseKeeper(self.engine, clock),
            publish=self._publish,
        )

    def _publish(self, messages: Iterable[TaskMessage]) -> None:
        self.published.extend(messages)
        if self.send is not None:
            self.send(messages)

    def vacuum(self) -> None:
        """Leave the tables as autovacuum leaves them."""
        with self.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            for command in ("SET statement_timeout = 0", "VACUUM (ANALYZE)", "RESET statement_timeout"):
                connection.execute(text(command))

    # --- a tick with nothing due ------------------------------------------------------------------------

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold a transaction open that may still read everything as it was when it began."""
        with self.engine.connect().execution_options(isolation_level="REPEATABLE READ") as connection:
            connection.execute(text("SET LOCAL idle_in_transaction_session_timeout = 0"))
            connection.execute(text("SELECT count(*) FROM subscriptions WHERE id = ''"))
            yield
            connection.rollback()

    def ticks(self, name: str) -> str:
        """Return the line of many ticks in which nothing is due."""
        seconds = [self._tick() for _ in range(TICKS)]
        with executed(self.engine) as plans:
            self._tick()
        if self.published:
            raise AssertionError(f"bug: something is due: {self.published[0]}")
        first, *others = (1000 * second for second in seconds)
        p99 = quantiles(others, n=100)[-1]
        blocks = sum(map(read_blocks, plans))
        return f"| {name} | {median(others):.1f} | {p99:.1f} | {first:.1f} | {len(plans)} | {blocks:,} |"

    def _tick(self) -> float:
        begun = time.perf_counter()
        publish_overdue(self.runtime)
        return time.perf_counter() - begun

    # --- the due cases ----------------------------------------------------------------------------------

    def sweeps(self, broker_url: str) -> list[str]:
        """Return the lines of the floor, of the sweep, and of the sweep with a broker."""
        self.offset = 2 * DUE_IN
        ways = {
            "floor: bare `UPDATE … SKIP LOCKED` batches": self._floor,
            "sweep": self._sweep,
            "sweep, and Celery sends the messages to Redis": lambda: self._sweep_to(broker_url),
        }
        rounds: dict[str, list[tuple[float, int]]] = {name: [] for name in ways}
        for _ in range(ROUNDS):
            for name, run in ways.items():
                rounds[name].append(run())
                self._restore()
        rates = {name: self.size.due / median(seconds for seconds, _ in runs) for name, runs in rounds.items()}
        floor = next(iter(rates.values()))
        return [f"| {name} | {rate:,.0f} | {rate / floor:.2f} | {rounds[name][0][1]} |" for name, rate in rates.items()]

    def _floor(self) -> tuple[float, int]:
        address = self.engine.url.set(drivername="postgresql").render_as_string(hide_password=False)
        marked, statements = 0, 0
        given = {"since": self.start, "now": self.runtime.clock.now(), "batch": BATCH}
        with psycopg.connect(address, autocommit=True) as connection:
            begun = time.perf_counter()
            while rows := connection.execute(_FLOOR, given, prepare=True).fetchall():
                marked, statements = marked + len(rows), statements + 1
                given["since"] = max(row[0] for row in rows)
            seconds = time.perf_counter() - begun
        if marked != self.size.due:
            raise AssertionError(f"bug: the floor marks {marked} of {self.size.due} due cases")
        return seconds, statements + 1

    def _sweep(self) -> tuple[float, int]:
        self.published.clear()
        with noted(self.engine) as statements:
            seconds = self._tick()
        if len(self.published) != self.size.due or len(set(self.published)) != self.size.due:
            raise AssertionError(
                f"bug: the sweep publishes {len(self.published)} messages of {self.size.due} due cases"
            )
        if any(message.task != DUNNING for message in self.published):
            raise AssertionError("bug: the sweep publishes something else than dunning cases")
        return seconds, len(statements)

    def _sweep_to(self, broker_url: str) -> tuple[float, int]:
        """Sweep as a worker does, and check that each due case has a message in the queue."""
        app = Celery("bench", set_as_current=False)
        app.conf.update(task_default_queue=_QUEUE, task_send_sent_event=True)
        # Celery prefers the variables to any setting, and those of the caller may name a broker that is in use.
        variables = dict.fromkeys(("CELERY_BROKER_URL", "CELERY_BROKER_WRITE_URL"), broker_url)
        with patch.dict(os.environ, variables), closing(app):
            self.send = Publisher(app).publish
            measured = self._sweep()
            self.send = None
        with Redis.from_url(broker_url) as client:
            queued = client.llen(_QUEUE)
            client.delete(_QUEUE)
        if queued != self.size.due:
            raise AssertionError(f"bug: Redis has {queued} messages of {self.size.due} due cases")
        return measured

    def _restore(self) -> None:
        """Let the cases be due and unpublished again, in a table that is as vacuumed as before."""
        transact(self.engine, lambda connection: connection.execute(text(_RESTORE)))
        self.vacuum()


_RESTORE = "UPDATE dunning_cases SET published_at = NULL WHERE published_at IS NOT NULL"
