"""Every write of a list: entries are added once, and removed once. And what lists say of a payment.

Adding and removing are events of the audit trail, in the transaction of what they record."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, and_, bindparam, or_, select, update

from domain.errors import Conflict, InvalidRequest, NotFound
from domain.fraud.entities import Entity, entity_named
from domain.fraud.facts import ListKind
from models.audit import record_event
from models.change import Change
from models.fraud.requests import AddListEntry
from models.session import insert_new
from models.tables import fraud_lists
from models.tables.base import new_id

# So many digits tell two entries apart, and name no one.
_HINT_DIGITS = 8
_is_listed = fraud_lists.c.removed_at.is_(None)
_select_kinds = (
    select(fraud_lists.c.kind)
    .where(
        fraud_lists.c.entity.in_(bindparam("hashes", expanding=True)),
        _is_listed,
        or_(fraud_lists.c.expires_at.is_(None), fraud_lists.c.expires_at > bindparam("now")),
    )
    .distinct()
)


def add_entry(change: Change, request: AddListEntry) -> dict[str, Any]:
    """Put an entity on a list; return the entry. Raises InvalidRequest, Conflict if it stands there already."""
    entity = entity_named(request.entity, request.value, request.application, change.policy.fraud.keys)
    if entity is None:
        raise InvalidRequest(f"value: is no {request.entity}")
    if request.expires_at is not None and request.expires_at <= change.now:
        raise InvalidRequest("expires_at: must be in the future")
    _end_expired(change, entity, request.kind)
    entry_id = new_id("list", change.now)
    values = {
        "id": entry_id,
        "application": request.application,
        "kind": request.kind,
        "entity_kind": entity.kind,
        "entity": entity.hash,
        "hint": f"{entity.kind} {entity.hash[:_HINT_DIGITS]}",
        "reason": request.reason,
        "author": change.actor,
        "expires_at": request.expires_at,
        "created_at": change.now,
    }
    known = _find_known(change.connection, entity, request.kind)
    if known is not None or not insert_new(change.connection, fraud_lists, values):
        named = f" ({known.id})" if known is not None else ""
        raise Conflict(f"this entity is on the {request.kind} list already{named}; remove that entry first")
    entry = _find(change.connection, fraud_lists.c.id == entry_id)
    _record(change, "fraud_list_entry_added", entry)
    return entry_view(entry, change.now)


def remove_entry(change: Change, entry_id: str) -> dict[str, Any]:
    """Take an entry off its list; return it. Raises NotFound, Conflict if it is removed."""
    row = change.connection.execute(
        select(fraud_lists).where(fraud_lists.c.id == entry_id).with_for_update()
    ).one_or_none()
    if row is None:
        raise NotFound("no such entry; the lists show the ids")
    if row.removed_at is not None:
        raise Conflict("this entry is removed already")
    _remove(change, fraud_lists.c.id == entry_id)
    _record(change, "fraud_list_entry_removed", row)
    return entry_view(_find(change.connection, fraud_lists.c.id == entry_id), change.now)


def list_fraud_entries(
    connection: Connection,
    now: datetime,
    *,
    kind: ListKind | None = None,
    with_removed: bool = False,
    after: str | None = None,
    limit: int,
) -> list[dict[str, Any]]:
    """Return up to `limit` entries after the id `after`, oldest first."""
    query = select(fraud_lists).order_by(fraud_lists.c.id).limit(limit)
    if kind is not None:
        query = query.where(fraud_lists.c.kind == kind)
    if not with_removed:
        query = query.where(_is_listed)
    if after is not None:
        query = query.where(fraud_lists.c.id > after)
    return [entry_view(row, now) for row in connection.execute(query)]


def show_list_entry(connection: Connection, entry_id: str, now: datetime) -> dict[str, Any]:
    """Return an entry. Raises NotFound."""
    return entry_view(_find(connection, fraud_lists.c.id == entry_id), now)


def read_lists(connection: Connection, entities: Sequence[Entity], now: datetime) -> frozenset[ListKind]:
    """Return the lists on which any of the entities stands now. Locks nothing."""
    if not entities:
        return frozenset()
    hashes = [each for entity in entities for each in entity.hashes]
    return frozenset(ListKind(kind) for kind in connection.scalars(_select_kinds, {"hashes": hashes, "now": now}))


def entry_view(row: Row[Any], now: datetime) -> dict[str, Any]:
    """Return the public form of an entry, which shows the entity to no one."""
    is_expired = row.expires_at is not None and row.expires_at <= now
    return {
        "id": row.id,
        "application": row.application,
        "kind": row.kind,
        "entity": row.entity_kind,
        "hint": row.hint,
        "reason": row.reason,
        "author": row.author,
        "is_active": row.removed_at is None and not is_expired,
        "expires_at": _text(row.expires_at),
        "created_at": _text(row.created_at),
        "removed_at": _text(row.removed_at),
    }


def _find_known(connection: Connection, entity: Entity, kind: ListKind) -> Row[Any] | None:
    is_it = and_(fraud_lists.c.entity.in_(entity.hashes), fraud_lists.c.kind == kind, _is_listed)
    return connection.execute(select(fraud_lists).where(is_it)).first()


def _end_expired(change: Change, entity: Entity, kind: ListKind) -> None:
    """Mark an expired entry of the entity as removed, so that it stands in no one's way."""
    is_it = fraud_lists.c.entity.in_(entity.hashes) & (fraud_lists.c.kind == kind)
    _remove(change, is_it & _is_listed & (fraud_lists.c.expires_at <= change.now))


def _remove(change: Change, is_meant: ColumnElement[bool]) -> None:
    change.connection.execute(update(fraud_lists).where(is_meant).values(removed_at=change.now))


def _find(connection: Connection, is_meant: ColumnElement[bool]) -> Row[Any]:
    row = connection.execute(select(fraud_lists).where(is_meant)).one_or_none()
    if row is None:
        raise NotFound("no such entry; the lists show the ids")
    return row


def _record(change: Change, name: str, entry: Row[Any]) -> None:
    shown: Iterable[str] = ("kind", "hint", "application", "reason")
    data = {"entry": entry.id} | {field: entry._mapping[field] for field in shown if entry._mapping[field] is not None}
    record_event(change.connection, name, actor=change.actor, now=change.now, data=data)


def _text(instant: datetime | None) -> str | None:
    return None if instant is None else instant.isoformat(timespec="milliseconds").replace("+00:00", "Z")
