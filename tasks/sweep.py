"""Publishes overdue rows again, from the database: the broker may lose every message. Never decides."""

from __future__ import annotations

from celery import shared_task

from models.due_rows import DUE_ROWS, find_oldest_due, mark_published
from models.failpoints import reach
from models.session import transact
from models.task_messages import SWEEP
from runtime import Runtime
from tasks.payment_task import PaymentTask


@shared_task(bind=True, base=PaymentTask, name=SWEEP)
def sweep(self: PaymentTask) -> None:
    """Publish the overdue rows of every table that has some. Any number of sweeps may run at once."""
    publish_overdue(self.runtime)


def publish_overdue(runtime: Runtime) -> None:
    """Publish the overdue rows of every table that has some."""
    now = runtime.clock.now()
    starts = runtime.low_water_marks.starts(now)
    oldest = runtime.read(find_oldest_due, now, starts)
    runtime.low_water_marks.move(starts, oldest, now)
    for due in DUE_ROWS:
        since = oldest[due.table.name]
        while since is not None:
            messages, since = transact(runtime.engine, mark_published, due, runtime.clock.now(), since)
            if messages:
                reach("sweep.marked")
            runtime.publish(messages)
