"""The attention list: what only a person can move on. Rows are opened once and closed once, and never deleted."""

from __future__ import annotations

from typing import Any

from sqlalchemy import BigInteger, Column, ColumnElement, ForeignKey, Index, String, Table

from models.tables.base import Instant, Json, metadata

attention = Table(
    "attention",
    metadata,
    Column("id", String(40), primary_key=True),
    # What the entry is about: a payment, a webhook event, a provider, or a customer's cash balance.
    Column("payment_id", String(40), ForeignKey("payments.id")),
    Column("webhook_event_id", String(40), ForeignKey("webhook_events.id")),
    Column("provider", String(40)),
    Column("cash_balance_id", String(40), ForeignKey("cash_balances.id")),
    Column("reason", String(30), nullable=False),
    # What is at stake, in minor units, as it was when the entry was opened.
    Column("amount", BigInteger),
    Column("currency", String(3)),
    # References and codes, never personal data.
    Column("data", Json),
    Column("opened_at", Instant, nullable=False),
    # What a person has decided last, and why. The entry may stay open until that has its effect.
    Column("resolution", String(30)),
    Column("note", String(500)),
    Column("closed_at", Instant),
    Column("closed_by", String(120)),
)


def _one_open(subject: str, column: Column[Any], condition: ColumnElement[bool]) -> None:
    name, columns = f"uq_attention_one_open_of_{subject}", (column, attention.c.reason)
    Index(name, *columns, unique=True, postgresql_where=condition, sqlite_where=condition)


# One open entry at most of a subject and a reason. The first index serves the list as well.
_is_open = attention.c.closed_at.is_(None)
_one_open("payment", attention.c.payment_id, _is_open)
for _subject, _column in (
    ("webhook_event", attention.c.webhook_event_id),
    ("provider", attention.c.provider),
    ("cash_balance", attention.c.cash_balance_id),
):
    _one_open(_subject, _column, _is_open & _column.is_not(None))
