"""The outbox: what waits to be sent to somebody outside, and how it ended. The destination says to whom."""

from __future__ import annotations

from sqlalchemy import Column, ForeignKey, Index, Integer, String, Table

from models.tables.base import Instant, Json, metadata

outbox = Table(
    "outbox",
    metadata,
    Column("id", String(40), primary_key=True),
    # To whom it goes (`mail`, or a `provider`), and what it says (`first_failure`).
    Column("destination", String(40), nullable=False),
    Column("kind", String(40), nullable=False),
    # Nothing is written twice.
    Column("unique_key", String(400), nullable=False, unique=True),
    # To whom: the address is looked up when it is sent.
    Column("application", String(100), nullable=False),
    Column("user_id", String(200), nullable=False),
    # The payment whose dunning case it is about, if it is about one.
    Column("payment_id", String(40), ForeignKey("payments.id")),
    # References and codes, never personal data.
    Column("data", Json),
    Column("state", String(20), nullable=False),
    # One word: why it has not been sent, or not yet.
    Column("last_error", String(40)),
    # Raised with each claim: a worker that was overtaken finds another one.
    Column("fencing_token", Integer, nullable=False),
    # How often it was tried and not accepted; and how often its task failed by a bug of ours.
    Column("tries", Integer, nullable=False),
    Column("failures", Integer, nullable=False),
    # How often it was handed over without a recorded outcome.
    Column("begun", Integer, nullable=False),
    Column("message_id", String(300)),
    Column("due_at", Instant),
    Column("published_at", Instant),
    # When a worker last began to send it: what the storm brake counts.
    Column("claimed_at", Instant),
    Column("sent_at", Instant),
    # Its age counts from here; a person who has it sent again sets it anew.
    Column("waiting_since", Instant, nullable=False),
    Column("created_at", Instant, nullable=False),
)

_is_due = outbox.c.due_at.is_not(None)
Index("ix_outbox_due", outbox.c.due_at, postgresql_where=_is_due, sqlite_where=_is_due)
Index("ix_outbox_payment", outbox.c.payment_id)
Index("ix_outbox_claimed", outbox.c.application, outbox.c.kind, outbox.c.claimed_at)
