"""Attempts: every try to move a payment's money, stored before the provider is called."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, ForeignKey, Index, Integer, String, Table, UniqueConstraint

from domain.payment import IN_FLIGHT
from models.tables.base import Instant, metadata

attempts = Table(
    "attempts",
    metadata,
    # The idempotency key at the provider is derived from the id and `key_number`.
    Column("id", String(40), primary_key=True),
    Column("payment_id", String(40), ForeignKey("payments.id"), nullable=False),
    Column("number", Integer, nullable=False),
    Column("verb", String(20), nullable=False),
    Column("provider", String(40), nullable=False),
    Column("amount", BigInteger, nullable=False),
    Column("status", String(20), nullable=False),
    Column("provider_reference", String(255)),
    # Of a refund: the provider's object that it gives money back of, where that is not the payment's charge.
    Column("charge_reference", String(255)),
    # A worker whose token is older than the row's must not write.
    Column("fencing_token", Integer, nullable=False),
    Column("claims", Integer, nullable=False),
    Column("retries", Integer, nullable=False),
    # How many keys are used up, and what is known of the calls under the present one.
    Column("key_number", Integer, nullable=False),
    Column("key_state", String(20), nullable=False),
    Column("lookups", Integer, nullable=False),
    # When the provider last showed that the attempt still waits. A look-up that fails leaves it as it is.
    Column("looked_up_at", Instant),
    # When it last began to wait for its bank, its customer, or a provider that is down: look-ups and further tries are
    # planned by the age of the wait.
    Column("waiting_since", Instant),
    # Until when the customer can do what they are asked.
    Column("action_expires_at", Instant),
    # The look-up that a customer's return, or anybody's visit, last brought forward was due then.
    Column("visited_at", Instant),
    # Since when the outcome is unknown.
    Column("in_doubt_since", Instant),
    # How often its task failed by a bug of ours.
    Column("failures", Integer, nullable=False),
    # When the row needs work again: to be sent, to be looked up, or because its lease ends.
    Column("due_at", Instant),
    # When the sweep last published the row: a row in a long queue is not published every two seconds.
    Column("published_at", Instant),
    Column("reason", String(200)),
    # Who has caused a further try to collect a debt; NULL for a first try, and for what collects nothing.
    Column("cause", String(20)),
    Column("actor", String(120), nullable=False),
    Column("code", String(100)),
    # The field of the application's request that the provider refuses, and its sentence, if that repeats no value.
    Column("param", String(100)),
    Column("message", String(300)),
    Column("decline_class", String(20)),
    Column("decline_code", String(100)),
    Column("advice_code", String(100)),
    Column("network_advice_code", String(20)),
    Column("network_decline_code", String(20)),
    # The instrument that was tried, and its network: of every try that counts for a network's limit.
    Column("fingerprint", String(80)),
    Column("network", String(80)),
    Column("created_at", Instant, nullable=False),
    Column("finished_at", Instant),
    UniqueConstraint("payment_id", "number"),
)

_is_due = attempts.c.due_at.is_not(None)
Index("ix_attempts_due", attempts.c.due_at, postgresql_where=_is_due, sqlite_where=_is_due)
Index("ix_attempts_reference", attempts.c.provider_reference)
_is_counted = attempts.c.fingerprint.is_not(None)
Index(
    "ix_attempts_fingerprint",
    attempts.c.fingerprint,
    attempts.c.finished_at,
    postgresql_where=_is_counted,
    sqlite_where=_is_counted,
)
_is_in_flight = attempts.c.status.in_(sorted(IN_FLIGHT)) & (attempts.c.verb != "refund")
Index(
    "uq_attempts_one_in_flight",
    attempts.c.payment_id,
    unique=True,
    postgresql_where=_is_in_flight,
    sqlite_where=_is_in_flight,
)
