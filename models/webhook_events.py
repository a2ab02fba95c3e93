"""Webhook events: stored once, locked while they are applied, postponed or closed."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Row, select, update

from models.due_rows import SWEEP_AFTER
from models.session import insert_new
from models.tables import webhook_events
from models.tables.base import new_id
from models.task_messages import WEBHOOK, TaskMessage


def store_webhook_event(
    connection: Connection, provider: str, event_id: str, event_type: str, payload: str, now: datetime
) -> TaskMessage | None:
    """Store a verified event once. Return its message, or None if the provider has delivered the event before."""
    row_id = new_id("wh", now)
    values = {
        "id": row_id,
        "provider": provider,
        "event_id": event_id,
        "type": event_type,
        "payload": payload,
        "status": "stored",
        "tries": 0,
        "due_at": now + SWEEP_AFTER,
        "received_at": now,
    }
    return TaskMessage(WEBHOOK, row_id) if insert_new(connection, webhook_events, values) else None


def lock_event(connection: Connection, row_id: str) -> Row[Any] | None:
    """Lock an event that is not closed; None if it is closed already."""
    is_open = (webhook_events.c.id == row_id) & (webhook_events.c.status == "stored")
    return connection.execute(select(webhook_events).where(is_open).with_for_update()).one_or_none()


def close_event(connection: Connection, event: Row[Any], status: str, payment_id: str | None, now: datetime) -> None:
    """Close an event as `applied`, `ignored`, `unreadable` or `contradicting`."""
    values = {"status": status, "due_at": None, "payment_id": payment_id, "finished_at": now}
    connection.execute(update(webhook_events).where(webhook_events.c.id == event.id).values(values))


def postpone_event(connection: Connection, event: Row[Any], now: datetime, pause: timedelta) -> None:
    """Apply the event later, and count the try."""
    values = {"due_at": now + pause, "tries": event.tries + 1}
    connection.execute(update(webhook_events).where(webhook_events.c.id == event.id).values(values))


def name_payment(connection: Connection, event: Row[Any], payment_id: str | None) -> None:
    """Store which payment an event is about."""
    connection.execute(update(webhook_events).where(webhook_events.c.id == event.id).values(payment_id=payment_id))
