"""customers and how they are reached, and the outbox of what is sent to them"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

import models.tables.base

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None

_INSTANT = models.tables.base.Instant(timezone=True)
_IS_DUE = sa.text("due_at IS NOT NULL")


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "customers",
        sa.Column("user_id", sa.String(length=200), nullable=False),
        sa.Column("application", sa.String(length=100), nullable=False),
        sa.Column("email", sa.String(length=254), nullable=True),
        sa.Column("name", sa.String(length=200), nullable=True),
        sa.Column("language", sa.String(length=2), nullable=True),
        sa.Column("time_zone", sa.String(length=64), nullable=True),
        sa.Column("country", sa.String(length=2), nullable=True),
        sa.Column("mail_status", sa.String(length=20), nullable=False),
        sa.Column("created_at", _INSTANT, nullable=False),
        sa.Column("updated_at", _INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("user_id", "application", name=op.f("pk_customers")),
    )
    op.create_table(
        "outbox",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("destination", sa.String(length=40), nullable=False),
        sa.Column("kind", sa.String(length=40), nullable=False),
        sa.Column("unique_key", sa.String(length=400), nullable=False),
        sa.Column("application", sa.String(length=100), nullable=False),
        sa.Column("user_id", sa.String(length=200), nullable=False),
        sa.Column("payment_id", sa.String(length=40), nullable=True),
        sa.Column("data", models.tables.base.Json, nullable=True),
        sa.Column("state", sa.String(length=20), nullable=False),
        sa.Column("last_error", sa.String(length=40), nullable=True),
        sa.Column("fencing_token", sa.Integer(), nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("begun", sa.Integer(), nullable=False),
        sa.Column("message_id", sa.String(length=300), nullable=True),
        sa.Column("due_at", _INSTANT, nullable=True),
        sa.Column("published_at", _INSTANT, nullable=True),
        sa.Column("claimed_at", _INSTANT, nullable=True),
        sa.Column("sent_at", _INSTANT, nullable=True),
        sa.Column("waiting_since", _INSTANT, nullable=False),
        sa.Column("created_at", _INSTANT, nullable=False),
        sa.ForeignKeyConstraint(["payment_id"], ["payments.id"], name=op.f("fk_outbox_payment_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_outbox")),
        sa.UniqueConstraint("unique_key", name=op.f("uq_outbox_unique_key")),
    )
    op.create_index("ix_outbox_due", "outbox", ["due_at"], postgresql_where=_IS_DUE, sqlite_where=_IS_DUE)
    op.create_index("ix_outbox_payment", "outbox", ["payment_id"])
    op.create_index("ix_outbox_claimed", "outbox", ["application", "kind", "claimed_at"])


def downgrade() -> None:
    """Take back. Customers, and what waits for them, are lost."""
    op.drop_index("ix_outbox_claimed", "outbox")
    op.drop_index("ix_outbox_payment", "outbox")
    op.drop_index("ix_outbox_due", "outbox")
    op.drop_table("outbox")
    op.drop_table("customers")
