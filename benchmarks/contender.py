"""Who is measured: a worker process with rows of its own and a queue of its own, and what a payment costs it.

All contenders of a race stand ready at once and are fed in turn, so that a noisy neighbour hits all of them alike.
"""

from __future__ import annotations

import os
import secrets
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from types import TracebackType

import psutil
from celery import Celery
from kombu import Queue
from redis import Redis

from benchmarks.rows import Rows
from stack.process import Process, ProcessError, wait_until

_POLL_SECONDS = 0.02
_LONGEST_LAP_SECONDS = 120


@dataclass(frozen=True)
class Entry:
    """What to run: a Celery app, and the task by which its worker is told of a row."""

    name: str
    app: str
    task: str
    rows: type[Rows]
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Place:
    """Where a race is held: a migrated database and a Redis database that nobody else uses; a folder for logs."""

    database: str
    broker: str
    directory: Path


@dataclass(frozen=True)
class Lap:
    """What one feeding took."""

    cpu_ms: float
    per_second: float
    memory_mb: float


class Contender:
    """The worker process of an entry, from entering the context until leaving it."""

    def __init__(self, entry: Entry, place: Place, provider_url: str, threads: int) -> None:
        prefix = f"bench-{secrets.token_hex(4)}-"
        self.name = entry.name
        self._task = entry.task
        self._rows = entry.rows(place.database)
        self._redis = Redis.from_url(place.broker)
        self._queue, self._staged = f"{prefix}charges", f"{prefix}staged"
        self._publisher = Celery(broker=place.broker, set_as_current=False)
        self._publisher.conf.task_queues = [Queue(self._staged, routing_key=self._staged)]
        environment = {
            "DATABASE_URL": place.database,
            "CELERY_BROKER_URL": place.broker,
            "CELERY_QUEUE_PREFIX": prefix,
            "WORKER_CONCURRENCY": str(threads),
            "STRIPE_SECRET_KEY": f"sk_test_sandbox{secrets.token_hex(12)}",
            "STRIPE_WEBHOOK_SECRET": f"whsec_{secrets.token_hex(16)}",
            "STRIPE_API_BASE": provider_url,
        }
        self._worker = Process(
            entry.name,
            [sys.executable, "-m", "celery", "-A", entry.app, "worker", "-l", "warning", "-n", f"{prefix}@%h"],
            log=place.directory / f"{prefix}worker.log",
            env={**os.environ, **environment, **entry.environment},
        )
        self.laps: list[Lap] = []

    def __enter__(self) -> Contender:
        self._worker.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._worker.stop()
        self._publisher.close()
        self._redis.close()
        self._rows.close()

    def warm_up(self, payments: int) -> None:
        """Open connections, fill caches; not counted."""
        self._feed(payments)

    def lap(self, payments: int) -> None:
        """Have payments carried out; to accept and to announce them is not counted."""
        self.laps.append(self._feed(payments))

    def result(self) -> Lap:
        """Return the medians of all laps, of the memory the most."""
        return Lap(
            median(lap.cpu_ms for lap in self.laps),
            median(lap.per_second for lap in self.laps),
            max(lap.memory_mb for lap in self.laps),
        )

    def _feed(self, payments: int) -> Lap:
        for row_id in self._rows.add(payments):
            self._publisher.send_task(self._task, args=(row_id,), queue=self._staged)
        cpu_seconds, begun = self._cpu_seconds(), time.perf_counter()
        # All messages at once: whoever published them would otherwise compete for the processor.
        self._redis.rename(self._staged, self._queue)
        wait_until(self._is_over, _LONGEST_LAP_SECONDS, _POLL_SECONDS)
        seconds = time.perf_counter() - begun
        if left := self._rows.unfinished():
            raise ProcessError(f"{self.name}: {left} of {payments} payments unfinished\n{self._worker.log_tail()}")
        cpu_seconds = self._cpu_seconds() - cpu_seconds
        memory = sum(process.memory_info().rss for process in self._processes())
        return Lap(cpu_seconds / payments * 1000, payments / seconds, memory / 2**20)

    def _is_over(self) -> bool:
        return not self._worker.is_running() or self._rows.unfinished() == 0

    def _cpu_seconds(self) -> float:
        times = [process.cpu_times() for process in self._processes()]
        return sum(time.user + time.system for time in times)

    def _processes(self) -> list[psutil.Process]:
        leader = psutil.Process(self._worker.pid)
        return [leader, *leader.children(recursive=True)]
