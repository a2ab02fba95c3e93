"""What is measured: a worker process with its own rows and its own queue, and the cost of a payment in it.

All contenders of a comparison run at the same time and are measured in turn, so that other load affects all of them.
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
_LONGEST_ROUND_SECONDS = 120


@dataclass(frozen=True)
class Entry:
    """What to run: a Celery app, the task that gets the id of a row, and the kind of rows."""

    name: str
    app: str
    task: str
    rows: type[Rows]
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Services:
    """What all contenders use: a migrated database, an empty Redis database, a folder for logs."""

    database: str
    broker: str
    directory: Path


@dataclass(frozen=True)
class Round:
    """The cost of one round: CPU milliseconds for each payment, payments per second, memory in MB."""

    cpu_ms: float
    per_second: float
    memory_mb: float


class Contender:
    """The worker process of an entry, running from entering the context until leaving it."""

    def __init__(self, entry: Entry, services: Services, provider_url: str, threads: int) -> None:
        prefix = f"bench-{secrets.token_hex(4)}-"
        self.name = entry.name
        self._task = entry.task
        self._rows = entry.rows(services.database)
        self._redis = Redis.from_url(services.broker)
        self._queue, self._staged = f"{prefix}charges", f"{prefix}staged"
        self._publisher = Celery(broker=services.broker, set_as_current=False)
        self._publisher.conf.task_queues = [Queue(self._staged, routing_key=self._staged)]
        environment = {
            "DATABASE_URL": services.database,
            "CELERY_BROKER_URL": services.broker,
            "CELERY_QUEUE_PREFIX": prefix,
            "WORKER_CONCURRENCY": str(threads),
            "STRIPE_SECRET_KEY": f"sk_test_sandbox{secrets.token_hex(12)}",
            "STRIPE_WEBHOOK_SECRET": f"whsec_{secrets.token_hex(16)}",
            "STRIPE_API_BASE": provider_url,
        }
        self._worker = Process(
            entry.name,
            [sys.executable, "-m", "celery", "-A", entry.app, "worker", "-l", "warning", "-n", f"{prefix}@%h"],
            log=services.directory / f"{prefix}worker.log",
            env={**os.environ, **environment, **entry.environment},
        )
        self.rounds: list[Round] = []

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
        """Run payments without measuring, so that connections are open and caches are full."""
        self._run(payments)

    def measure(self, payments: int) -> None:
        """Measure a round of payments. Storing the rows and publishing their messages is not part of it."""
        self.rounds.append(self._run(payments))

    def result(self) -> Round:
        """Return the medians of all rounds, and the highest memory."""
        return Round(
            median(each.cpu_ms for each in self.rounds),
            median(each.per_second for each in self.rounds),
            max(each.memory_mb for each in self.rounds),
        )

    def _run(self, payments: int) -> Round:
        for row_id in self._rows.add(payments):
            self._publisher.send_task(self._task, args=(row_id,), queue=self._staged)
        cpu_seconds, begun = self._cpu_seconds(), time.perf_counter()
        # All messages become visible at once: publishing them during the round would use the same processor.
        self._redis.rename(self._staged, self._queue)
        wait_until(self._is_over, _LONGEST_ROUND_SECONDS, _POLL_SECONDS)
        seconds = time.perf_counter() - begun
        if left := self._rows.unfinished():
            raise ProcessError(f"{self.name}: {left} of {payments} payments are unfinished\n{self._worker.log_tail()}")
        cpu_seconds = self._cpu_seconds() - cpu_seconds
        memory = sum(process.memory_info().rss for process in self._processes())
        return Round(cpu_seconds / payments * 1000, payments / seconds, memory / 2**20)

    def _is_over(self) -> bool:
        return not self._worker.is_running() or self._rows.unfinished() == 0

    def _cpu_seconds(self) -> float:
        times = [process.cpu_times() for process in self._processes()]
        return sum(time.user + time.system for time in times)

    def _processes(self) -> list[psutil.Process]:
        leader = psutil.Process(self._worker.pid)
        return [leader, *leader.children(recursive=True)]
