"""what the statistics read of a dunning case: its first failure, when it closed, and whose money has paid the debt

Earlier cases get what their events and attempts show. What these do not show stays empty, and counts as unknown."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

import models.tables.base

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None

_COLUMNS: dict[str, Any] = {
    "provider": sa.String(40),
    "decline_class": sa.String(20),
    "decline_reason": sa.String(20),
    "last_class": sa.String(20),
    "closed_at": models.tables.base.Instant(timezone=True),
    "recovered_by": sa.String(40),
}
# The attempt that has opened a case, and the newest event that may have paid its debt.
_OPENED = (
    "(SELECT e.attempt_id FROM events e WHERE e.payment_id = dunning_cases.payment_id "
    "AND e.name IN ('retry_scheduled', 'grace_started', 'consent_withdrawn') ORDER BY e.id LIMIT 1)"
)
_PAID = (
    "(SELECT max(e.id) FROM events e WHERE e.payment_id = dunning_cases.payment_id AND e.name IN "
    "('charge_approved', 'capture_succeeded', 'payment_restored', 'debt_settled_otherwise'))"
)


def upgrade() -> None:
    """Apply."""
    for name, kind in _COLUMNS.items():
        op.add_column("dunning_cases", sa.Column(name, kind, nullable=True))
    op.create_index("ix_dunning_cases_created_at", "dunning_cases", ["created_at"])
    first = "(SELECT {} FROM attempts a WHERE a.id = " + _OPENED + ")"  # noqa: S608 (fixed)
    of_payment = "(SELECT p.provider FROM payments p WHERE p.id = dunning_cases.payment_id)"
    is_funds = "CASE WHEN a.decline_code = 'insufficient_funds' OR a.network_decline_code = '51' THEN 'funds' END"
    last = (
        "(SELECT a.decline_class FROM attempts a WHERE a.payment_id = dunning_cases.payment_id "
        "AND a.decline_class IS NOT NULL AND a.verb IN ('charge', 'authorize') ORDER BY a.number DESC LIMIT 1)"
    )
    values = {
        "provider": f"coalesce({first.format('a.provider')}, {of_payment})",
        "decline_class": first.format("a.decline_class"),
        "decline_reason": first.format(is_funds),
        "last_class": last,
        # A closed case is written once.
        "closed_at": "CASE WHEN state IN ('recovered', 'exhausted', 'stopped') THEN updated_at END",
        "recovered_by": f"CASE WHEN state = 'recovered' THEN {_recovered_by()} END",
    }
    filled = ", ".join(f"{name} = {value}" for name, value in values.items())
    op.execute(f"UPDATE dunning_cases SET {filled}")  # noqa: S608 (fixed)


def downgrade() -> None:
    """Take back."""
    op.drop_index("ix_dunning_cases_created_at", "dunning_cases")
    for name in reversed(_COLUMNS):
        op.drop_column("dunning_cases", name)


def _recovered_by() -> str:
    """Return the attempt that the newest paying event names: its own, or that of the other payment."""
    is_sqlite = op.get_bind().dialect.name == "sqlite"
    other = "json_extract(e.data, '$.settled_by')" if is_sqlite else "e.data ->> 'settled_by'"
    of_other = (
        f"SELECT a.id FROM attempts a WHERE a.payment_id = {other} AND a.status = 'succeeded' "  # noqa: S608 (fixed)
        "AND a.verb IN ('charge', 'authorize') ORDER BY a.number DESC LIMIT 1"
    )
    paid = f"CASE WHEN e.name = 'debt_settled_otherwise' THEN ({of_other}) ELSE e.attempt_id END"
    return f"(SELECT {paid} FROM events e WHERE e.id = {_PAID})"  # noqa: S608 (fixed)
