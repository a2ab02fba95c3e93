"""Dunning cases: the retries of a failed payment, and its grace period. A payment has one case at most."""

from __future__ import annotations

from sqlalchemy import Boolean, Column, ForeignKey, Index, Integer, String, Table, UniqueConstraint

from models.tables.base import Instant, Json, metadata

dunning_cases = Table(
    "dunning_cases",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("payment_id", String(40), ForeignKey("payments.id"), nullable=False),
    # Whose names the next two are.
    Column("application", String(100), nullable=False),
    Column("subscription_id", String(200)),
    Column("invoice_id", String(200), nullable=False),
    Column("state", String(20), nullable=False),
    # The policy as it was when the case began. A case of an earlier release has none.
    Column("policy_name", String(100), nullable=False),
    Column("policy", Json),
    # Which segment has chosen it, and whether the case is only watched to compare with the others.
    Column("segment", String(100)),
    Column("is_held_out", Boolean, nullable=False),
    Column("first_failed_at", Instant, nullable=False),
    Column("retry", Integer, nullable=False),
    # How often in a row no issuer could be asked.
    Column("unsent", Integer, nullable=False),
    # How often its task failed by a bug of ours.
    Column("failures", Integer, nullable=False),
    Column("due_at", Instant),
    Column("published_at", Instant),
    Column("grace_ends_at", Instant),
    # Since when it is due and waits for another payment of the invoice.
    Column("paused_since", Instant),
    # An operator lets it wait until then, and what was due then is due when it goes on.
    Column("paused_until", Instant),
    Column("planned_at", Instant),
    # The failure that opened it, however often the debt was dunned again: where, and what it said of the instrument.
    Column("provider", String(40)),
    Column("decline_class", String(20)),
    Column("decline_reason", String(20)),
    # Of the newest failure that counts for the plan.
    Column("last_class", String(20)),
    # While it is closed: since when; and the attempt, of this payment or another, whose money has paid the debt.
    Column("closed_at", Instant),
    Column("recovered_by", String(40)),
    # When the debt failed first: what statistics choose by.
    Column("created_at", Instant, nullable=False),
    Column("updated_at", Instant, nullable=False),
    UniqueConstraint("payment_id"),
)

_is_due = dunning_cases.c.due_at.is_not(None)
Index("ix_dunning_cases_due", dunning_cases.c.due_at, postgresql_where=_is_due, sqlite_where=_is_due)
Index("ix_dunning_cases_invoice", dunning_cases.c.invoice_id)
Index("ix_dunning_cases_subscription", dunning_cases.c.subscription_id)
Index("ix_dunning_cases_state", dunning_cases.c.state, dunning_cases.c.id)
Index("ix_dunning_cases_created_at", dunning_cases.c.created_at)
