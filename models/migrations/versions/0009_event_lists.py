"""comparisons: until when the events of a provider's list are stored"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

import models.tables.base

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    instant = models.tables.base.Instant(timezone=True)
    op.add_column("comparisons", sa.Column("events_position", instant, nullable=True))


def downgrade() -> None:
    """Take back."""
    op.drop_column("comparisons", "events_position")
