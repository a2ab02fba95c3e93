"""the first schema"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

import models.tables.base

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "api_keys",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.Column("role", sa.String(length=20), nullable=False),
        sa.Column("hash", sa.String(length=64), nullable=False),
        sa.Column("created_at", models.tables.base.Instant(timezone=True), nullable=False),
        sa.Column("revoked_at", models.tables.base.Instant(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_api_keys")),
        sa.UniqueConstraint("hash", name=op.f("uq_api_keys_hash")),
    )
    op.create_table(
        "idempotency_keys",
        sa.Column("application", sa.String(length=100), nullable=False),
        sa.Column("key", sa.String(length=255), nullable=False),
        sa.Column("fingerprint", sa.String(length=64), nullable=False),
        sa.Column("status", sa.Integer(), nullable=True),
        sa.Column("body", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("payment_id", sa.String(length=40), nullable=True),
        sa.Column("created_at", models.tables.base.Instant(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("application", "key", name=op.f("pk_idempotency_keys")),
    )
    op.create_table(
        "invoices",
        sa.Column("id", sa.String(length=200), nullable=False),
        sa.Column("application", sa.String(length=100), nullable=False),
        sa.Column("user_id", sa.String(length=200), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column("due_at", models.tables.base.Instant(timezone=True), nullable=True),
        sa.Column("description", sa.String(length=500), nullable=True),
        sa.Column("created_at", models.tables.base.Instant(timezone=True), nullable=False),
        sa.Column("updated_at", models.tables.base.Instant(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_invoices")),
    )
    op.create_table(
        "subscriptions",
        sa.Column("id", sa.String(length=200), nullable=False),
        sa.Column("application", sa.String(length=100), nullable=False),
        sa.Column("user_id", sa.String(length=200), nullable=False),
        sa.Column("status", sa.String(length=20), nullable=False),
        sa.Column("created_at", models.tables.base.Instant(timezone=True), nullable=False),
        sa.Column("updated_at", models.tables.base.Instant(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_subscriptions")),
    )
    op.create_table(
        "webhook_events",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("provider", sa.String(length=40), nullable=False),
        sa.Column("event_id", sa.String(length=255), nullable=False),
        sa.Column("type", sa.String(length=100), nullable=False),
        sa.Column("payload", sa.Text(), nullable=False),
        sa.Column("status", sa.String(length=20), nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("due_at", models.tables.base.Instant(timezone=True), nullable=True),
        sa.Column("rung_at", models.tables.base.Instant(timezone=True), nullable=True),
        sa.Column("payment_id", sa.String(length=40), nullable=True),
        sa.Column("received_at", models.tables.base.Instant(timezone=True), nullable=False),
        sa.Column("settled_at", models.tables.base.Instant(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_webhook_events")),
        sa.UniqueConstraint("provider", "event_id", name=op.f("uq_webhook_events_provider_event_id")),
    )
    with op.batch_alter_table("webhook_events", schema=None) as batch_op:
        batch_op.create_index(
            "ix_webhook_events_due",
            ["due_at"],
            unique=False,
            postgresql_where=sa.text("due_at IS NOT NULL"),
            sqlite_where=sa.text("due_at IS NOT NULL"),
        )

    op.create_table(
        "payments",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("application", sa.String(length=100), nullable=False),
        sa.Column("invoice_id", sa.String(length=200), nullable=False),
        sa.Column("subscription_id", sa.String(length=200), nullable=True),
        sa.Column("user_id", sa.String(length=200), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column("method", sa.String(length=40), nullable=False),
        sa.Column("provider", sa.String(length=40), nullable=False),
        sa.Column("method_token", sa.String(length=255), nullable=True),
        sa.Column("customer_token", sa.String(length=255), nullable=True),
        sa.Column("is_captured_later", sa.Boolean(), nullable=False),
        sa.Column("is_off_session", sa.Boolean(), nullable=False),
        sa.Column("is_client_confirmed", sa.Boolean(), nullable=False),
        sa.Column("return_url", sa.String(length=2000), nullable=True),
        sa.Column("payer", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("metadata", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("state", sa.String(length=30), nullable=False),
        sa.Column("authorized", sa.BigInteger(), nullable=False),
        sa.Column("captured", sa.BigInteger(), nullable=False),
        sa.Column("refunded", sa.BigInteger(), nullable=False),
        sa.Column("authorization_expires_at", models.tables.base.Instant(timezone=True), nullable=True),
        sa.Column("next_action", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("failure_code", sa.String(length=100), nullable=True),
        sa.Column("created_at", models.tables.base.Instant(timezone=True), nullable=False),
        sa.Column("updated_at", models.tables.base.Instant(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["invoice_id"], ["invoices.id"], name=op.f("fk_payments_invoice_id")),
        sa.ForeignKeyConstraint(["subscription_id"], ["subscriptions.id"], name=op.f("fk_payments_subscription_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_payments")),
    )
    with op.batch_alter_table("payments", schema=None) as batch_op:
        batch_op.create_index("ix_payments_invoice", ["invoice_id"], unique=False)
        batch_op.create_index("ix_payments_user", ["user_id", "created_at"], unique=False)
        batch_op.create_index(
            "uq_payments_one_live_collection",
            ["invoice_id"],
            unique=True,
            postgresql_where=sa.text(
                "state IN ('accepted', 'authorized', 'in_doubt', 'pending', 'processing', 'requires_action', 'review')"
            ),
            sqlite_where=sa.text(
                "state IN ('accepted', 'authorized', 'in_doubt', 'pending', 'processing', 'requires_action', 'review')"
            ),
        )

    op.create_table(
        "assessments",
        sa.Column("payment_id", sa.String(length=40), nullable=False),
        sa.Column("score", sa.Integer(), nullable=False),
        sa.Column("decision", sa.String(length=20), nullable=False),
        sa.Column("reasons", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("rule_set", sa.String(length=60), nullable=False),
        sa.Column("at", models.tables.base.Instant(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["payment_id"], ["payments.id"], name=op.f("fk_assessments_payment_id")),
        sa.PrimaryKeyConstraint("payment_id", name=op.f("pk_assessments")),
    )
    op.create_table(
        "attempts",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("payment_id", sa.String(length=40), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("verb", sa.String(length=20), nullable=False),
        sa.Column("provider", sa.String(length=40), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("status", sa.String(length=20), nullable=False),
        sa.Column("provider_reference", sa.String(length=255), nullable=True),
        sa.Column("epoch", sa.Integer(), nullable=False),
        sa.Column("claims", sa.Integer(), nullable=False),
        sa.Column("retries", sa.Integer(), nullable=False),
        sa.Column("checks", sa.Integer(), nullable=False),
        sa.Column("due_at", models.tables.base.Instant(timezone=True), nullable=True),
        sa.Column("rung_at", models.tables.base.Instant(timezone=True), nullable=True),
        sa.Column("reason", sa.String(length=200), nullable=True),
        sa.Column("actor", sa.String(length=120), nullable=False),
        sa.Column("code", sa.String(length=100), nullable=True),
        sa.Column("decline_class", sa.String(length=20), nullable=True),
        sa.Column("decline_code", sa.String(length=100), nullable=True),
        sa.Column("advice_code", sa.String(length=100), nullable=True),
        sa.Column("network_advice_code", sa.String(length=20), nullable=True),
        sa.Column("network_decline_code", sa.String(length=20), nullable=True),
        sa.Column("created_at", models.tables.base.Instant(timezone=True), nullable=False),
        sa.Column("settled_at", models.tables.base.Instant(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["payment_id"], ["payments.id"], name=op.f("fk_attempts_payment_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_attempts")),
        sa.UniqueConstraint("payment_id", "number", name=op.f("uq_attempts_payment_id_number")),
    )
    with op.batch_alter_table("attempts", schema=None) as batch_op:
        batch_op.create_index(
            "ix_attempts_due",
            ["due_at"],
            unique=False,
            postgresql_where=sa.text("due_at IS NOT NULL"),
            sqlite_where=sa.text("due_at IS NOT NULL"),
        )
        batch_op.create_index("ix_attempts_reference", ["provider_reference"], unique=False)
        batch_op.create_index(
            "uq_attempts_one_in_flight",
            ["payment_id"],
            unique=True,
            postgresql_where=sa.text("status IN ('due', 'in_doubt', 'open') AND verb != 'refund'"),
            sqlite_where=sa.text("status IN ('due', 'in_doubt', 'open') AND verb != 'refund'"),
        )

    op.create_table(
        "dunning_cases",
        sa.Column("payment_id", sa.String(length=40), nullable=False),
        sa.Column("subscription_id", sa.String(length=200), nullable=False),
        sa.Column("invoice_id", sa.String(length=200), nullable=False),
        sa.Column("state", sa.String(length=20), nullable=False),
        sa.Column("first_failed_at", models.tables.base.Instant(timezone=True), nullable=False),
        sa.Column("retry", sa.Integer(), nullable=False),
        sa.Column("due_at", models.tables.base.Instant(timezone=True), nullable=True),
        sa.Column("rung_at", models.tables.base.Instant(timezone=True), nullable=True),
        sa.Column("grace_ends_at", models.tables.base.Instant(timezone=True), nullable=True),
        sa.Column("updated_at", models.tables.base.Instant(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["invoice_id"], ["invoices.id"], name=op.f("fk_dunning_cases_invoice_id")),
        sa.ForeignKeyConstraint(["payment_id"], ["payments.id"], name=op.f("fk_dunning_cases_payment_id")),
        sa.ForeignKeyConstraint(
            ["subscription_id"], ["subscriptions.id"], name=op.f("fk_dunning_cases_subscription_id")
        ),
        sa.PrimaryKeyConstraint("payment_id", name=op.f("pk_dunning_cases")),
    )
    with op.batch_alter_table("dunning_cases", schema=None) as batch_op:
        batch_op.create_index(
            "ix_dunning_cases_due",
            ["due_at"],
            unique=False,
            postgresql_where=sa.text("due_at IS NOT NULL"),
            sqlite_where=sa.text("due_at IS NOT NULL"),
        )
        batch_op.create_index("ix_dunning_cases_invoice", ["invoice_id"], unique=False)
        batch_op.create_index("ix_dunning_cases_subscription", ["subscription_id"], unique=False)

    op.create_table(
        "events",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("payment_id", sa.String(length=40), nullable=True),
        sa.Column("attempt_id", sa.String(length=40), nullable=True),
        sa.Column("name", sa.String(length=50), nullable=False),
        sa.Column("from_state", sa.String(length=30), nullable=True),
        sa.Column("to_state", sa.String(length=30), nullable=True),
        sa.Column("actor", sa.String(length=120), nullable=False),
        sa.Column("data", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("at", models.tables.base.Instant(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["payment_id"], ["payments.id"], name=op.f("fk_events_payment_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_events")),
    )
    with op.batch_alter_table("events", schema=None) as batch_op:
        batch_op.create_index("ix_events_payment", ["payment_id", "id"], unique=False)


def downgrade() -> None:
    """Take back."""
    with op.batch_alter_table("events", schema=None) as batch_op:
        batch_op.drop_index("ix_events_payment")

    op.drop_table("events")
    with op.batch_alter_table("dunning_cases", schema=None) as batch_op:
        batch_op.drop_index("ix_dunning_cases_subscription")
        batch_op.drop_index("ix_dunning_cases_invoice")
        batch_op.drop_index(
            "ix_dunning_cases_due",
            postgresql_where=sa.text("due_at IS NOT NULL"),
            sqlite_where=sa.text("due_at IS NOT NULL"),
        )

    op.drop_table("dunning_cases")
    with op.batch_alter_table("attempts", schema=None) as batch_op:
        batch_op.drop_index(
            "uq_attempts_one_in_flight",
            postgresql_where=sa.text("status IN ('due', 'in_doubt', 'open') AND verb != 'refund'"),
            sqlite_where=sa.text("status IN ('due', 'in_doubt', 'open') AND verb != 'refund'"),
        )
        batch_op.drop_index("ix_attempts_reference")
        batch_op.drop_index(
            "ix_attempts_due",
            postgresql_where=sa.text("due_at IS NOT NULL"),
            sqlite_where=sa.text("due_at IS NOT NULL"),
        )

    op.drop_table("attempts")
    op.drop_table("assessments")
    with op.batch_alter_table("payments", schema=None) as batch_op:
        batch_op.drop_index(
            "uq_payments_one_live_collection",
            postgresql_where=sa.text(
                "state IN ('accepted', 'authorized', 'in_doubt', 'pending', 'processing', 'requires_action', 'review')"
            ),
            sqlite_where=sa.text(
                "state IN ('accepted', 'authorized', 'in_doubt', 'pending', 'processing', 'requires_action', 'review')"
            ),
        )
        batch_op.drop_index("ix_payments_user")
        batch_op.drop_index("ix_payments_invoice")

    op.drop_table("payments")
    with op.batch_alter_table("webhook_events", schema=None) as batch_op:
        batch_op.drop_index(
            "ix_webhook_events_due",
            postgresql_where=sa.text("due_at IS NOT NULL"),
            sqlite_where=sa.text("due_at IS NOT NULL"),
        )

    op.drop_table("webhook_events")
    op.drop_table("subscriptions")
    op.drop_table("invoices")
    op.drop_table("idempotency_keys")
    op.drop_table("api_keys")
