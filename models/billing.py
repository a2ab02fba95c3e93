"""The tables of who owes what: invoices, subscriptions, and dunning cases."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, ForeignKey, Index, Integer, String, Table

from models.base import Instant, metadata

invoices = Table(
    "invoices",
    metadata,
    Column("id", String(200), primary_key=True),
    Column("application", String(100), nullable=False),
    Column("user_id", String(200), nullable=False),
    Column("amount", BigInteger, nullable=False),
    Column("currency", String(3), nullable=False),
    Column("due_at", Instant),
    Column("description", String(500)),
    Column("created_at", Instant, nullable=False),
    Column("updated_at", Instant, nullable=False),
)

subscriptions = Table(
    "subscriptions",
    metadata,
    Column("id", String(200), primary_key=True),
    Column("application", String(100), nullable=False),
    Column("user_id", String(200), nullable=False),
    Column("status", String(20), nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("updated_at", Instant, nullable=False),
)

dunning_cases = Table(
    "dunning_cases",
    metadata,
    Column("payment_id", String(40), ForeignKey("payments.id"), primary_key=True),
    Column("subscription_id", String(200), ForeignKey("subscriptions.id"), nullable=False),
    Column("invoice_id", String(200), ForeignKey("invoices.id"), nullable=False),
    Column("state", String(20), nullable=False),
    Column("first_failed_at", Instant, nullable=False),
    Column("retry", Integer, nullable=False),
    Column("due_at", Instant),
    Column("published_at", Instant),
    Column("grace_ends_at", Instant),
    Column("updated_at", Instant, nullable=False),
)

_is_due = dunning_cases.c.due_at.is_not(None)
Index("ix_dunning_cases_due", dunning_cases.c.due_at, postgresql_where=_is_due, sqlite_where=_is_due)
Index("ix_dunning_cases_invoice", dunning_cases.c.invoice_id)
Index("ix_dunning_cases_subscription", dunning_cases.c.subscription_id)
