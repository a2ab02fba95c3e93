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
# Of a case's payment: the failures that have opened it or moved it on, and what may have paid its debt.
_FAILURES = "e.name IN ('retry_scheduled', 'grace_started', 'consent_withdrawn')"
_PAYING = "e.name IN ('charge_approved', 'capture_succeeded', 'payment_restored', 'debt_settled_otherwise')"


def upgrade() -> None:
    """Apply."""
    for name, kind in _COLUMNS.items():
        op.add_column("dunning_cases", sa.Column(name, kind, nullable=True))
    op.create_index("ix_dunning_cases_created_at", "dunning_cases", ["created_at"])
    is_funds = "a.decline_code = 'insufficient_funds' OR a.network_decline_code = '51'"
    last_declined = (
        "(SELECT a.decline_class FROM attempts a WHERE a.payment_id = dunning_cases.payment_id "
        "AND a.decline_class IS NOT NULL AND a.verb IN ('charge', 'authorize') ORDER BY a.number DESC LIMIT 1)"
    )
    of_payment = "(SELECT p.provider FROM payments p WHERE p.id = dunning_cases.payment_id)"
    values = {
        "provider": f"coalesce({_of_first('a.provider')}, {of_payment})",
        "decline_class": _of_event(_class(), _FAILURES, "min"),
        "decline_reason": _of_first(f"CASE WHEN {is_funds} THEN 'funds' END"),
        "last_class": f"coalesce({_of_event(_class(), _FAILURES, 'max')}, {last_declined})",
        # A closed case is not written any more.
        "closed_at": "CASE WHEN state IN ('recovered', 'exhausted', 'stopped') THEN updated_at END",
        "recovered_by": f"CASE WHEN state = 'recovered' THEN {_of_event(_paid_by(), _PAYING, 'max')} END",
    }
    filled = ", ".join(f"{name} = {value}" for name, value in values.items())
    op.execute(f"UPDATE dunning_cases SET {filled}")  # noqa: S608 (fixed)


def downgrade() -> None:
    """Take back."""
    op.drop_index("ix_dunning_cases_created_at", "dunning_cases")
    for name in reversed(_COLUMNS):
        op.drop_column("dunning_cases", name)


def _of_event(value: str, is_meant: str, which: str) -> str:
    """Return a value of the first (`min`) or newest (`max`) such event of a case's payment."""
    found = f"SELECT {which}(e.id) FROM events e WHERE e.payment_id = dunning_cases.payment_id AND {is_meant}"  # noqa: S608 (fixed)
    return f"(SELECT {value} FROM events e WHERE e.id = ({found}))"  # noqa: S608 (fixed)


def _of_first(value: str) -> str:
    """Return a value of the attempt that has opened a case."""
    return f"(SELECT {value} FROM attempts a WHERE a.id = {_of_event('e.attempt_id', _FAILURES, 'min')})"  # noqa: S608 (fixed)


def _class() -> str:
    """Return what a failure says: the class of a decline, or what follows from the event. A disputed card is not tried
    again."""
    is_dispute = "e.name = 'grace_started' AND e.from_state IN ('captured', 'partially_refunded', 'refunded')"
    return (
        f"coalesce({_json('class')}, CASE WHEN e.name = 'consent_withdrawn' THEN 'consent_withdrawn' "
        f"WHEN {is_dispute} THEN 'hard' END)"
    )


def _paid_by() -> str:
    """Return the attempt that a paying event is about: the payment's own, or that of the other payment."""
    of_other = (
        f"SELECT a.id FROM attempts a WHERE a.payment_id = {_json('settled_by')} AND a.status = 'succeeded' "  # noqa: S608 (fixed)
        "AND a.verb IN ('charge', 'authorize') ORDER BY a.number DESC LIMIT 1"
    )
    return f"CASE WHEN e.name = 'debt_settled_otherwise' THEN ({of_other}) ELSE e.attempt_id END"


def _json(name: str) -> str:
    is_sqlite = op.get_bind().dialect.name == "sqlite"
    return f"json_extract(e.data, '$.{name}')" if is_sqlite else f"(e.data ->> '{name}')"
