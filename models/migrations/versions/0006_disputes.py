"""disputes"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

import models.tables.base

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    for name in ("reversed", "lost"):
        op.add_column("payments", sa.Column(name, sa.BigInteger(), nullable=False, server_default="0"))
    op.create_table(
        "disputes",
        sa.Column("provider", sa.String(length=40), nullable=False),
        sa.Column("reference", sa.String(length=255), nullable=False),
        sa.Column("payment_id", sa.String(length=40), nullable=False),
        sa.Column("status", sa.String(length=20), nullable=False),
        sa.Column("reason", sa.String(length=100), nullable=False),
        sa.Column("is_return", sa.Boolean(), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("withdrawn", sa.BigInteger(), nullable=False),
        sa.Column("lost", sa.BigInteger(), nullable=False),
        sa.Column("respond_by", sa.String(length=40), nullable=True),
        sa.Column("updated_at", models.tables.base.Instant(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["payment_id"], ["payments.id"], name=op.f("fk_disputes_payment_id")),
        sa.PrimaryKeyConstraint("provider", "reference", name=op.f("pk_disputes")),
    )
    op.create_index("ix_disputes_payment", "disputes", ["payment_id"])


def downgrade() -> None:
    """Take back."""
    op.drop_index("ix_disputes_payment", "disputes")
    op.drop_table("disputes")
    for name in ("lost", "reversed"):
        op.drop_column("payments", name)
