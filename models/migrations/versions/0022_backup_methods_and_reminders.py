"""backup methods with their consent, when a saved method's user is reminded, and who wants no reminders"""

from __future__ import annotations

from datetime import UTC, datetime

import sqlalchemy as sa
from alembic import op

from models.tables.base import Instant

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None

_REMIND = "ix_saved_methods_remind"


def upgrade() -> None:
    """Apply. Of what is known to expire, the next reminder is planned by the first run that looks for them."""
    op.create_table(
        "backup_methods",
        sa.Column("application", sa.String(100), nullable=False),
        sa.Column("user_id", sa.String(200), nullable=False),
        sa.Column("provider", sa.String(40), nullable=False),
        sa.Column("token_hash", sa.String(64), nullable=False),
        sa.Column("token", sa.String(255), nullable=False),
        sa.Column("method", sa.String(40), nullable=False),
        sa.Column("brand", sa.String(100)),
        sa.Column("last4", sa.String(4)),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("agreed_at", Instant(timezone=True), nullable=False),
        sa.Column("wording", sa.Text(), nullable=False),
        sa.Column("channel", sa.String(100), nullable=False),
        sa.Column("actor", sa.String(120), nullable=False),
        sa.Column("created_at", Instant(timezone=True), nullable=False),
        sa.Column("updated_at", Instant(timezone=True), nullable=False),
        sa.Column("removed_at", Instant(timezone=True)),
        sa.PrimaryKeyConstraint("application", "user_id", "provider", "token_hash", name=op.f("pk_backup_methods")),
    )
    op.add_column("customers", sa.Column("unsubscribed_at", Instant(timezone=True)))
    op.add_column("saved_methods", sa.Column("remind_at", Instant(timezone=True)))
    methods = sa.table("saved_methods", sa.column("expires"), sa.column("remind_at", Instant(timezone=True)))
    due = {"remind_at": datetime.now(UTC)}
    op.get_bind().execute(methods.update().where(methods.c.expires.is_not(None)).values(due))
    is_reminded = sa.text("remind_at IS NOT NULL")
    op.create_index(_REMIND, "saved_methods", ["remind_at"], postgresql_where=is_reminded, sqlite_where=is_reminded)


def downgrade() -> None:
    """Take back. Nobody is charged by a backup method any more, and nobody is reminded."""
    op.drop_index(_REMIND, "saved_methods")
    op.drop_column("saved_methods", "remind_at")
    op.drop_column("customers", "unsubscribed_at")
    op.drop_table("backup_methods")
