"""The audit trail: events are appended in the transaction of what they tell of, and never changed."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Connection, insert

from models.history import events

_insert_event = insert(events)


def record_event(
    connection: Connection,
    payment_id: str | None,
    name: str,
    from_state: str | None,
    to_state: str | None,
    actor: str,
    now: datetime,
    data: dict[str, Any] | None = None,
    attempt_id: str | None = None,
) -> None:
    """Append to the audit trail. `data` holds codes and references only, never personal data or secrets."""
    connection.execute(
        _insert_event,
        {
            "payment_id": payment_id,
            "attempt_id": attempt_id,
            "name": name,
            "from_state": from_state,
            "to_state": to_state,
            "actor": actor,
            "data": data or None,
            "at": now,
        },
    )
