"""plain names"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

import models.tables.base

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_RENAMED = (
    ("attempts", "epoch", "fencing_token"),
    ("attempts", "checks", "lookups"),
    ("attempts", "rung_at", "published_at"),
    ("attempts", "settled_at", "finished_at"),
    ("webhook_events", "rung_at", "published_at"),
    ("webhook_events", "settled_at", "finished_at"),
    ("dunning_cases", "rung_at", "published_at"),
)
_LIVE = "state IN ('accepted', 'authorized', 'in_doubt', 'pending', 'processing', 'requires_action', 'review')"
_LIVE_WITH_MISMATCH = (
    "state IN ('accepted', 'amount_mismatch', 'authorized', 'in_doubt', 'pending', 'processing', 'requires_action', "
    "'review')"
)
# Money that does not match what was asked was in review with the reason as failure code, or came after the payment
# had ended; its amount stood in `authorized`.
_ENDED = "('declined', 'failed', 'canceled', 'expired', 'voided', 'uncollectible')"


def upgrade() -> None:
    """Apply."""
    for table, old, new in _RENAMED:
        _rename_column(table, old, new)
    _move_customers("customers", "provider_customers")
    op.add_column("payments", sa.Column("received", sa.BigInteger(), nullable=False, server_default="0"))
    _replace_live_index(_LIVE_WITH_MISMATCH)
    _separate_mismatches()


def downgrade() -> None:
    """Take back."""
    op.execute("UPDATE payments SET authorized = received WHERE received > authorized")
    op.execute("UPDATE payments SET state = 'review' WHERE state = 'amount_mismatch'")
    _replace_live_index(_LIVE)
    op.drop_column("payments", "received")
    _move_customers("provider_customers", "customers")
    for table, old, new in _RENAMED:
        _rename_column(table, new, old)


def _rename_column(table: str, old: str, new: str) -> None:
    # As text: Alembic would rebuild the whole table on SQLite, and lose its partial indexes.
    op.execute(f"ALTER TABLE {table} RENAME COLUMN {old} TO {new}")


def _replace_live_index(condition: str) -> None:
    op.drop_index("uq_payments_one_live_collection", "payments")
    op.create_index(
        "uq_payments_one_live_collection",
        "payments",
        ["invoice_id"],
        unique=True,
        postgresql_where=sa.text(condition),
        sqlite_where=sa.text(condition),
    )


def _separate_mismatches() -> None:
    op.execute(
        "UPDATE payments SET received = authorized, authorized = 0 "  # noqa: S608 (fixed names)
        f"WHERE failure_code IS NOT NULL AND authorized > captured AND state IN {_ENDED}"
    )
    op.execute(
        "UPDATE payments SET state = 'amount_mismatch', received = authorized, authorized = 0 "
        "WHERE state = 'review' AND failure_code IS NOT NULL"
    )


def _move_customers(old: str, new: str) -> None:
    """Copy the rows to a table of the new name: SQLite cannot rename a primary key."""
    op.create_table(
        new,
        sa.Column("application", sa.String(length=100), nullable=False),
        sa.Column("user_id", sa.String(length=200), nullable=False),
        sa.Column("provider", sa.String(length=40), nullable=False),
        sa.Column("token", sa.String(length=255), nullable=False),
        sa.Column("created_at", models.tables.base.Instant(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("application", "user_id", "provider", name=op.f(f"pk_{new}")),
    )
    op.execute(
        f"INSERT INTO {new} (application, user_id, provider, token, created_at) "  # noqa: S608 (fixed names)
        f"SELECT application, user_id, provider, token, created_at FROM {old}"
    )
    op.drop_index(f"ix_{old}_token", old)
    op.drop_table(old)
    op.create_index(f"ix_{new}_token", new, ["token"])
