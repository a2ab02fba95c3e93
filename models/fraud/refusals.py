"""Every write of a refusal: the first of a kind within a time is an event and a line of the log, further ones count."""

from __future__ import annotations

import hashlib
import logging
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, func, select, update

from models.audit import record_event
from models.change import Change
from models.fraud.reservations import Refusal
from models.session import insert_new
from models.tables import fraud_limits

_log = logging.getLogger(__name__)
_DOOR_WINDOW = timedelta(hours=1)
_DAY = timedelta(days=1)


def note_refused(change: Change, refusal: Refusal) -> None:
    """Count a try for which a limit left no room."""
    entity, limit = refusal.slot.entity, refusal.limit
    if _is_first(change, entity.hash, entity.kind, limit.within, "fraud_limit_reached", refusal.data):
        counted = limit.counted.replace("_", " ")
        _log.warning("fraud limit: %s %s of one %s; further ones are refused", limit.most, counted, entity.kind)


def note_door_refusal(change: Change, application: str, door: str, data: dict[str, Any]) -> None:
    """Count a request at a door that its score has refused."""
    row = hashlib.sha256(f"{application}\0{door}".encode()).hexdigest()[:32]
    if _is_first(change, row, door, _DOOR_WINDOW, "fraud_door_blocked", {"door": door} | data):
        _log.warning("fraud: a request at the door %s of %s is refused by its score", door, application)


def _is_first(change: Change, row_id: str, kind: str, within: timedelta, event: str, data: dict[str, Any]) -> bool:
    blank = {"entity": row_id, "kind": kind, "refused": 0, "refused_since": None, "last_at": change.now}
    # The door that was refused has taken its own row back.
    insert_new(change.connection, fraud_limits, blank)
    is_it = fraud_limits.c.entity == row_id
    row = change.connection.execute(select(fraud_limits).where(is_it).with_for_update()).one()
    is_first = row.refused_since is None or row.refused_since <= change.now - within
    values: dict[str, Any] = {"refused": row.refused + 1, "last_at": change.now}
    if is_first:
        values |= {"refused": 1, "refused_since": change.now}
        told = data | {"refused_before": row.refused}
        record_event(change.connection, event, actor=change.actor, now=change.now, data=told)
    change.connection.execute(update(fraud_limits).where(is_it).values(values))
    return is_first


def refusals_since(connection: Connection, now: datetime) -> dict[str, int]:
    """Return how many tries were refused in the windows that began within the last day, by what was limited."""
    counts = (
        select(fraud_limits.c.kind, func.sum(fraud_limits.c.refused))
        .where(fraud_limits.c.refused_since > now - _DAY)
        .group_by(fraud_limits.c.kind)
        .order_by(fraud_limits.c.kind)
    )
    return {kind: int(refused) for kind, refused in connection.execute(counts)}
