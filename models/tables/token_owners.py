"""Token owners: which user a provider's token belongs to, by its hash. Only tokens whose owner the provider does not
check itself."""

from __future__ import annotations

from sqlalchemy import Column, String, Table

from models.tables.base import Instant, metadata

token_owners = Table(
    "token_owners",
    metadata,
    Column("provider", String(40), primary_key=True),
    # SHA-256, in hex: the token itself charges somebody.
    Column("token_hash", String(64), primary_key=True),
    Column("application", String(100), nullable=False),
    Column("user_id", String(200), nullable=False),
    Column("created_at", Instant, nullable=False),
)
