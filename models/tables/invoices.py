"""Invoices: what a user owes an application. An application names its own; another one may use the same name."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, String, Table

from models.tables.base import Instant, metadata

invoices = Table(
    "invoices",
    metadata,
    Column("id", String(200), primary_key=True),
    Column("application", String(100), primary_key=True),
    Column("user_id", String(200), nullable=False),
    Column("amount", BigInteger, nullable=False),
    Column("currency", String(3), nullable=False),
    Column("due_at", Instant),
    Column("description", String(500)),
    Column("created_at", Instant, nullable=False),
    Column("updated_at", Instant, nullable=False),
)
