"""How the API shows the disputes and returned debits of a payment: what events told, and how each stands."""

from __future__ import annotations

from collections import defaultdict
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, select

from domain.disputes import TOLD_BY_EVENTS, DisputeStatus, event_about, is_told
from domain.money import decimal_text
from models.tables import disputes, events, payments


def disputes_of(connection: Connection, payment_id: str) -> list[tuple[datetime, dict[str, Any]]]:
    """Return the disputes and returned debits of a payment, oldest first, each with its time.

    What no event of the provider told comes from what is stored of the dispute: its event may have named no payment or
    no result, or the comparison has found it."""
    is_meant = (events.c.payment_id == payment_id) & events.c.name.in_(sorted(TOLD_BY_EVENTS))
    told = connection.execute(select(events).where(is_meant).order_by(events.c.id)).all()
    names: dict[str, set[str]] = defaultdict(set)
    for row in told:
        names[(row.data or {}).get("reference", "")].add(row.name)
    stored = connection.execute(
        select(disputes, payments.c.currency)
        .join(payments, payments.c.id == disputes.c.payment_id)
        .where(disputes.c.payment_id == payment_id)
        .order_by(disputes.c.updated_at, disputes.c.reference)
    )
    untold = [row for row in stored if not is_told(DisputeStatus(row.status), names[row.reference])]
    shown = [(row.at, {"event": row.name, **(row.data or {})}) for row in told]
    shown += [(row.updated_at, _as_event(row)) for row in untold]
    return sorted(shown, key=lambda each: each[0])


def _as_event(row: Row[Any]) -> dict[str, Any]:
    due = {"evidence_due_at": row.respond_by} if row.respond_by else {}
    return {
        "event": event_about(DisputeStatus(row.status), is_return=row.is_return),
        "reference": row.reference,
        "reason": row.reason,
        "status": row.status,
        "amount": decimal_text(row.amount, row.currency),
        "currency": row.currency,
        **due,
    }
