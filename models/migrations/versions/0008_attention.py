"""the attention list, since when attempts are in doubt, and how often the task of a row has failed"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

import models.tables.base

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

_IS_OPEN = "closed_at IS NULL"
_INDEXES = {
    "uq_attention_one_open_of_payment": ("payment_id", _IS_OPEN),
    "uq_attention_one_open_of_webhook_event": ("webhook_event_id", f"{_IS_OPEN} AND webhook_event_id IS NOT NULL"),
}
_CLOSED_UNPAID = "p.state IN ('canceled', 'declined', 'expired', 'failed', 'uncollectible', 'voided')"
# More has come than was taken for the payment.
_IS_UNTAKEN = "p.received > p.captured"
_COLLECTED = "p.state IN ('captured', 'partially_refunded', 'refunded')"
_IS_TAKEN_TWICE = f"p.duplicated > 0 OR ({_COLLECTED} AND {_IS_UNTAKEN})"
_COUNTING = ("attempts", "webhook_events", "dunning_cases")


def upgrade() -> None:
    """Apply. What waits for a person already is put on the list."""
    op.create_table(
        "attention",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("payment_id", sa.String(length=40), nullable=True),
        sa.Column("webhook_event_id", sa.String(length=40), nullable=True),
        sa.Column("reason", sa.String(length=30), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=True),
        sa.Column("currency", sa.String(length=3), nullable=True),
        sa.Column("data", models.tables.base.Json, nullable=True),
        sa.Column("opened_at", models.tables.base.Instant(timezone=True), nullable=False),
        sa.Column("resolution", sa.String(length=30), nullable=True),
        sa.Column("note", sa.String(length=500), nullable=True),
        sa.Column("closed_at", models.tables.base.Instant(timezone=True), nullable=True),
        sa.Column("closed_by", sa.String(length=120), nullable=True),
        sa.ForeignKeyConstraint(["payment_id"], ["payments.id"], name=op.f("fk_attention_payment_id")),
        sa.ForeignKeyConstraint(
            ["webhook_event_id"], ["webhook_events.id"], name=op.f("fk_attention_webhook_event_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_attention")),
    )
    for name, (subject, condition) in _INDEXES.items():
        where = sa.text(condition)
        columns = [subject, "reason"]
        op.create_index(name, "attention", columns, unique=True, postgresql_where=where, sqlite_where=where)
    op.add_column("attempts", sa.Column("in_doubt_since", models.tables.base.Instant(timezone=True), nullable=True))
    for table in _COUNTING:
        op.add_column(table, sa.Column("failures", sa.Integer(), nullable=False, server_default="0"))
    _open("review", "p.amount", "p.state = 'review'")
    _open("amount_mismatch", "p.received", f"p.state = 'amount_mismatch' OR ({_CLOSED_UNPAID} AND {_IS_UNTAKEN})")
    _open("duplicate", f"CASE WHEN {_IS_UNTAKEN} THEN p.received - p.captured ELSE p.duplicated END", _IS_TAKEN_TWICE)
    for status in ("contradicting", "unreadable"):
        op.execute(
            "INSERT INTO attention (id, webhook_event_id, reason, opened_at) "  # noqa: S608
            f"SELECT 'attn_' || substr(w.id, 4), w.id, 'webhook_{status}', coalesce(w.finished_at, w.received_at) "
            f"FROM webhook_events w WHERE w.status = '{status}'"
        )


def downgrade() -> None:
    """Take back. The audit trail keeps what was decided."""
    for table in _COUNTING:
        op.drop_column(table, "failures")
    op.drop_column("attempts", "in_doubt_since")
    for name in _INDEXES:
        op.drop_index(name, "attention")
    op.drop_table("attention")


def _open(reason: str, amount: str, condition: str) -> None:
    # Ids sort by time: they take the payment's, and a letter that tells the reasons of one payment apart.
    op.execute(
        "INSERT INTO attention (id, payment_id, reason, amount, currency, opened_at) "  # noqa: S608
        f"SELECT 'attn_' || substr(p.id, 5, 32) || '{reason[0]}', p.id, '{reason}', {amount}, p.currency, p.updated_at "
        f"FROM payments p WHERE {condition}"
    )
