"""versions of fraud rule sets, what each is used for, the scores of shadows, and backtests"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from models.tables.base import Instant, Json, Sequence

revision = "0026"
down_revision = "0025"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply. Until a version is made live, the configuration's rule set scores."""
    op.create_table(
        "fraud_rule_sets",
        sa.Column("version", sa.String(60), nullable=False),
        sa.Column("body", Json, nullable=False),
        sa.Column("author", sa.String(120), nullable=False),
        sa.Column("created_at", Instant(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("version", name=op.f("pk_fraud_rule_sets")),
    )
    op.create_table(
        "fraud_rule_roles",
        sa.Column("id", Sequence, autoincrement=True, nullable=False),
        sa.Column("role", sa.String(20), nullable=False),
        sa.Column("version", sa.String(60)),
        sa.Column("share", sa.Integer(), nullable=False),
        sa.Column("author", sa.String(120), nullable=False),
        sa.Column("at", Instant(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["version"], ["fraud_rule_sets.version"], name=op.f("fk_fraud_rule_roles_version")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_fraud_rule_roles")),
    )
    op.create_index("ix_fraud_rule_roles_role", "fraud_rule_roles", ["role", "id"])
    op.create_table(
        "fraud_shadow_scores",
        sa.Column("payment_id", sa.String(40), nullable=False),
        sa.Column("rule_set", sa.String(60), nullable=False),
        sa.Column("score", sa.Integer(), nullable=False),
        sa.Column("decision", sa.String(20), nullable=False),
        sa.Column("reasons", Json, nullable=False),
        sa.Column("at", Instant(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["payment_id"], ["payments.id"], name=op.f("fk_fraud_shadow_scores_payment_id")),
        sa.PrimaryKeyConstraint("payment_id", "rule_set", name=op.f("pk_fraud_shadow_scores")),
    )
    _create_backtests()


def _create_backtests() -> None:
    op.create_table(
        "fraud_backtests",
        sa.Column("id", sa.String(40), nullable=False),
        sa.Column("version", sa.String(60), nullable=False),
        sa.Column("rules", Json, nullable=False),
        sa.Column("since", Instant(timezone=True), nullable=False),
        sa.Column("author", sa.String(120), nullable=False),
        sa.Column("created_at", Instant(timezone=True), nullable=False),
        sa.Column("due_at", Instant(timezone=True)),
        sa.Column("published_at", Instant(timezone=True)),
        sa.Column("claims", sa.Integer(), nullable=False),
        sa.Column("finished_at", Instant(timezone=True)),
        sa.Column("quality", Json),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_fraud_backtests")),
    )
    is_due = sa.text("due_at IS NOT NULL")
    op.create_index(
        "ix_fraud_backtests_due", "fraud_backtests", ["due_at"], postgresql_where=is_due, sqlite_where=is_due
    )


def downgrade() -> None:
    """Take back."""
    for table in ("fraud_backtests", "fraud_shadow_scores", "fraud_rule_roles", "fraud_rule_sets"):
        op.drop_table(table)
