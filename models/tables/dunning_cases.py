"""Dunning cases: the retries of a failed subscription payment, and its grace period."""

from __future__ import annotations

from sqlalchemy import Column, ForeignKey, Index, Integer, String, Table

from models.tables.base import Instant, metadata

dunning_cases = Table(
    "dunning_cases",
    metadata,
    Column("payment_id", String(40), ForeignKey("payments.id"), primary_key=True),
    # Names of the payment's application, which the payment alone knows.
    Column("subscription_id", String(200), nullable=False),
    Column("invoice_id", String(200), nullable=False),
    Column("state", String(20), nullable=False),
    Column("first_failed_at", Instant, nullable=False),
    Column("retry", Integer, nullable=False),
    # How often in a row no issuer could be asked.
    Column("unsent", Integer, nullable=False),
    # How often its task failed by a bug of ours.
    Column("failures", Integer, nullable=False),
    Column("due_at", Instant),
    Column("published_at", Instant),
    Column("grace_ends_at", Instant),
    # Since when it is due and waits for another payment of the invoice.
    Column("paused_since", Instant),
    Column("updated_at", Instant, nullable=False),
)

_is_due = dunning_cases.c.due_at.is_not(None)
Index("ix_dunning_cases_due", dunning_cases.c.due_at, postgresql_where=_is_due, sqlite_where=_is_due)
Index("ix_dunning_cases_invoice", dunning_cases.c.invoice_id)
Index("ix_dunning_cases_subscription", dunning_cases.c.subscription_id)
