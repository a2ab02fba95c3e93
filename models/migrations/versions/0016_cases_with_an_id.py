"""dunning cases get an id and their policy, subscriptions their plan, and tries to collect a debt who has caused them

A case is `exhausted` where it was `uncollectible`. A case that was begun before has stored no policy; the configured one
holds for it."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

import models.tables.base

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

_NEW: dict[str, Any] = {
    "id": sa.String(40),
    "application": sa.String(100),
    "policy_name": sa.String(100),
    "policy": models.tables.base.Json,
    "paused_until": models.tables.base.Instant(timezone=True),
    "planned_at": models.tables.base.Instant(timezone=True),
    "created_at": models.tables.base.Instant(timezone=True),
}
_OLD: dict[str, Any] = {
    "subscription_id": sa.String(200),
    "invoice_id": sa.String(200),
    "state": sa.String(20),
    "first_failed_at": models.tables.base.Instant(timezone=True),
    "retry": sa.Integer(),
    "unsent": sa.Integer(),
    "failures": sa.Integer(),
    "due_at": models.tables.base.Instant(timezone=True),
    "published_at": models.tables.base.Instant(timezone=True),
    "grace_ends_at": models.tables.base.Instant(timezone=True),
    "paused_since": models.tables.base.Instant(timezone=True),
    "updated_at": models.tables.base.Instant(timezone=True),
}
_NULLABLE = {"policy", "due_at", "published_at", "grace_ends_at", "paused_since", "paused_until", "planned_at"}
# An id sorts by the time of its payment, whose id it repeats after the prefix.
_ID = "'case_' || substr(c.payment_id, 5)"
_STATE = "CASE c.state WHEN 'uncollectible' THEN 'exhausted' ELSE c.state END"
_OLD_STATE = "CASE c.state WHEN 'exhausted' THEN 'uncollectible' WHEN 'stopped' THEN 'uncollectible' ELSE c.state END"


def upgrade() -> None:
    """Apply."""
    op.add_column("attempts", sa.Column("cause", sa.String(20), nullable=True))
    for column in _of_subscriptions():
        op.add_column("subscriptions", column)
    op.execute("UPDATE subscriptions SET anchor_at = created_at")
    _keep_cases()
    columns = {**_NEW, **_OLD}
    op.create_table(
        "dunning_cases",
        *_columns(columns, _NULLABLE | {"subscription_id"}),
        _payment_id(),
        sa.PrimaryKeyConstraint("id", name="pk_dunning_cases"),
        sa.ForeignKeyConstraint(["payment_id"], ["payments.id"], name="fk_dunning_cases_payment_id"),
        sa.UniqueConstraint("payment_id", name="uq_dunning_cases_payment_id"),
    )
    kept = {name: f"c.{name}" for name in ("payment_id", *_OLD)}
    made = {"id": _ID, "application": "p.application", "policy_name": "'standard'", "created_at": "c.first_failed_at"}
    _take_back(kept | made | {"state": _STATE})
    op.create_index("ix_dunning_cases_state", "dunning_cases", ["state", "id"])
    is_of_subscription = sa.text("subscription_id IS NOT NULL")
    op.create_index(
        "ix_payments_subscription",
        "payments",
        ["subscription_id", "application"],
        postgresql_where=is_of_subscription,
        sqlite_where=is_of_subscription,
    )


def downgrade() -> None:
    """Take back. Cases of payments without a subscription are lost, and so is which policy a case runs under."""
    op.drop_index("ix_payments_subscription", "payments")
    _keep_cases()
    op.create_table(
        "dunning_cases",
        _payment_id(),
        *_columns(_OLD, _NULLABLE, {"failures": "0", "unsent": "0"}),
        sa.PrimaryKeyConstraint("payment_id", name="pk_dunning_cases"),
        sa.ForeignKeyConstraint(["payment_id"], ["payments.id"], name="fk_dunning_cases_payment_id"),
    )
    _take_back(
        {name: f"c.{name}" for name in ("payment_id", *_OLD)} | {"state": _OLD_STATE}, "c.subscription_id IS NOT NULL"
    )
    op.execute(
        "UPDATE subscriptions SET status = CASE status WHEN 'incomplete' THEN 'active' ELSE 'past_due' END "
        "WHERE status IN ('incomplete', 'paused', 'unpaid')"
    )
    for column in reversed(_of_subscriptions()):
        op.drop_column("subscriptions", column.name)
    op.drop_column("attempts", "cause")


def _of_subscriptions() -> list[sa.Column[Any]]:
    return [
        sa.Column("plan", sa.String(200), nullable=True),
        sa.Column("amount", sa.BigInteger(), nullable=True),
        sa.Column("currency", sa.String(3), nullable=True),
        sa.Column("policy", sa.String(100), nullable=True),
        sa.Column("retried_by", sa.String(20), nullable=False, server_default="celeriac"),
        sa.Column("anchor_at", models.tables.base.Instant(timezone=True), nullable=True),
        sa.Column("paused_at", models.tables.base.Instant(timezone=True), nullable=True),
    ]


def _payment_id() -> sa.Column[Any]:
    return sa.Column("payment_id", sa.String(40), nullable=False)


def _columns(types: dict[str, Any], nullable: set[str], defaults: dict[str, str] | None = None) -> list[sa.Column[Any]]:
    defaults = defaults or {}
    return [
        sa.Column(name, kind, nullable=name in nullable, server_default=defaults.get(name))
        for name, kind in types.items()
    ]


def _keep_cases() -> None:
    """Put the cases aside: SQLite changes a key in a new table only. No table refers to them."""
    op.execute("CREATE TABLE kept_cases AS SELECT * FROM dunning_cases")
    op.drop_table("dunning_cases")


def _take_back(values: dict[str, str], condition: str = "1 = 1") -> None:
    """Fill the new table from the cases that were kept, and give it its indexes."""
    op.execute(
        f"INSERT INTO dunning_cases ({', '.join(values)}) SELECT {', '.join(values.values())} "  # noqa: S608 (fixed)
        f"FROM kept_cases c JOIN payments p ON p.id = c.payment_id WHERE {condition}"
    )
    op.drop_table("kept_cases")
    is_due = sa.text("due_at IS NOT NULL")
    op.create_index("ix_dunning_cases_due", "dunning_cases", ["due_at"], postgresql_where=is_due, sqlite_where=is_due)
    op.create_index("ix_dunning_cases_invoice", "dunning_cases", ["invoice_id"])
    op.create_index("ix_dunning_cases_subscription", "dunning_cases", ["subscription_id"])
