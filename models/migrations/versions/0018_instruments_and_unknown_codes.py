"""which instrument an attempt tried, what is known of declined instruments, and the codes that no table has"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

import models.tables.base

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None

_INSTANT = models.tables.base.Instant(timezone=True)


def upgrade() -> None:
    """Apply. The instruments of earlier attempts are not known, so that their tries do not count."""
    op.add_column("attempts", sa.Column("fingerprint", sa.String(80), nullable=True))
    op.add_column("attempts", sa.Column("network", sa.String(80), nullable=True))
    is_counted = sa.text("fingerprint IS NOT NULL")
    op.create_index(
        "ix_attempts_fingerprint",
        "attempts",
        ["fingerprint", "finished_at"],
        postgresql_where=is_counted,
        sqlite_where=is_counted,
    )
    op.create_table(
        "instruments",
        sa.Column("application", sa.String(100), nullable=False),
        sa.Column("user_id", sa.String(200), nullable=False),
        sa.Column("provider", sa.String(40), nullable=False),
        sa.Column("token", sa.String(255), nullable=False),
        sa.Column("fingerprint", sa.String(80), nullable=False),
        sa.Column("network", sa.String(80), nullable=True),
        sa.Column("blocked_as", sa.String(20), nullable=True),
        sa.Column("blocked_code", sa.String(100), nullable=True),
        sa.Column("blocked_at", _INSTANT, nullable=True),
        sa.Column("created_at", _INSTANT, nullable=False),
        sa.Column("updated_at", _INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("application", "user_id", "provider", "token", name="pk_instruments"),
    )
    op.create_index("ix_instruments_fingerprint", "instruments", ["fingerprint"])
    op.create_table(
        "unknown_codes",
        sa.Column("provider", sa.String(40), nullable=False),
        sa.Column("field", sa.String(40), nullable=False),
        sa.Column("code", sa.String(100), nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.Column("first_seen_at", _INSTANT, nullable=False),
        sa.Column("last_seen_at", _INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("provider", "field", "code", name="pk_unknown_codes"),
    )


def downgrade() -> None:
    """Take back. Blocked instruments may be charged again from then on."""
    op.drop_table("unknown_codes")
    op.drop_index("ix_instruments_fingerprint", "instruments")
    op.drop_table("instruments")
    op.drop_index("ix_attempts_fingerprint", "attempts")
    op.drop_column("attempts", "network")
    op.drop_column("attempts", "fingerprint")
