"""Subscriptions: whether a user's recurring payments are up to date. Each application names its own."""

from __future__ import annotations

from sqlalchemy import Column, String, Table

from models.tables.base import Instant, metadata

subscriptions = Table(
    "subscriptions",
    metadata,
    Column("id", String(200), primary_key=True),
    Column("application", String(100), primary_key=True),
    Column("user_id", String(200), nullable=False),
    Column("status", String(20), nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("updated_at", Instant, nullable=False),
)
