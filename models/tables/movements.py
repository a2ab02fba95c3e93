"""Movements of money: the books. Rows are appended and never changed."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, ForeignKey, Index, String, Table, UniqueConstraint

from models.tables.base import Instant, Sequence, metadata

movements = Table(
    "movements",
    metadata,
    Column("id", Sequence, primary_key=True, autoincrement=True),
    # What the money is about: a payment, or the cash balance of a customer whose money fits no payment.
    Column("payment_id", String(40), ForeignKey("payments.id")),
    Column("cash_balance_id", String(40), ForeignKey("cash_balances.id")),
    # The attempt whose outcome showed the movement.
    Column("attempt_id", String(40)),
    Column("provider", String(40), nullable=False),
    Column("provider_id", String(300), nullable=False),
    Column("kind", String(30), nullable=False),
    # Signed, in minor units of the currency.
    Column("amount", BigInteger, nullable=False),
    Column("currency", String(3), nullable=False),
    # What told us, as in the audit trail: `worker`, `webhook:stripe`, …
    Column("source", String(120), nullable=False),
    Column("booked_at", Instant, nullable=False),
    # When the money moved by the provider's own account; null where it shows no time, and where a person recorded it.
    Column("moved_at", Instant),
    # Nothing is booked twice, whoever tells of it and however often.
    UniqueConstraint("provider", "provider_id", "kind"),
)
# What a comparison begins with: the money that was booked so long ago.
Index("ix_movements_booked_at", movements.c.booked_at)
Index("ix_movements_payment", movements.c.payment_id, movements.c.id)
_is_cash = movements.c.cash_balance_id.is_not(None)
Index(
    "ix_movements_cash_balance",
    movements.c.cash_balance_id,
    movements.c.id,
    postgresql_where=_is_cash,
    sqlite_where=_is_cash,
)
