"""Instruments: a user's card or account that was declined, by the provider's token of it; and whether it is blocked."""

from __future__ import annotations

from sqlalchemy import Column, Index, String, Table

from models.tables.base import Instant, metadata

instruments = Table(
    "instruments",
    metadata,
    Column("application", String(100), primary_key=True),
    Column("user_id", String(200), primary_key=True),
    Column("provider", String(40), primary_key=True),
    # As in payments: worthless elsewhere, and still never logged.
    Column("token", String(255), primary_key=True),
    # The same for all tokens of one card or account, where the provider shows it.
    Column("fingerprint", String(80), nullable=False),
    Column("network", String(80)),
    # The class of the decline after which it is not charged any more while its user is away, and that decline's code.
    Column("blocked_as", String(20)),
    Column("blocked_code", String(100)),
    Column("blocked_at", Instant),
    Column("created_at", Instant, nullable=False),
    Column("updated_at", Instant, nullable=False),
)

Index("ix_instruments_fingerprint", instruments.c.fingerprint)
