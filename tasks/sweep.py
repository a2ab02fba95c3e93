"""Publishes overdue rows again, from the database: the broker may lose every message. Never decides."""

from __future__ import annotations

from celery import shared_task

from models.due_rows import BATCH, DUE_ROWS, mark_published
from models.failpoints import reach
from models.session import transact
from models.task_messages import SWEEP
from tasks.payment_task import PaymentTask


@shared_task(bind=True, base=PaymentTask, name=SWEEP)
def sweep(self: PaymentTask) -> None:
    """Publish the overdue rows of every table that has some. Any number of sweeps may run at once."""
    runtime = self.runtime
    for due in DUE_ROWS:
        is_full = True
        while is_full:
            messages = transact(runtime.engine, mark_published, due, runtime.clock.now())
            if messages:
                reach("sweep.marked")
            runtime.publish(messages)
            is_full = len(messages) == BATCH
