"""how often a dunning case's charge has reached no issuer"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.add_column("dunning_cases", sa.Column("unsent", sa.Integer(), nullable=False, server_default="0"))


def downgrade() -> None:
    """Take back. A charge that reached no issuer counts as a retry from then on."""
    op.drop_column("dunning_cases", "unsent")
