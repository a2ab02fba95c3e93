"""many providers"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

import models.tables.base

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.add_column("payments", sa.Column("route", sa.JSON(none_as_null=True), nullable=True))
    op.create_table(
        "customers",
        sa.Column("application", sa.String(length=100), nullable=False),
        sa.Column("user_id", sa.String(length=200), nullable=False),
        sa.Column("provider", sa.String(length=40), nullable=False),
        sa.Column("token", sa.String(length=255), nullable=False),
        sa.Column("created_at", models.tables.base.Instant(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("application", "user_id", "provider", name=op.f("pk_customers")),
    )
    op.create_index("ix_customers_token", "customers", ["token"])
    op.create_table(
        "breakers",
        sa.Column("provider", sa.String(length=40), nullable=False),
        sa.Column("verb", sa.String(length=20), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("opened_at", models.tables.base.Instant(timezone=True), nullable=True),
        sa.Column("probe_until", models.tables.base.Instant(timezone=True), nullable=True),
        sa.Column("failed_at", models.tables.base.Instant(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("provider", "verb", name=op.f("pk_breakers")),
    )
    op.create_table(
        "provider_tokens",
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.Column("sealed", sa.Text(), nullable=True),
        sa.Column("expires_at", models.tables.base.Instant(timezone=True), nullable=True),
        sa.Column("claimed_until", models.tables.base.Instant(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_provider_tokens")),
    )


def downgrade() -> None:
    """Take back."""
    op.drop_table("provider_tokens")
    op.drop_table("breakers")
    op.drop_index("ix_customers_token", "customers")
    op.drop_table("customers")
    op.drop_column("payments", "route")
