"""attempts: since when one waits, until when, the last visit; which field of its request is refused, and why"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

import models.tables.base

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

_COLUMNS = ("waiting_since", "action_expires_at", "visited_at")


def upgrade() -> None:
    """Apply. What waits already is looked up by the age of its attempt."""
    for name in _COLUMNS:
        op.add_column("attempts", sa.Column(name, models.tables.base.Instant(timezone=True), nullable=True))
    op.add_column("attempts", sa.Column("param", sa.String(length=100), nullable=True))
    op.add_column("attempts", sa.Column("message", sa.String(length=300), nullable=True))


def downgrade() -> None:
    """Take back."""
    for name in ("message", "param", *reversed(_COLUMNS)):
        op.drop_column("attempts", name)
