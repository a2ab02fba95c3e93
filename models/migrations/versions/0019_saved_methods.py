"""what is known of saved payment methods, and which provider bills a subscription by itself"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from models.tables.base import Instant

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None

_REFERENCE = "ix_subscriptions_provider_reference"


def upgrade() -> None:
    """Apply. Events and requests from now on fill the tables."""
    op.create_table(
        "saved_methods",
        sa.Column("provider", sa.String(40), nullable=False),
        sa.Column("token_hash", sa.String(64), nullable=False),
        sa.Column("token", sa.String(255)),
        sa.Column("application", sa.String(100)),
        sa.Column("user_id", sa.String(200)),
        sa.Column("kind", sa.String(40)),
        sa.Column("brand", sa.String(100)),
        sa.Column("last4", sa.String(4)),
        sa.Column("expires", sa.String(7)),
        sa.Column("is_default", sa.Boolean(), nullable=False),
        sa.Column("status", sa.String(20), nullable=False),
        sa.Column("shown_at", Instant(timezone=True)),
        sa.Column("mandate_at", Instant(timezone=True)),
        sa.Column("created_at", Instant(timezone=True), nullable=False),
        sa.Column("updated_at", Instant(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("provider", "token_hash", name=op.f("pk_saved_methods")),
    )
    op.create_index("ix_saved_methods_user", "saved_methods", ["user_id", "application"])
    op.create_table(
        "method_setups",
        sa.Column("id", sa.String(40), nullable=False),
        sa.Column("provider", sa.String(40), nullable=False),
        sa.Column("application", sa.String(100), nullable=False),
        sa.Column("user_id", sa.String(200), nullable=False),
        sa.Column("reference", sa.String(64)),
        sa.Column("return_url", sa.String(2000)),
        sa.Column("token_hash", sa.String(64)),
        sa.Column("created_at", Instant(timezone=True), nullable=False),
        sa.Column("saved_at", Instant(timezone=True)),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_method_setups")),
    )
    op.add_column("subscriptions", sa.Column("provider", sa.String(40)))
    op.add_column("subscriptions", sa.Column("provider_reference", sa.String(255)))
    op.add_column("subscriptions", sa.Column("provider_told_at", Instant(timezone=True)))
    is_bound = sa.text("provider_reference IS NOT NULL")
    op.create_index(
        _REFERENCE,
        "subscriptions",
        ["provider_reference", "provider"],
        unique=True,
        postgresql_where=is_bound,
        sqlite_where=is_bound,
    )


def downgrade() -> None:
    """Take back. What providers keep and bill by themselves is not known any more."""
    op.drop_index(_REFERENCE, "subscriptions")
    for column in ("provider_told_at", "provider_reference", "provider"):
        op.drop_column("subscriptions", column)
    op.drop_table("method_setups")
    op.drop_table("saved_methods")
