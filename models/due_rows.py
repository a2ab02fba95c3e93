"""Tables whose rows become due: each declares here which message its due rows get, and how soon again.

The broker may lose every message. A row that stays due is published again, so nothing depends on the broker."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import Column, ColumnElement, Connection, Table, bindparam, or_, select, true, update

from domain.dunning.case import CaseState
from models.change import Change
from models.tables import attempts, cash_balances, dunning_cases, fraud_backtests, fraud_reviews, outbox, webhook_events
from models.task_messages import (
    BACKTEST,
    CASH_BALANCE,
    DUNNING,
    EXPIRE_REVIEW,
    WEBHOOK,
    TaskMessage,
    message_for_attempt,
    message_for_outbox,
)

# A new row is published right after its commit; the sweep publishes it if it is still due this much later.
SWEEP_AFTER = timedelta(seconds=4)
# Small enough for one short transaction.
BATCH = 500
# Before every due date.
EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)


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


def _review_message(review_id: str) -> TaskMessage:
    return TaskMessage(EXPIRE_REVIEW, review_id)


def _backtest_message(backtest_id: str) -> TaskMessage:
    return TaskMessage(BACKTEST, backtest_id)


# Cases of a morning become due together, and their messages queue for minutes.
DUE_CASES = DueRows(dunning_cases, (dunning_cases.c.payment_id,), _dunning_message, timedelta(seconds=30))
DUE_ROWS = (
    # Charges may queue for a while when many arrive at once; publishing them more often would only grow the queue.
    DueRows(attempts, (attempts.c.id, attempts.c.verb, attempts.c.status), message_for_attempt, timedelta(seconds=30)),
    DueRows(webhook_events, (webhook_events.c.id,), _webhook_message, timedelta(seconds=10)),
    DUE_CASES,
    DueRows(cash_balances, (cash_balances.c.id,), _balance_message, timedelta(seconds=10)),
    DueRows(fraud_reviews, (fraud_reviews.c.id,), _review_message, timedelta(seconds=10)),
    DueRows(fraud_backtests, (fraud_backtests.c.id,), _backtest_message, timedelta(seconds=30)),
    # Many mails may queue for a mail server that takes one at a time.
    DueRows(outbox, (outbox.c.id, outbox.c.destination), message_for_outbox, timedelta(seconds=30)),
)


# The oldest due date of each table, in one statement.
_oldest_due = select(
    *(
        select(due.table.c.due_at)
        .where(due.table.c.due_at.between(bindparam(due.table.name), bindparam("now")))
        .order_by(due.table.c.due_at)
        .limit(1)
        .scalar_subquery()
        .label(due.table.name)
        for due in DUE_ROWS
    )
)


def find_oldest_due(
    connection: Connection, now: datetime, starts: Mapping[str, datetime]
) -> dict[str, datetime | None]:
    """Return the oldest due date of each table, published or not, locked or not; None: nothing is due.

    `starts`: from which due date on a table is searched, if not from the first one."""
    earliest = {due.table.name: EARLIEST for due in DUE_ROWS}
    return dict(connection.execute(_oldest_due, {**earliest, **starts, "now": now}).one()._mapping)


class Published(NamedTuple):
    """A batch of rows that were marked as published. `more_from`: the due date from which on more may be overdue; None:
    the batch was not full."""

    messages: list[TaskMessage]
    more_from: datetime | None


def mark_published(
    connection: Connection,
    due: DueRows,
    now: datetime,
    since: datetime = EARLIEST,
    only: ColumnElement[bool] | None = None,
) -> Published:
    """Mark a batch of overdue rows as published, oldest first, and return their messages. Skips locked rows.

    `since`: from which due date on. `only`: the rows that are meant, if not all."""
    table, key = due.table, due.columns[0]
    is_unpublished = or_(
        table.c.published_at.is_(None),
        table.c.published_at < table.c.due_at,
        table.c.published_at <= now - due.publish_again_after,
    )
    overdue = (
        select(key)
        .where(table.c.due_at.between(since, now), is_unpublished, true() if only is None else only)
        .order_by(table.c.due_at)
        .limit(BATCH)
        .with_for_update(skip_locked=True)
    )
    marked = update(table).where(key.in_(overdue)).values(published_at=now).returning(table.c.due_at, *due.columns)
    rows = connection.execute(marked).all()
    more_from = max(row.due_at for row in rows) if len(rows) == BATCH else None
    return Published([due.message(*row[1:]) for row in rows], more_from)


def publish_due_cases(change: Change, state: CaseState) -> list[TaskMessage]:
    """Mark the overdue dunning cases in a state as published, a batch at most, and return their messages."""
    return mark_published(change.connection, DUE_CASES, change.now, only=dunning_cases.c.state == state).messages
