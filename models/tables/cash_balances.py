"""Cash balances: the money of a customer that lies at a provider and belongs to no payment, one row a currency."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, Integer, String, Table, UniqueConstraint

from models.tables.base import Instant, metadata

cash_balances = Table(
    "cash_balances",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("provider", String(40), nullable=False),
    # The provider's id of the customer, who has an account number of their own.
    Column("customer_token", String(255), nullable=False),
    Column("currency", String(3), nullable=False),
    # The user who was asked to pay to that account number.
    Column("application", String(100), nullable=False),
    Column("user_id", String(200), nullable=False),
    # What the provider showed last, in minor units: the sum of the balance's movements.
    Column("available", BigInteger, nullable=False),
    # What a person has asked to give back, and the idempotency key of that call. Null: nothing.
    Column("return_amount", BigInteger),
    Column("return_key", String(60)),
    # Raised with each reading that begins and each event that asks for another: an older reading is dropped.
    Column("fencing_token", Integer, nullable=False),
    Column("tries", Integer, nullable=False),
    Column("failures", Integer, nullable=False, server_default="0"),
    Column("due_at", Instant),
    Column("published_at", Instant),
    # When the account number was last shown, or the balance changed.
    Column("used_at", Instant, nullable=False),
    UniqueConstraint("provider", "customer_token", "currency"),
)
_is_waiting = cash_balances.c.due_at.is_not(None)
Index("ix_cash_balances_due", cash_balances.c.due_at, postgresql_where=_is_waiting, sqlite_where=_is_waiting)
# What a comparison begins with.
Index("ix_cash_balances_used_at", cash_balances.c.used_at)
