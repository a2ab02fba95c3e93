"""customers that are claimed before they are made, cash balances with their movements, and owners of tokens"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

import models.tables.base

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

_TOKEN = sa.String(length=255)
_ID = sa.String(length=40)
_IS_CASH = sa.text("cash_balance_id IS NOT NULL")
_IS_WAITING = sa.text("due_at IS NOT NULL")
_IS_OPEN = "closed_at IS NULL"
# SQLite copies the table to which a foreign key is added, and loses the conditions of its indexes.
_OPEN_ENTRIES = {
    "uq_attention_one_open_of_payment": ("payment_id", _IS_OPEN),
    "uq_attention_one_open_of_webhook_event": ("webhook_event_id", f"{_IS_OPEN} AND webhook_event_id IS NOT NULL"),
}
_OF_BALANCES = {
    "uq_attention_one_open_of_cash_balance": ("cash_balance_id", f"{_IS_OPEN} AND cash_balance_id IS NOT NULL"),
}


def upgrade() -> None:
    """Apply."""
    _create_tables()
    with op.batch_alter_table("provider_customers") as table:
        table.alter_column("token", existing_type=_TOKEN, nullable=True)
        table.add_column(sa.Column("creation_key", sa.String(length=60), nullable=True))
    with op.batch_alter_table("movements") as table:
        table.alter_column("payment_id", existing_type=_ID, nullable=True)
        table.add_column(sa.Column("cash_balance_id", _ID, nullable=True))
        name = op.f("fk_movements_cash_balance_id")
        table.create_foreign_key(name, "cash_balances", ["cash_balance_id"], ["id"])
    op.create_index(
        "ix_movements_cash_balance",
        "movements",
        ["cash_balance_id", "id"],
        postgresql_where=_IS_CASH,
        sqlite_where=_IS_CASH,
    )
    _drop_indexes(_OPEN_ENTRIES)
    with op.batch_alter_table("attention") as table:
        table.add_column(sa.Column("cash_balance_id", _ID, nullable=True))
        name = op.f("fk_attention_cash_balance_id")
        table.create_foreign_key(name, "cash_balances", ["cash_balance_id"], ["id"])
    _create_indexes(_OPEN_ENTRIES | _OF_BALANCES)


def _create_tables() -> None:
    op.create_table(
        "cash_balances",
        sa.Column("id", _ID, nullable=False),
        sa.Column("provider", sa.String(length=40), nullable=False),
        sa.Column("customer_token", _TOKEN, nullable=False),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column("application", sa.String(length=100), nullable=False),
        sa.Column("user_id", sa.String(length=200), nullable=False),
        sa.Column("available", sa.BigInteger(), nullable=False),
        sa.Column("return_amount", sa.BigInteger(), nullable=True),
        sa.Column("return_key", sa.String(length=60), nullable=True),
        sa.Column("fencing_token", sa.Integer(), nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False, server_default="0"),
        sa.Column("due_at", models.tables.base.Instant(timezone=True), nullable=True),
        sa.Column("published_at", models.tables.base.Instant(timezone=True), nullable=True),
        sa.Column("used_at", models.tables.base.Instant(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_cash_balances")),
        sa.UniqueConstraint(
            "provider", "customer_token", "currency", name=op.f("uq_cash_balances_provider_customer_token_currency")
        ),
    )
    op.create_index(
        "ix_cash_balances_due", "cash_balances", ["due_at"], postgresql_where=_IS_WAITING, sqlite_where=_IS_WAITING
    )
    op.create_index("ix_cash_balances_used_at", "cash_balances", ["used_at"])
    op.create_table(
        "token_owners",
        sa.Column("provider", sa.String(length=40), nullable=False),
        sa.Column("token_hash", sa.String(length=64), nullable=False),
        sa.Column("application", sa.String(length=100), nullable=False),
        sa.Column("user_id", sa.String(length=200), nullable=False),
        sa.Column("created_at", models.tables.base.Instant(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("provider", "token_hash", name=op.f("pk_token_owners")),
    )


def downgrade() -> None:
    """Take back. Movements of cash balances and customers that are not made yet have no place in the older tables."""
    op.execute("DELETE FROM movements WHERE payment_id IS NULL")
    op.execute("DELETE FROM attention WHERE cash_balance_id IS NOT NULL")
    op.execute("DELETE FROM provider_customers WHERE token IS NULL")
    _drop_indexes(_OPEN_ENTRIES | _OF_BALANCES)
    with op.batch_alter_table("attention") as table:
        table.drop_constraint(op.f("fk_attention_cash_balance_id"), type_="foreignkey")
        table.drop_column("cash_balance_id")
    _create_indexes(_OPEN_ENTRIES)
    op.drop_index("ix_movements_cash_balance", "movements")
    with op.batch_alter_table("movements") as table:
        table.drop_constraint(op.f("fk_movements_cash_balance_id"), type_="foreignkey")
        table.drop_column("cash_balance_id")
        table.alter_column("payment_id", existing_type=_ID, nullable=False)
    with op.batch_alter_table("provider_customers") as table:
        table.drop_column("creation_key")
        table.alter_column("token", existing_type=_TOKEN, nullable=False)
    op.drop_table("token_owners")
    op.drop_index("ix_cash_balances_used_at", "cash_balances")
    op.drop_index("ix_cash_balances_due", "cash_balances")
    op.drop_table("cash_balances")


def _create_indexes(indexes: dict[str, tuple[str, str]]) -> None:
    for name, (subject, condition) in indexes.items():
        where, columns = sa.text(condition), [subject, "reason"]
        op.create_index(name, "attention", columns, unique=True, postgresql_where=where, sqlite_where=where)


def _drop_indexes(indexes: dict[str, tuple[str, str]]) -> None:
    for name in indexes:
        op.drop_index(name, "attention")
