"""Disputes and returned debits, as the provider last showed them."""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, ForeignKey, Index, String, Table

from models.tables.base import Instant, metadata

disputes = Table(
    "disputes",
    metadata,
    Column("provider", String(40), primary_key=True),
    Column("reference", String(255), primary_key=True),
    Column("payment_id", String(40), ForeignKey("payments.id"), nullable=False),
    Column("status", String(20), nullable=False),
    Column("reason", String(100), nullable=False),
    Column("is_return", Boolean, nullable=False),
    # In minor units of the payment's currency: disputed, taken from us now, and gone for good.
    Column("amount", BigInteger, nullable=False),
    Column("withdrawn", BigInteger, nullable=False),
    Column("lost", BigInteger, nullable=False),
    Column("respond_by", String(40)),
    Column("updated_at", Instant, nullable=False),
)
Index("ix_disputes_payment", disputes.c.payment_id)
