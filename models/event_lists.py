"""How far the events of the providers' lists are stored, and which of them no webhook has brought."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from sqlalchemy import Connection, select, update

from models.session import insert_new
from models.tables import comparisons, webhook_events
from models.task_messages import TaskMessage
from models.webhook_events import store_webhook_event


def events_position(connection: Connection, provider: str, now: datetime, late: timedelta) -> datetime:
    """Return until when all events are stored. The first time, only what may still be missing in the list is read."""
    row = comparisons.c.provider == provider
    insert_new(connection, comparisons, {"provider": provider, "position": now})
    begin = update(comparisons).where(row, comparisons.c.events_position.is_(None)).values(events_position=now - late)
    connection.execute(begin)
    position: datetime = connection.scalars(select(comparisons.c.events_position).where(row)).one()
    return position


def move_events_position(connection: Connection, provider: str, position: datetime) -> None:
    """Store until when all events are stored. It never goes back."""
    is_behind = (comparisons.c.provider == provider) & (comparisons.c.events_position < position)
    connection.execute(update(comparisons).where(is_behind).values(events_position=position))


def stored_events(connection: Connection, provider: str, event_ids: Iterable[str]) -> set[str]:
    """Return which of these events are stored."""
    is_it = (webhook_events.c.provider == provider) & webhook_events.c.event_id.in_(list(event_ids))
    return set(connection.scalars(select(webhook_events.c.event_id).where(is_it)))


def store_listed(
    connection: Connection, provider: str, events: Iterable[tuple[str, str, str]], now: datetime
) -> list[TaskMessage]:
    """Store events, each with its id, type and payload, as their webhooks would have been; return their messages.

    One that is stored meanwhile has none."""
    stored = [store_webhook_event(connection, provider, *event, now) for event in events]
    return [message for message in stored if message is not None]
