"""Circuit breakers: one row for each provider and verb that has failed since its last success."""

from __future__ import annotations

from sqlalchemy import Column, Integer, String, Table

from models.tables.base import Instant, metadata

breakers = Table(
    "breakers",
    metadata,
    Column("provider", String(40), primary_key=True),
    Column("verb", String(20), primary_key=True),
    # In a row, since the last success.
    Column("failures", Integer, nullable=False),
    Column("opened_at", Instant),
    # Until when the running probe may take; no other call probes before.
    Column("probe_until", Instant),
    Column("failed_at", Instant, nullable=False),
)
