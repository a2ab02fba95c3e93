"""movements

Opening movements are derived from the amounts that are stored; their source is `migration`. Their ids are those under
which later events would book the same money, so that nothing is booked twice."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

import models.tables.base

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

# The object that holds a payment's money: of several charges the one that succeeded, of those the newest.
_CHARGE = (
    "(SELECT a.{column} FROM attempts a "
    "WHERE a.payment_id = p.id AND a.verb IN ('charge', 'authorize') AND a.provider_reference IS NOT NULL "
    "ORDER BY CASE WHEN a.status = 'succeeded' THEN 0 ELSE 1 END, a.number DESC LIMIT 1)"
)
_ATTEMPT = _CHARGE.format(column="id")
_REFERENCE = f"coalesce({_CHARGE.format(column='provider_reference')}, p.id)"
# Kind, amount, id and condition of what is derived from a payment.
_OF_PAYMENTS = (
    ("charge", "p.captured", _REFERENCE, "p.captured > 0 AND p.authorized = p.captured"),
    ("authorization", "p.authorized", _REFERENCE, "p.authorized > p.captured"),
    ("capture", "p.captured", _REFERENCE, "p.captured > 0 AND p.authorized > p.captured"),
    ("release", "p.captured - p.authorized", _REFERENCE, "p.authorized > p.captured AND p.state <> 'authorized'"),
    ("receipt", "p.received", f"{_REFERENCE} || '/' || p.received", "p.received <> 0"),
)


def upgrade() -> None:
    """Apply."""
    op.add_column("payments", sa.Column("duplicated", sa.BigInteger(), nullable=False, server_default="0"))
    op.add_column("attempts", sa.Column("charge_reference", sa.String(length=255), nullable=True))
    op.create_table(
        "movements",
        sa.Column("id", models.tables.base.Sequence, autoincrement=True, nullable=False),
        sa.Column("payment_id", sa.String(length=40), nullable=False),
        sa.Column("attempt_id", sa.String(length=40), nullable=True),
        sa.Column("provider", sa.String(length=40), nullable=False),
        sa.Column("provider_id", sa.String(length=300), nullable=False),
        sa.Column("kind", sa.String(length=30), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column("source", sa.String(length=120), nullable=False),
        sa.Column("booked_at", models.tables.base.Instant(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["payment_id"], ["payments.id"], name=op.f("fk_movements_payment_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_movements")),
        sa.UniqueConstraint("provider", "provider_id", "kind", name=op.f("uq_movements_provider_provider_id_kind")),
    )
    op.create_index("ix_movements_payment", "movements", ["payment_id", "id"])
    op.create_index("ix_movements_booked_at", "movements", ["booked_at"])
    op.create_table(
        "comparisons",
        sa.Column("provider", sa.String(length=40), nullable=False),
        sa.Column("position", models.tables.base.Instant(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("provider", name=op.f("pk_comparisons")),
    )
    op.execute("UPDATE payments SET authorized = captured WHERE authorized < captured")
    for kind, amount, provider_id, condition in _OF_PAYMENTS:
        _book(kind, amount, provider_id, f"FROM payments p WHERE {condition}", _ATTEMPT, "p.provider")
    _book_duplicates()
    _book_refunds()


def downgrade() -> None:
    """Take back."""
    op.drop_table("comparisons")
    op.drop_index("ix_movements_booked_at", "movements")
    op.drop_index("ix_movements_payment", "movements")
    op.drop_table("movements")
    op.drop_column("payments", "duplicated")
    op.drop_column("attempts", "charge_reference")


def _book(kind: str, amount: str, provider_id: str, rows: str, attempt_id: str, provider: str) -> None:
    op.execute(
        "INSERT INTO movements "
        "(payment_id, attempt_id, provider, provider_id, kind, amount, currency, source, booked_at) "
        f"SELECT p.id, {attempt_id}, {provider}, {provider_id}, '{kind}', {amount}, p.currency, 'migration', "
        f"p.updated_at {rows}"
    )


def _book_duplicates() -> None:
    """Book charges that were taken a second time; their amount stood nowhere but in the attempt."""
    rows = (
        "FROM attempts d JOIN payments p ON p.id = d.payment_id WHERE d.provider_reference IS NOT NULL "  # noqa: S608
        f"AND d.provider_reference <> {_REFERENCE} AND d.status = 'succeeded' AND d.verb = 'charge' "
        "AND EXISTS (SELECT 1 FROM events e WHERE e.attempt_id = d.id AND e.name = 'charge_duplicated')"
    )
    _book("duplicate", "d.amount", "d.provider_reference", rows, "d.id", "d.provider")
    op.execute(
        "UPDATE payments SET duplicated = "
        "(SELECT coalesce(sum(m.amount), 0) FROM movements m WHERE m.payment_id = payments.id AND m.kind = 'duplicate')"
    )


def _book_refunds() -> None:
    """Book each refund that was given, and what the attempts do not explain under the payment's own id."""
    rows = (
        "FROM attempts r JOIN payments p ON p.id = r.payment_id "
        "WHERE r.verb = 'refund' AND r.status = 'succeeded' AND r.amount > 0"
    )
    _book("refund", "-r.amount", "coalesce(r.provider_reference, r.id)", rows, "r.id", "r.provider")
    given = "coalesce((SELECT -sum(m.amount) FROM movements m WHERE m.payment_id = p.id AND m.kind = 'refund'), 0)"
    unexplained = f"FROM payments p WHERE p.refunded > {given}"
    _book("refund", f"{given} - p.refunded", "p.id", unexplained, "NULL", "p.provider")
    too_much = f"FROM payments p WHERE p.refunded < {given}"
    _book("refund_failure", f"{given} - p.refunded", "p.id", too_much, "NULL", "p.provider")
