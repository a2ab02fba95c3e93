"""Rule sets of fraud scoring: immutable versions, which of them is used for what and since when, and shadow scores."""

from __future__ import annotations

from sqlalchemy import Column, ForeignKey, Index, Integer, String, Table

from models.tables.base import Instant, Json, Sequence, metadata

fraud_rule_sets = Table(
    "fraud_rule_sets",
    metadata,
    Column("version", String(60), primary_key=True),
    Column("body", Json, nullable=False),
    Column("author", String(120), nullable=False),
    Column("created_at", Instant, nullable=False),
)

# Appended only: the newest row of a role counts. `version` null: nothing has the role any more.
fraud_rule_roles = Table(
    "fraud_rule_roles",
    metadata,
    Column("id", Sequence, primary_key=True, autoincrement=True),
    # live, candidate, shadow
    Column("role", String(20), nullable=False),
    Column("version", String(60), ForeignKey("fraud_rule_sets.version")),
    # Of the users whom a candidate scores, in percent.
    Column("share", Integer, nullable=False),
    Column("author", String(120), nullable=False),
    Column("at", Instant, nullable=False),
)
Index("ix_fraud_rule_roles_role", fraud_rule_roles.c.role, fraud_rule_roles.c.id)

# What a shadow rule set would have decided.
fraud_shadow_scores = Table(
    "fraud_shadow_scores",
    metadata,
    Column("payment_id", String(40), ForeignKey("payments.id"), primary_key=True),
    Column("rule_set", String(60), primary_key=True),
    Column("score", Integer, nullable=False),
    Column("decision", String(20), nullable=False),
    Column("reasons", Json, nullable=False),
    Column("at", Instant, nullable=False),
)

# A rule set judged on the stored decisions: a job that a worker carries out.
fraud_backtests = Table(
    "fraud_backtests",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("version", String(60), nullable=False),
    Column("rules", Json, nullable=False),
    Column("since", Instant, nullable=False),
    Column("author", String(120), nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("due_at", Instant),
    Column("published_at", Instant),
    # How often a worker has begun it.
    Column("claims", Integer, nullable=False),
    Column("finished_at", Instant),
    # Null if it has failed.
    Column("quality", Json),
)
_is_due = fraud_backtests.c.due_at.is_not(None)
Index("ix_fraud_backtests_due", fraud_backtests.c.due_at, postgresql_where=_is_due, sqlite_where=_is_due)
