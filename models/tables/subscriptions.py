"""Subscriptions: whether a user's recurring payments are up to date. Each application names its own."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, String, Table

from models.tables.base import Instant, metadata

subscriptions = Table(
    "subscriptions",
    metadata,
    Column("id", String(200), primary_key=True),
    Column("application", String(100), primary_key=True),
    Column("user_id", String(200), nullable=False),
    Column("status", String(20), nullable=False),
    Column("plan", String(200)),
    # What it costs each period, in minor units. Payments say themselves what they collect.
    Column("amount", BigInteger),
    Column("currency", String(3)),
    # The name of its dunning policy; NULL: the default one.
    Column("policy", String(100)),
    Column("retried_by", String(20), nullable=False),
    # From when its periods are counted, and when it was last paused.
    Column("anchor_at", Instant),
    Column("paused_at", Instant),
    # The provider whose own engine bills it, and that provider's subscription.
    Column("provider", String(40)),
    Column("provider_reference", String(255)),
    # By the provider's clock: the newest event about it that was applied.
    Column("provider_told_at", Instant),
    Column("created_at", Instant, nullable=False),
    Column("updated_at", Instant, nullable=False),
)

_is_bound = subscriptions.c.provider_reference.is_not(None)
Index(
    "ix_subscriptions_provider_reference",
    subscriptions.c.provider_reference,
    subscriptions.c.provider,
    unique=True,
    postgresql_where=_is_bound,
    sqlite_where=_is_bound,
)
