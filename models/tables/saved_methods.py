"""Saved methods: what is known of the payment methods that providers keep, by the hash of their token."""

from __future__ import annotations

from sqlalchemy import Boolean, Column, Index, String, Table

from models.tables.base import Instant, metadata

saved_methods = Table(
    "saved_methods",
    metadata,
    Column("provider", String(40), primary_key=True),
    # SHA-256, in hex.
    Column("token_hash", String(64), primary_key=True),
    # Of a provider that lists no methods by itself: what is charged, as a payment stores it.
    Column("token", String(255)),
    # Null while no event has told whose it is.
    Column("application", String(100)),
    Column("user_id", String(200)),
    Column("kind", String(40)),
    Column("brand", String(100)),
    Column("last4", String(4)),
    # As 2030-12.
    Column("expires", String(7)),
    # As far as it was made the default here: the other ways to a default at Stripe are not heard of.
    Column("is_default", Boolean, nullable=False),
    Column("status", String(20), nullable=False),
    # When its user is reminded next that it expires.
    Column("remind_at", Instant),
    # By the provider's clock: the newest event about the method, and the newest about its mandate.
    Column("shown_at", Instant),
    Column("mandate_at", Instant),
    Column("created_at", Instant, nullable=False),
    Column("updated_at", Instant, nullable=False),
)

Index("ix_saved_methods_user", saved_methods.c.user_id, saved_methods.c.application)
_is_reminded = saved_methods.c.remind_at.is_not(None)
Index("ix_saved_methods_remind", saved_methods.c.remind_at, postgresql_where=_is_reminded, sqlite_where=_is_reminded)
