"""signals of tries, counts by entity and time, and several scores of a payment

Earlier scores keep their points; the numbers behind them were not stored, so that they cannot be repeated."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from models.tables.base import Instant, Json, Sequence

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    _create_signals()
    _create_counts()
    op.create_table(
        "fraud_assessments",
        sa.Column("payment_id", sa.String(40), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("stage", sa.String(20), nullable=False),
        sa.Column("score", sa.Integer(), nullable=False),
        sa.Column("decision", sa.String(20), nullable=False),
        sa.Column("reasons", Json, nullable=False),
        sa.Column("unavailable", Json, nullable=False),
        sa.Column("numbers", Json, nullable=False),
        sa.Column("lists", Json, nullable=False),
        sa.Column("has_history", sa.Boolean(), nullable=False),
        sa.Column("rule_set", sa.String(60), nullable=False),
        sa.Column("is_authentication_wanted", sa.Boolean()),
        sa.Column("authentication_reason", sa.String(40)),
        sa.Column("at", Instant(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["payment_id"], ["payments.id"], name=op.f("fk_fraud_assessments_payment_id")),
        sa.PrimaryKeyConstraint("payment_id", "number", name=op.f("pk_fraud_assessments")),
    )
    op.create_index("ix_fraud_assessments_at", "fraud_assessments", ["at"])
    op.execute(
        "INSERT INTO fraud_assessments (payment_id, number, stage, score, decision, reasons, unavailable, "
        "numbers, lists, has_history, rule_set, at) "
        "SELECT payment_id, 1, 'charge', score, decision, reasons, '[]', '{}', '[]', true, rule_set, at "
        "FROM assessments"
    )
    op.drop_table("assessments")


def _create_signals() -> None:
    op.create_table(
        "fraud_signals",
        sa.Column("id", Sequence, autoincrement=True, nullable=False),
        sa.Column("at", Instant(timezone=True), nullable=False),
        sa.Column("application", sa.String(100), nullable=False),
        sa.Column("kind", sa.String(20), nullable=False),
        sa.Column("door", sa.String(20), nullable=False),
        sa.Column("payment_id", sa.String(40)),
        sa.Column("attempt_id", sa.String(40)),
        sa.Column("reference", sa.String(255), nullable=False),
        sa.Column("amount", sa.BigInteger()),
        sa.Column("entities", Json, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_fraud_signals")),
    )
    is_of_attempt = sa.text("attempt_id IS NOT NULL")
    op.create_index(
        "uq_fraud_signals_attempt",
        "fraud_signals",
        ["attempt_id", "kind", "reference"],
        unique=True,
        postgresql_where=is_of_attempt,
        sqlite_where=is_of_attempt,
    )
    op.create_index("ix_fraud_signals_payment", "fraud_signals", ["payment_id"])
    op.create_index("ix_fraud_signals_at", "fraud_signals", ["at"])


def _create_counts() -> None:
    counted = ("tries", "declines", "abandoned")
    op.create_table(
        "fraud_counters",
        sa.Column("entity", sa.String(32), nullable=False),
        sa.Column("size", sa.Integer(), nullable=False),
        sa.Column("bucket", sa.Integer(), nullable=False),
        *(sa.Column(name, sa.Integer(), nullable=False) for name in counted),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("frauds", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("entity", "size", "bucket", name=op.f("pk_fraud_counters")),
    )
    op.create_index("ix_fraud_counters_bucket", "fraud_counters", ["size", "bucket"])
    op.create_table(
        "fraud_links",
        sa.Column("entity", sa.String(32), nullable=False),
        sa.Column("kind", sa.String(40), nullable=False),
        sa.Column("other", sa.String(32), nullable=False),
        sa.Column("last_bucket", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("entity", "kind", "other", name=op.f("pk_fraud_links")),
    )
    op.create_index("ix_fraud_links_newest", "fraud_links", ["entity", "kind", "last_bucket"])
    op.create_index("ix_fraud_links_last_bucket", "fraud_links", ["last_bucket"])
    op.create_table(
        "fraud_entities",
        sa.Column("entity", sa.String(32), nullable=False),
        sa.Column("kind", sa.String(40), nullable=False),
        sa.Column("first_at", Instant(timezone=True), nullable=False),
        sa.Column("last_at", Instant(timezone=True), nullable=False),
        sa.Column("last_fraud_at", Instant(timezone=True)),
        sa.Column("place", Json),
        sa.PrimaryKeyConstraint("entity", name=op.f("pk_fraud_entities")),
    )
    op.create_index("ix_fraud_entities_last_at", "fraud_entities", ["last_at"])


def downgrade() -> None:
    """Take back. The first score of each payment stays."""
    op.create_table(
        "assessments",
        sa.Column("payment_id", sa.String(40), nullable=False),
        sa.Column("score", sa.Integer(), nullable=False),
        sa.Column("decision", sa.String(20), nullable=False),
        sa.Column("reasons", Json, nullable=False),
        sa.Column("rule_set", sa.String(60), nullable=False),
        sa.Column("at", Instant(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["payment_id"], ["payments.id"], name=op.f("fk_assessments_payment_id")),
        sa.PrimaryKeyConstraint("payment_id", name=op.f("pk_assessments")),
    )
    op.execute(
        "INSERT INTO assessments (payment_id, score, decision, reasons, rule_set, at) "
        "SELECT payment_id, score, decision, reasons, rule_set, at FROM fraud_assessments WHERE number = 1"
    )
    for table in ("fraud_assessments", "fraud_entities", "fraud_links", "fraud_counters", "fraud_signals"):
        op.drop_table(table)
