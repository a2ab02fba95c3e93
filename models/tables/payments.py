"""Payments: what is collected for an invoice, and where each payment stands."""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, ForeignKeyConstraint, Index, String, Table

from domain.payment import LIVE
from models.tables.base import Instant, Json, metadata

payments = Table(
    "payments",
    metadata,
    Column("id", String(40), primary_key=True),
    # Whose names the next three are.
    Column("application", String(100), nullable=False),
    Column("invoice_id", String(200), nullable=False),
    Column("subscription_id", String(200)),
    Column("user_id", String(200), nullable=False),
    Column("amount", BigInteger, nullable=False),
    Column("currency", String(3), nullable=False),
    Column("method", String(40), nullable=False),
    Column("provider", String(40), nullable=False),
    # The providers that may charge it, in order, each with its reason: [["klarna", "preferred"], …].
    Column("route", Json),
    # The provider's tokens of instrument and customer: worthless elsewhere, and still never logged.
    Column("method_token", String(255)),
    Column("customer_token", String(255)),
    Column("is_captured_later", Boolean, nullable=False),
    Column("is_off_session", Boolean, nullable=False),
    Column("is_client_confirmed", Boolean, nullable=False),
    Column("return_url", String(2000)),
    # Personal data for fraud scoring and mail, in a column of its own so that one update erases it.
    Column("payer", Json),
    Column("metadata", Json),
    Column("state", String(30), nullable=False),
    Column("authorized", BigInteger, nullable=False),
    # What the provider holds where that does not match the amount: an operator decides on it.
    Column("received", BigInteger, nullable=False),
    Column("captured", BigInteger, nullable=False),
    Column("refunded", BigInteger, nullable=False),
    # Taken back by the customer's bank, and which part of it for good.
    Column("reversed", BigInteger, nullable=False),
    Column("lost", BigInteger, nullable=False),
    # Taken a second time, and not given back yet.
    Column("duplicated", BigInteger, nullable=False),
    Column("authorization_expires_at", Instant),
    Column("next_action", Json),
    Column("failure_code", String(100)),
    Column("created_at", Instant, nullable=False),
    Column("updated_at", Instant, nullable=False),
    ForeignKeyConstraint(["invoice_id", "application"], ["invoices.id", "invoices.application"]),
    ForeignKeyConstraint(["subscription_id", "application"], ["subscriptions.id", "subscriptions.application"]),
)

_is_live = payments.c.state.in_(sorted(LIVE))
Index(
    "uq_payments_one_live_collection",
    payments.c.invoice_id,
    payments.c.application,
    unique=True,
    postgresql_where=_is_live,
    sqlite_where=_is_live,
)
Index("ix_payments_invoice", payments.c.invoice_id, payments.c.application)
Index("ix_payments_user", payments.c.user_id, payments.c.application, payments.c.created_at)
_is_of_subscription = payments.c.subscription_id.is_not(None)
Index(
    "ix_payments_subscription",
    payments.c.subscription_id,
    payments.c.application,
    postgresql_where=_is_of_subscription,
    sqlite_where=_is_of_subscription,
)
