"""slots of limited entities, refusals by entity, and the global brake"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from models.tables.base import Instant

revision = "0024"
down_revision = "0023"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "fraud_reservations",
        sa.Column("entity", sa.String(32), nullable=False),
        sa.Column("try_id", sa.String(300), nullable=False),
        sa.Column("state", sa.String(20), nullable=False),
        sa.Column("card", sa.String(300), nullable=False),
        sa.Column("at", Instant(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("entity", "try_id", name=op.f("pk_fraud_reservations")),
    )
    op.create_index("ix_fraud_reservations_entity", "fraud_reservations", ["entity", "at"])
    op.create_index("ix_fraud_reservations_try", "fraud_reservations", ["try_id"])
    op.create_index("ix_fraud_reservations_at", "fraud_reservations", ["at"])
    op.create_table(
        "fraud_limits",
        sa.Column("entity", sa.String(32), nullable=False),
        sa.Column("kind", sa.String(40), nullable=False),
        sa.Column("refused", sa.Integer(), nullable=False),
        sa.Column("refused_since", Instant(timezone=True)),
        sa.Column("last_at", Instant(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("entity", name=op.f("pk_fraud_limits")),
    )
    op.create_index("ix_fraud_limits_last_at", "fraud_limits", ["last_at"])
    op.create_table(
        "fraud_brakes",
        sa.Column("application", sa.String(100), nullable=False),
        sa.Column("on_since", Instant(timezone=True)),
        sa.Column("looked_at", Instant(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("application", name=op.f("pk_fraud_brakes")),
    )


def downgrade() -> None:
    """Take back. What was tried in the last day is forgotten."""
    for table in ("fraud_brakes", "fraud_limits", "fraud_reservations"):
        op.drop_table(table)
