"""lists of entities, labels of payments, and reviews that have an end

A payment that waits for a review has as long for it, from this migration on, as one that begins to wait."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import sqlalchemy as sa
from alembic import op

from models.tables.base import Instant

revision = "0025"
down_revision = "0024"
branch_labels = None
depends_on = None

_EXPIRES_AFTER = timedelta(hours=72)


def upgrade() -> None:
    """Apply."""
    _create_lists()
    op.create_table(
        "fraud_labels",
        sa.Column("payment_id", sa.String(40), nullable=False),
        sa.Column("source", sa.String(30), nullable=False),
        sa.Column("is_fraud", sa.Boolean(), nullable=False),
        sa.Column("at", Instant(timezone=True), nullable=False),
        sa.Column("author", sa.String(120), nullable=False),
        sa.Column("note", sa.String(500)),
        sa.ForeignKeyConstraint(["payment_id"], ["payments.id"], name=op.f("fk_fraud_labels_payment_id")),
        sa.PrimaryKeyConstraint("payment_id", "source", name=op.f("pk_fraud_labels")),
    )
    op.create_index("ix_fraud_labels_at", "fraud_labels", ["at"])
    _create_reviews()
    _open_reviews()


def _create_lists() -> None:
    op.create_table(
        "fraud_lists",
        sa.Column("id", sa.String(40), nullable=False),
        sa.Column("application", sa.String(100)),
        sa.Column("kind", sa.String(20), nullable=False),
        sa.Column("entity_kind", sa.String(40), nullable=False),
        sa.Column("entity", sa.String(32), nullable=False),
        sa.Column("hint", sa.String(60), nullable=False),
        sa.Column("reason", sa.String(500), nullable=False),
        sa.Column("author", sa.String(120), nullable=False),
        sa.Column("expires_at", Instant(timezone=True)),
        sa.Column("created_at", Instant(timezone=True), nullable=False),
        sa.Column("removed_at", Instant(timezone=True)),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_fraud_lists")),
    )
    _create_partial("uq_fraud_lists_one_entry", "fraud_lists", ["entity", "kind"], "removed_at IS NULL", unique=True)


def _create_reviews() -> None:
    op.create_table(
        "fraud_reviews",
        sa.Column("id", sa.String(40), nullable=False),
        sa.Column("payment_id", sa.String(40), nullable=False),
        sa.Column("opened_at", Instant(timezone=True), nullable=False),
        sa.Column("claimed_by", sa.String(120)),
        sa.Column("claimed_until", Instant(timezone=True)),
        sa.Column("due_at", Instant(timezone=True)),
        sa.Column("published_at", Instant(timezone=True)),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("closed_at", Instant(timezone=True)),
        sa.Column("closed_by", sa.String(120)),
        sa.Column("outcome", sa.String(20)),
        sa.Column("reason", sa.String(500)),
        sa.ForeignKeyConstraint(["payment_id"], ["payments.id"], name=op.f("fk_fraud_reviews_payment_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_fraud_reviews")),
    )
    _create_partial("uq_fraud_reviews_one_open", "fraud_reviews", ["payment_id"], "closed_at IS NULL", unique=True)
    _create_partial("ix_fraud_reviews_due", "fraud_reviews", ["due_at"], "due_at IS NOT NULL")
    op.create_index("ix_fraud_reviews_payment", "fraud_reviews", ["payment_id"])
    op.create_index("ix_fraud_reviews_opened_at", "fraud_reviews", ["opened_at"])


def _create_partial(name: str, table: str, columns: list[str], where: str, *, unique: bool = False) -> None:
    condition = sa.text(where)
    op.create_index(name, table, columns, unique=unique, postgresql_where=condition, sqlite_where=condition)


def _open_reviews() -> None:
    payments = sa.table("payments", sa.column("id"), sa.column("state"), sa.column("updated_at", Instant))
    reviews = sa.table(
        "fraud_reviews",
        *(sa.column(name) for name in ("id", "payment_id", "failures")),
        *(sa.column(name, Instant) for name in ("opened_at", "due_at")),
    )
    waiting = sa.select(payments.c.id, payments.c.updated_at).where(payments.c.state == "review")
    due_at = datetime.now(UTC) + _EXPIRES_AFTER
    connection = op.get_bind()
    rows = [
        {
            "id": row.id.replace("pay_", "rev_", 1),
            "payment_id": row.id,
            "opened_at": row.updated_at,
            "due_at": due_at,
            "failures": 0,
        }
        for row in connection.execute(waiting)
    ]
    if rows:
        connection.execute(sa.insert(reviews), rows)


def downgrade() -> None:
    """Take back. Payments in review wait without an end again."""
    for table in ("fraud_reviews", "fraud_labels", "fraud_lists"):
        op.drop_table(table)
