"""the provider that an entry of the attention list is about"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

_INDEX = "uq_attention_one_open_of_provider"


def upgrade() -> None:
    """Apply."""
    op.add_column("attention", sa.Column("provider", sa.String(length=40), nullable=True))
    where = sa.text("closed_at IS NULL AND provider IS NOT NULL")
    op.create_index(
        _INDEX, "attention", ["provider", "reason"], unique=True, postgresql_where=where, sqlite_where=where
    )


def downgrade() -> None:
    """Take back. An entry about a provider alone stays without a subject."""
    op.drop_index(_INDEX, "attention")
    op.drop_column("attention", "provider")
