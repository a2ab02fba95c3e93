"""plain names"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

import models.base

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


def upgrade() -> None:
    """Apply."""
    for table, old, new in _RENAMED:
        _rename_column(table, old, new)
    _move_customers("customers", "provider_customers")


def downgrade() -> None:
    """Take back."""
    _move_customers("provider_customers", "customers")
    for table, old, new in _RENAMED:
        _rename_column(table, new, old)


def _rename_column(table: str, old: str, new: str) -> None:
    # As text: Alembic would rebuild the whole table on SQLite, and lose its partial indexes.
    op.execute(f"ALTER TABLE {table} RENAME COLUMN {old} TO {new}")


def _move_customers(old: str, new: str) -> None:
    """Copy the rows to a table of the new name: SQLite cannot rename a primary key."""
    op.create_table(
        new,
        sa.Column("application", sa.String(length=100), nullable=False),
        sa.Column("user_id", sa.String(length=200), nullable=False),
        sa.Column("provider", sa.String(length=40), nullable=False),
        sa.Column("token", sa.String(length=255), nullable=False),
        sa.Column("created_at", models.base.Instant(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("application", "user_id", "provider", name=op.f(f"pk_{new}")),
    )
    op.execute(
        f"INSERT INTO {new} (application, user_id, provider, token, created_at) "  # noqa: S608 (fixed names)
        f"SELECT application, user_id, provider, token, created_at FROM {old}"
    )
    op.drop_index(f"ix_{old}_token", old)
    op.drop_table(old)
    op.create_index(f"ix_{new}_token", new, ["token"])
