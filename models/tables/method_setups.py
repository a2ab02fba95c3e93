"""Method setups: payment methods that customers approve at a provider, until they are saved."""

from __future__ import annotations

from sqlalchemy import Column, String, Table

from models.tables.base import Instant, metadata

method_setups = Table(
    "method_setups",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("provider", String(40), nullable=False),
    Column("application", String(100), nullable=False),
    Column("user_id", String(200), nullable=False),
    # The provider's object that the customer approves. It ends by itself within hours.
    Column("reference", String(64)),
    Column("return_url", String(2000)),
    # Of the token that came of it.
    Column("token_hash", String(64)),
    Column("created_at", Instant, nullable=False),
    Column("saved_at", Instant),
)
