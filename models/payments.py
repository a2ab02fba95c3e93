"""The tables of payments and their attempts: what is owed, and every try to move its money."""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, ForeignKey, Index, Integer, String, Table, UniqueConstraint

from domain.payment import IN_FLIGHT, LIVE
from models.base import Instant, Json, metadata

payments = Table(
    "payments",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("application", String(100), nullable=False),
    Column("invoice_id", String(200), ForeignKey("invoices.id"), nullable=False),
    Column("subscription_id", String(200), ForeignKey("subscriptions.id")),
    Column("user_id", String(200), nullable=False),
    Column("amount", BigInteger, nullable=False),
    Column("currency", String(3), nullable=False),
    Column("method", String(40), nullable=False),
    Column("provider", String(40), nullable=False),
    # Who may charge it, in order, each with the reason: [["klarna", "preferred"], ["stripe", "fallback"]].
    Column("route", Json),
    # The provider's tokens of instrument and customer: worthless elsewhere, still never logged.
    Column("method_token", String(255)),
    Column("customer_token", String(255)),
    Column("is_captured_later", Boolean, nullable=False),
    Column("is_off_session", Boolean, nullable=False),
    Column("is_client_confirmed", Boolean, nullable=False),
    Column("return_url", String(2000)),
    # Personal data for fraud scoring and mail, kept apart so that it can be erased in one update.
    Column("payer", Json),
    Column("metadata", Json),
    Column("state", String(30), nullable=False),
    Column("authorized", BigInteger, nullable=False),
    Column("captured", BigInteger, nullable=False),
    Column("refunded", BigInteger, nullable=False),
    Column("authorization_expires_at", Instant),
    Column("next_action", Json),
    Column("failure_code", String(100)),
    Column("created_at", Instant, nullable=False),
    Column("updated_at", Instant, nullable=False),
)

_is_live = payments.c.state.in_(sorted(LIVE))
Index(
    "uq_payments_one_live_collection",
    payments.c.invoice_id,
    unique=True,
    postgresql_where=_is_live,
    sqlite_where=_is_live,
)
Index("ix_payments_invoice", payments.c.invoice_id)
Index("ix_payments_user", payments.c.user_id, payments.c.created_at)

attempts = Table(
    "attempts",
    metadata,
    # The id is the idempotency key at the provider: one business attempt, one key, for ever.
    Column("id", String(40), primary_key=True),
    Column("payment_id", String(40), ForeignKey("payments.id"), nullable=False),
    Column("number", Integer, nullable=False),
    Column("verb", String(20), nullable=False),
    Column("provider", String(40), nullable=False),
    Column("amount", BigInteger, nullable=False),
    Column("status", String(20), nullable=False),
    Column("provider_reference", String(255)),
    # Fencing: a holder whose epoch is not the row's any more must not write.
    Column("fencing_token", Integer, nullable=False),
    Column("claims", Integer, nullable=False),
    Column("retries", Integer, nullable=False),
    Column("lookups", Integer, nullable=False),
    # When somebody must look at this row again: to charge it, when its lease ends, to ask the provider.
    Column("due_at", Instant),
    # When a sweep rang for it last: a row that waits in a long queue is not announced every two seconds.
    Column("published_at", Instant),
    Column("reason", String(200)),
    Column("actor", String(120), nullable=False),
    Column("code", String(100)),
    Column("decline_class", String(20)),
    Column("decline_code", String(100)),
    Column("advice_code", String(100)),
    Column("network_advice_code", String(20)),
    Column("network_decline_code", String(20)),
    Column("created_at", Instant, nullable=False),
    Column("finished_at", Instant),
    UniqueConstraint("payment_id", "number"),
)

_is_due = attempts.c.due_at.is_not(None)
Index("ix_attempts_due", attempts.c.due_at, postgresql_where=_is_due, sqlite_where=_is_due)
Index("ix_attempts_reference", attempts.c.provider_reference)
_is_in_flight = attempts.c.status.in_(sorted(IN_FLIGHT)) & (attempts.c.verb != "refund")
Index(
    "uq_attempts_one_in_flight",
    attempts.c.payment_id,
    unique=True,
    postgresql_where=_is_in_flight,
    sqlite_where=_is_in_flight,
)
