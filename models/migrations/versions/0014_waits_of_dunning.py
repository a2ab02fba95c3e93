"""how often a dunning case's charge has reached no issuer, and since when it waits for another payment"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

import models.tables.base

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.add_column("dunning_cases", sa.Column("unsent", sa.Integer(), nullable=False, server_default="0"))
    op.add_column("dunning_cases", sa.Column("paused_since", models.tables.base.Instant(timezone=True), nullable=True))


def downgrade() -> None:
    """Take back. A charge that reached no issuer counts as a retry from then on."""
    op.drop_column("dunning_cases", "paused_since")
    op.drop_column("dunning_cases", "unsent")
