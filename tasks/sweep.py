"""Rings again for whatever is overdue, from the database: the broker may lose every message. Never decides."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from celery import shared_task
from sqlalchemy import Column, Connection, Table, or_, select, update

from models.debts import dunning_cases
from models.history import webhook_events
from models.payments import attempts
from models.rings import DUNNING, SWEEP, WEBHOOK, Ring, ring_attempt
from models.session import transact
from tasks.base import PaymentTask, Runtime

# A row that was announced and is still waiting in a long queue is announced again after this.
_RING_AGAIN_AFTER = timedelta(seconds=30)
# Few enough to be one short transaction; the sweep goes on until nothing is left.
_BATCH = 500


@shared_task(bind=True, base=PaymentTask, name=SWEEP)
def sweep(self: PaymentTask) -> None:
    """Announce overdue attempts, webhooks and dunning cases. Any number of sweeps may run at once."""
    runtime = self.runtime
    for table, key in ((attempts, attempts.c.id), (webhook_events, webhook_events.c.id), _DUNNING):
        while len(rings := _overdue(runtime, table, key)) == _BATCH:
            runtime.ring(rings)
        runtime.ring(rings)


_DUNNING = (dunning_cases, dunning_cases.c.payment_id)


def _overdue(runtime: Runtime, table: Table, key: Column[Any]) -> list[Ring]:
    now = runtime.clock.now()
    return transact(runtime.engine, lambda connection: _mark_rung(connection, table, key, now))


def _mark_rung(connection: Connection, table: Table, key: Column[Any], now: datetime) -> list[Ring]:
    overdue = (
        select(key)
        .where(
            table.c.due_at <= now,
            or_(
                table.c.rung_at.is_(None),
                table.c.rung_at < table.c.due_at,
                table.c.rung_at <= now - _RING_AGAIN_AFTER,
            ),
        )
        .order_by(table.c.due_at)
        .limit(_BATCH)
        .with_for_update(skip_locked=True)
    )
    rows = connection.execute(update(table).where(key.in_(overdue)).values(rung_at=now).returning(table))
    return [_ring(table, row._mapping) for row in rows]


def _ring(table: Table, row: Any) -> Ring:
    if table is attempts:
        return ring_attempt(row["id"], row["verb"], row["status"])
    return Ring(WEBHOOK, row["id"]) if table is webhook_events else Ring(DUNNING, row["payment_id"])
