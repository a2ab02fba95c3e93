"""Idempotency keys: the response to each request that carried one."""

from __future__ import annotations

from sqlalchemy import Column, Integer, String, Table

from models.tables.base import Instant, Json, metadata

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
