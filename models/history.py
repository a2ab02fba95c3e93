"""The append-only tables: events, fraud assessments, received webhooks; and what guards the front doors."""

from __future__ import annotations

from sqlalchemy import Column, ForeignKey, Index, Integer, String, Table, Text, UniqueConstraint

from models.base import Instant, Json, Sequence, metadata

# The audit trail. `payment_id` is empty for what concerns no payment (keys, refused webhooks).
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

assessments = Table(
    "assessments",
    metadata,
    Column("payment_id", String(40), ForeignKey("payments.id"), primary_key=True),
    Column("score", Integer, nullable=False),
    Column("decision", String(20), nullable=False),
    Column("reasons", Json, nullable=False),
    Column("rule_set", String(60), nullable=False),
    Column("at", Instant, nullable=False),
)

webhook_events = Table(
    "webhook_events",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("provider", String(40), nullable=False),
    Column("event_id", String(255), nullable=False),
    Column("type", String(100), nullable=False),
    # What came, without credentials. It may name the payer.
    Column("payload", Text, nullable=False),
    Column("status", String(20), nullable=False),
    Column("tries", Integer, nullable=False),
    Column("due_at", Instant),
    Column("published_at", Instant),
    Column("payment_id", String(40)),
    Column("received_at", Instant, nullable=False),
    Column("finished_at", Instant),
    UniqueConstraint("provider", "event_id"),
)
_is_due = webhook_events.c.due_at.is_not(None)
Index("ix_webhook_events_due", webhook_events.c.due_at, postgresql_where=_is_due, sqlite_where=_is_due)

idempotency_keys = Table(
    "idempotency_keys",
    metadata,
    Column("application", String(100), primary_key=True),
    Column("key", String(255), primary_key=True),
    Column("fingerprint", String(64), nullable=False),
    # Empty while the first request with this key is still running.
    Column("status", Integer),
    Column("body", Json),
    Column("payment_id", String(40)),
    Column("created_at", Instant, nullable=False),
)

api_keys = Table(
    "api_keys",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("name", String(100), nullable=False),
    Column("role", String(20), nullable=False),
    Column("hash", String(64), nullable=False, unique=True),
    Column("created_at", Instant, nullable=False),
    Column("revoked_at", Instant),
)
