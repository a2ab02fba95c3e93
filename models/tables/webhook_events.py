"""Webhook events: what providers sent, verified and stored once, until it is applied."""

from __future__ import annotations

from sqlalchemy import Column, Index, Integer, String, Table, Text, UniqueConstraint

from models.tables.base import Instant, metadata

webhook_events = Table(
    "webhook_events",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("provider", String(40), nullable=False),
    Column("event_id", String(255), nullable=False),
    Column("type", String(100), nullable=False),
    # The verified event without credentials. It may name the payer.
    Column("payload", Text, nullable=False),
    Column("status", String(20), nullable=False),
    Column("tries", Integer, nullable=False),
    # How often its task failed by a bug of ours.
    Column("failures", Integer, nullable=False),
    Column("due_at", Instant),
    Column("published_at", Instant),
    Column("payment_id", String(40)),
    Column("received_at", Instant, nullable=False),
    Column("finished_at", Instant),
    UniqueConstraint("provider", "event_id"),
)
_is_due = webhook_events.c.due_at.is_not(None)
Index("ix_webhook_events_due", webhook_events.c.due_at, postgresql_where=_is_due, sqlite_where=_is_due)
