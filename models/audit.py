"""The audit trail. Events are appended in the transaction of what they record, and never changed."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Connection, insert

from models.tables import events

_insert_event = insert(events)


def record_event(
    connection: Connection,
    name: str,
    *,
    actor: str,
    now: datetime,
    payment_id: str | None = None,
    attempt_id: str | None = None,
    from_state: str | None = None,
    to_state: str | None = None,
    data: dict[str, Any] | None = None,
) -> None:
    """Append an event. `data` holds codes and references only, never personal data or secrets."""
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
