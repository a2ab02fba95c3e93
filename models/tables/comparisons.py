"""How far the comparison with each provider has come: one row a provider."""

from __future__ import annotations

from sqlalchemy import Column, String, Table

from models.tables.base import Instant, metadata

comparisons = Table(
    "comparisons",
    metadata,
    Column("provider", String(40), primary_key=True),
    # Every step of the schedule is done for all money that was due for it by then.
    Column("position", Instant, nullable=False),
    # Null, or of the money that was due at that very moment the last attempt for which it is done, in the order of ids.
    Column("position_attempt", String(40)),
    # All events that the provider created until then are stored. Null before its list is read for the first time.
    Column("events_position", Instant),
)
