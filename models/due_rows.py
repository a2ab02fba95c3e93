"""Tables whose rows become due: each declares here which message its due rows get, and how soon again.

The broker may lose every message. A row that stays due is published again, so nothing depends on the broker."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Column, ColumnElement, Connection, Table, or_, select, true, update

from domain.dunning.case import CaseState
from models.change import Change
from models.tables import attempts, cash_balances, dunning_cases, outbox, webhook_events
from models.task_messages import (
    CASH_BALANCE,
    DUNNING,
    WEBHOOK,
    TaskMessage,
    message_for_attempt,
    message_for_outbox,
)

# A new row is published right after its commit; the sweep publishes it if it is still due this much later.
SWEEP_AFTER = timedelta(seconds=4)
# Small enough for one short transaction.
BATCH = 500


@dataclass(frozen=True, slots=True)
class DueRows:
    """A table with the columns `due_at` and `published_at`. `columns`: what `message` is made of, the key first.
    `publish_again_after`: how long a published row may wait in its queue before it is published again."""

    table: Table
    columns: tuple[Column[Any], ...]
    message: Callable[..., TaskMessage]
    publish_again_after: timedelta


def _webhook_message(row_id: str) -> TaskMessage:
    return TaskMessage(WEBHOOK, row_id)


def _dunning_message(payment_id: str) -> TaskMessage:
    return TaskMessage(DUNNING, payment_id)


def _balance_message(balance_id: str) -> TaskMessage:
    return TaskMessage(CASH_BALANCE, balance_id)


DUE_CASES = DueRows(dunning_cases, (dunning_cases.c.payment_id,), _dunning_message, timedelta(seconds=10))
DUE_ROWS = (
    # Charges may queue for a while when many arrive at once; publishing them more often would only grow the queue.
    DueRows(attempts, (attempts.c.id, attempts.c.verb, attempts.c.status), message_for_attempt, timedelta(seconds=30)),
    DueRows(webhook_events, (webhook_events.c.id,), _webhook_message, timedelta(seconds=10)),
    DUE_CASES,
    DueRows(cash_balances, (cash_balances.c.id,), _balance_message, timedelta(seconds=10)),
    # Many mails may queue for a mail server that takes one at a time.
    DueRows(outbox, (outbox.c.id, outbox.c.destination), message_for_outbox, timedelta(seconds=30)),
)


def mark_published(
    connection: Connection, due: DueRows, now: datetime, only: ColumnElement[bool] | None = None
) -> list[TaskMessage]:
    """Mark a batch of overdue rows as published, oldest first, and return their messages. Skips locked rows.

    `only`: the rows that are meant, if not all."""
    table, key = due.table, due.columns[0]
    is_unpublished = or_(
        table.c.published_at.is_(None),
        table.c.published_at < table.c.due_at,
        table.c.published_at <= now - due.publish_again_after,
    )
    overdue = (
        select(key)
        .where(table.c.due_at <= now, is_unpublished, true() if only is None else only)
        .order_by(table.c.due_at)
        .limit(BATCH)
        .with_for_update(skip_locked=True)
    )
    rows = connection.execute(update(table).where(key.in_(overdue)).values(published_at=now).returning(*due.columns))
    return [due.message(*row) for row in rows]


def publish_due_cases(change: Change, state: CaseState) -> list[TaskMessage]:
    """Mark the overdue dunning cases in a state as published, a batch at most, and return their messages."""
    return mark_published(change.connection, DUE_CASES, change.now, dunning_cases.c.state == state)
