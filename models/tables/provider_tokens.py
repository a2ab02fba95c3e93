"""Provider tokens: access tokens that all processes share, encrypted by their gateway."""

from __future__ import annotations

from sqlalchemy import Column, String, Table, Text

from models.tables.base import Instant, metadata

provider_tokens = Table(
    "provider_tokens",
    metadata,
    Column("name", String(100), primary_key=True),
    Column("sealed", Text),
    Column("expires_at", Instant),
    # Until when one process may renew the token. A claim ends by itself, so a dead process holds up nothing.
    Column("claimed_until", Instant),
)
