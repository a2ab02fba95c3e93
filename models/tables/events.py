"""Events: the audit trail. Rows are appended and never changed."""

from __future__ import annotations

from sqlalchemy import Column, ForeignKey, Index, String, Table

from models.tables.base import Instant, Json, Sequence, metadata

# `payment_id` is empty for events of no payment, such as created keys and refused webhooks.
events = Table(
    "events",
    metadata,
    Column("id", Sequence, primary_key=True, autoincrement=True),
    Column("payment_id", String(40), ForeignKey("payments.id")),
    Column("attempt_id", String(40)),
    Column("name", String(50), nullable=False),
    Column("from_state", String(30)),
    Column("to_state", String(30)),
    Column("actor", String(120), nullable=False),
    Column("data", Json),
    Column("at", Instant, nullable=False),
)
Index("ix_events_payment", events.c.payment_id, events.c.id)
