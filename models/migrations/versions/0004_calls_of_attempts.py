"""calls of attempts: their idempotency keys, and the last look-up that showed something"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

import models.tables.base

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.add_column("attempts", sa.Column("key_number", sa.Integer(), nullable=False, server_default="0"))
    op.add_column("attempts", sa.Column("looked_up_at", models.tables.base.Instant(timezone=True), nullable=True))
    op.add_column("attempts", sa.Column("key_state", sa.String(length=20), nullable=False, server_default="usable"))


def downgrade() -> None:
    """Take back. An attempt under a later key goes on under its first one."""
    op.drop_column("attempts", "key_state")
    op.drop_column("attempts", "looked_up_at")
    op.drop_column("attempts", "key_number")
