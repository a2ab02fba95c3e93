"""Provider customers: the provider's id of each application's user. No personal data."""

from __future__ import annotations

from sqlalchemy import Column, Index, String, Table

from models.tables.base import Instant, metadata

provider_customers = Table(
    "provider_customers",
    metadata,
    Column("application", String(100), primary_key=True),
    Column("user_id", String(200), primary_key=True),
    Column("provider", String(40), primary_key=True),
    # The provider's id of the customer: worthless elsewhere, and still never logged. Null until it is made, and again
    # once the provider has lost it.
    Column("token", String(255)),
    # The idempotency key under which it is made, the same for all who make it at once.
    Column("creation_key", String(60)),
    Column("created_at", Instant, nullable=False),
)


Index("ix_provider_customers_token", provider_customers.c.token)
