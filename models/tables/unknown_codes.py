"""Unknown codes: codes of declines that no table of ours has, counted until somebody adds them."""

from __future__ import annotations

from sqlalchemy import Column, Integer, String, Table

from models.tables.base import Instant, metadata

unknown_codes = Table(
    "unknown_codes",
    metadata,
    Column("provider", String(40), primary_key=True),
    # The field of the decline that has it, such as decline_code.
    Column("field", String(40), primary_key=True),
    Column("code", String(100), primary_key=True),
    Column("count", Integer, nullable=False),
    Column("first_seen_at", Instant, nullable=False),
    Column("last_seen_at", Instant, nullable=False),
)
