"""Webhook events: stored once, locked while they are applied, postponed or closed."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Row, Select, select, update

from domain.attention import HELD_WEBHOOKS, LONG_WAIT_OF_WEBHOOK, Reason
from domain.webhook_status import WebhookStatus
from models.attention import close_entries_of_webhook, open_entry
from models.change import Change
from models.due_rows import SWEEP_AFTER
from models.session import insert_new
from models.tables import webhook_events
from models.tables.base import new_id
from models.task_messages import WEBHOOK, TaskMessage

_NO_PAYLOAD = "{}"


def store_webhook_event(
    connection: Connection, provider: str, event_id: str, event_type: str, payload: str, now: datetime
) -> TaskMessage | None:
    """Store a verified event once. Return its message, or None if the event is stored already."""
    row_id = new_id("wh", now)
    values = {
        "id": row_id,
        "provider": provider,
        "event_id": event_id,
        "type": event_type,
        "payload": payload,
        "status": WebhookStatus.STORED,
        "tries": 0,
        "failures": 0,
        "due_at": now + SWEEP_AFTER,
        "received_at": now,
    }
    return TaskMessage(WEBHOOK, row_id) if insert_new(connection, webhook_events, values) else None


def lock_event(connection: Connection, row_id: str) -> Row[Any] | None:
    """Lock an event that is not closed; None if it is closed already."""
    is_open = (webhook_events.c.id == row_id) & (webhook_events.c.status == WebhookStatus.STORED)
    return connection.execute(select(webhook_events).where(is_open).with_for_update()).one_or_none()


def close_event(change: Change, event: Row[Any], status: WebhookStatus, payment_id: str | None) -> None:
    """Close an event with this status; some are left to a person."""
    values = {"status": status, "due_at": None, "payment_id": payment_id, "finished_at": change.now}
    change.connection.execute(update(webhook_events).where(webhook_events.c.id == event.id).values(values))
    reason = HELD_WEBHOOKS.get(status)
    if reason is not None:
        open_entry(change, reason, webhook_event_id=event.id, data=_named(event))
    elif event.finished_at is not None or event.failures or _waits_long(change, event):
        # It was closed before, its task has failed, or it waits long: a person may have been asked about it.
        close_entries_of_webhook(change, event.id)


def erase_payloads(change: Change, payment_ids: Select[tuple[str]]) -> int:
    """Empty the payloads of the events about payments that are applied and never read again; return of how many."""
    is_final = webhook_events.c.status.in_((WebhookStatus.APPLIED, WebhookStatus.IGNORED))
    is_meant = webhook_events.c.payment_id.in_(payment_ids) & is_final & (webhook_events.c.payload != _NO_PAYLOAD)
    return change.connection.execute(update(webhook_events).where(is_meant).values(payload=_NO_PAYLOAD)).rowcount


def replay_event(change: Change, row_id: str) -> TaskMessage | None:
    """Make an event due now that was left to a person; return its message, or None if it is closed for good."""
    values = {"status": WebhookStatus.STORED, "due_at": change.now, "published_at": None}
    is_left = webhook_events.c.status.in_([WebhookStatus.STORED, *sorted(HELD_WEBHOOKS)])
    replayed = update(webhook_events).where(webhook_events.c.id == row_id, is_left).values(values)
    return TaskMessage(WEBHOOK, row_id) if change.connection.execute(replayed).rowcount else None


def count_event_failure(connection: Connection, event: Row[Any], failures: int, due_at: datetime) -> None:
    """Store how often the task of a locked event has failed, and apply it later."""
    values = {"failures": failures, "due_at": due_at}
    connection.execute(update(webhook_events).where(webhook_events.c.id == event.id).values(values))


def postpone_event(connection: Connection, event: Row[Any], now: datetime, pause: timedelta) -> None:
    """Apply the event later, and count the try."""
    values = {"due_at": now + pause, "tries": event.tries + 1}
    connection.execute(update(webhook_events).where(webhook_events.c.id == event.id).values(values))


def postpone_look_up(change: Change, event: Row[Any], pause: timedelta) -> None:
    """Apply the event later, because its object cannot be looked up. If that goes on for long, a person is asked."""
    postpone_event(change.connection, event, change.now, pause)
    if _waits_long(change, event):
        open_entry(change, Reason.WEBHOOK_WAITING, webhook_event_id=event.id, data=_named(event))


def _waits_long(change: Change, event: Row[Any]) -> bool:
    waits: bool = change.now - event.received_at >= LONG_WAIT_OF_WEBHOOK
    return waits


def _named(event: Row[Any]) -> dict[str, str]:
    return {"provider": event.provider, "event": event.event_id, "type": event.type}


def name_payment(connection: Connection, event: Row[Any], payment_id: str | None) -> None:
    """Store which payment an event is about."""
    connection.execute(update(webhook_events).where(webhook_events.c.id == event.id).values(payment_id=payment_id))
