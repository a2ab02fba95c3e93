"""which segment has chosen a dunning case's policy, and whether the case is held out"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.add_column("dunning_cases", sa.Column("segment", sa.String(100), nullable=True))
    op.add_column(
        "dunning_cases", sa.Column("is_held_out", sa.Boolean(), nullable=False, server_default=sa.text("false"))
    )


def downgrade() -> None:
    """Take back. Nobody knows any more which cases were held out."""
    op.drop_column("dunning_cases", "is_held_out")
    op.drop_column("dunning_cases", "segment")
