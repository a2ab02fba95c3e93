"""Backup methods: what else a customer has agreed to be charged by, if the method of a debt is declined."""

from __future__ import annotations

from sqlalchemy import Column, Integer, String, Table, Text

from models.tables.base import Instant, metadata

backup_methods = Table(
    "backup_methods",
    metadata,
    Column("application", String(100), primary_key=True),
    Column("user_id", String(200), primary_key=True),
    Column("provider", String(40), primary_key=True),
    # SHA-256 of the token, in hex.
    Column("token_hash", String(64), primary_key=True),
    # What is charged, as a payment stores it: worthless elsewhere, and still never logged.
    Column("token", String(255), nullable=False),
    Column("method", String(40), nullable=False),
    Column("brand", String(100)),
    Column("last4", String(4)),
    # The smallest is tried first.
    Column("position", Integer, nullable=False),
    # The consent: when, to which words, where they stood, and who has told us of it.
    Column("agreed_at", Instant, nullable=False),
    Column("wording", Text, nullable=False),
    Column("channel", String(100), nullable=False),
    Column("actor", String(120), nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("updated_at", Instant, nullable=False),
    # From then on it is none any more. The consent that was given stays on record.
    Column("removed_at", Instant),
)
