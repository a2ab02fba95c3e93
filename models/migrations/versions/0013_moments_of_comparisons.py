"""how far the comparison has come within one moment"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.add_column("comparisons", sa.Column("position_attempt", sa.String(length=40), nullable=True))


def downgrade() -> None:
    """Take back. What is left of the moment at the position is compared at its next step."""
    op.drop_column("comparisons", "position_attempt")
