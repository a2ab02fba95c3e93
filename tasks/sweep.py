"""Rings again for whatever is overdue, from the database: the broker may lose every message. Never decides."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, NamedTuple

from celery import shared_task
from sqlalchemy import Column, Connection, Table, or_, select, update

from models.billing import dunning_cases
from models.history import webhook_events
from models.payments import attempts
from models.session import transact
from models.task_messages import DUNNING, SWEEP, WEBHOOK, TaskMessage, message_for_attempt
from tasks.base import PaymentTask, Runtime

# Few enough to be one short transaction; the sweep goes on until nothing is left.
_BATCH = 500


class _Due(NamedTuple):
    """A table with due rows, the columns that make a ring, the key first, and how long a row that was rung for may
    wait before it is rung for again."""

    table: Table
    columns: tuple[Column[Any], ...]
    again_after: timedelta


# Charges may queue for a while when many come at once, and must not be rung for over and over.
_DUE = (
    _Due(attempts, (attempts.c.id, attempts.c.verb, attempts.c.status), timedelta(seconds=30)),
    _Due(webhook_events, (webhook_events.c.id,), timedelta(seconds=10)),
    _Due(dunning_cases, (dunning_cases.c.payment_id,), timedelta(seconds=10)),
)


@shared_task(bind=True, base=PaymentTask, name=SWEEP)
def sweep(self: PaymentTask) -> None:
    """Announce overdue attempts, webhooks and dunning cases. Any number of sweeps may run at once."""
    runtime = self.runtime
    for due in _DUE:
        while len(messages := _overdue(runtime, due)) == _BATCH:
            runtime.publish(messages)
        runtime.publish(messages)


def _overdue(runtime: Runtime, due: _Due) -> list[TaskMessage]:
    now = runtime.clock.now()
    return transact(runtime.engine, lambda connection: _mark_rung(connection, due, now))


def _mark_rung(connection: Connection, due: _Due, now: datetime) -> list[TaskMessage]:
    table, key = due.table, due.columns[0]
    is_unheard = or_(
        table.c.published_at.is_(None),
        table.c.published_at < table.c.due_at,
        table.c.published_at <= now - due.again_after,
    )
    overdue = (
        select(key)
        .where(table.c.due_at <= now, is_unheard)
        .order_by(table.c.due_at)
        .limit(_BATCH)
        .with_for_update(skip_locked=True)
    )
    rows = connection.execute(update(table).where(key.in_(overdue)).values(published_at=now).returning(*due.columns))
    return [_publish(table, *row) for row in rows]


def _publish(table: Table, row_id: str, *verb_and_status: str) -> TaskMessage:
    if table is attempts:
        return message_for_attempt(row_id, *verb_and_status)
    return TaskMessage(WEBHOOK if table is webhook_events else DUNNING, row_id)
