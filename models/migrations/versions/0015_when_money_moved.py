"""when money moved by the provider's own account"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

import models.tables.base

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply. Of what is booked already, the provider's time is not known."""
    op.add_column("movements", sa.Column("moved_at", models.tables.base.Instant(timezone=True), nullable=True))


def downgrade() -> None:
    """Take back. The times of the providers are lost."""
    op.drop_column("movements", "moved_at")
