"""Reads the history of entities: counts by window, whom they were tried with, when they were seen. Locks nothing.

Both statements cost the same however many tries are stored: buckets are few, and links are counted up to a limit."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import Connection, and_, bindparam, case, func, literal, or_, select, union_all

from domain.fraud.entities import Entity
from domain.fraud.windows import LINKS, MOST_LINKED, NEVER_SEEN, BucketSize, Counts, History, Window
from models.tables import fraud_counters, fraud_entities, fraud_links

_MEASURES = ("tries", "declines", "abandoned", "amount", "frauds")
_counters = fraud_counters.c


def _total(window: Window, measure: str) -> Any:
    is_in_window = (_counters.size == int(window.bucket_size)) & (_counters.bucket >= bindparam(f"from_{window.name}"))
    return func.coalesce(func.sum(case((is_in_window, _counters[measure]), else_=0)), 0).label(
        f"{window.name}_{measure}"
    )


_is_read = or_(
    and_(_counters.size == int(BucketSize.FIVE_MINUTES), _counters.bucket >= bindparam("from_DAY")),
    and_(_counters.size == int(BucketSize.DAY), _counters.bucket >= bindparam("from_MONTH")),
)
_select_counts = (
    select(fraud_entities, *(_total(window, measure) for window in Window for measure in _MEASURES))
    .outerjoin(fraud_counters, (_counters.entity == fraud_entities.c.entity) & _is_read)
    .where(fraud_entities.c.entity.in_(bindparam("hashes", expanding=True)))
    .group_by(fraud_entities.c.entity)
)


def read_histories(connection: Connection, entities: Sequence[Entity], now: datetime) -> dict[str, History]:
    """Return what is known of each entity by its kind. Of an entity under several keys all is added up."""
    if not entities:
        return {}
    firsts = {f"from_{window.name}": window.first_bucket(now) for window in Window}
    hashes = [each for entity in entities for each in entity.hashes]
    rows = {row.entity: row for row in connection.execute(_select_counts, firsts | {"hashes": hashes})}
    linked = _read_links(connection, entities, firsts)
    return {entity.kind: _history(entity, rows, linked) for entity in entities}


def _history(entity: Entity, rows: dict[str, Any], linked: dict[str, dict[tuple[str, Window], int]]) -> History:
    found = [rows[each] for each in entity.hashes if each in rows]
    if not found:
        return NEVER_SEEN
    frauds = [row.last_fraud_at for row in found if row.last_fraud_at is not None]
    return History(
        counts={window: sum((_counts(row, window) for row in found), Counts()) for window in Window},
        linked=linked.get(entity.kind, {}),
        first_at=min(row.first_at for row in found),
        last_at=max(row.last_at for row in found),
        last_fraud_at=max(frauds, default=None),
    )


def _counts(row: Any, window: Window) -> Counts:
    values = row._mapping
    return Counts(**{measure: int(values[f"{window.name}_{measure}"]) for measure in _MEASURES})


@cache
def _select_links(keys: int) -> Any:
    """Return a statement that counts every link of `LINKS`, each up to a limit, of entities with so many hashes."""
    parts = []
    for number, (_, other, window) in enumerate(LINKS):
        newest = (
            select(literal(1))
            .where(
                or_(*(fraud_links.c.entity == bindparam(f"entity_{number}_{key}") for key in range(keys))),
                fraud_links.c.kind == other,
                fraud_links.c.last_bucket >= bindparam(f"from_{window.name}"),
            )
            .limit(MOST_LINKED)
            .subquery(f"links_{number}")
        )
        parts.append(select(literal(number).label("number"), func.count().label("linked")).select_from(newest))
    return union_all(*parts)


def _read_links(
    connection: Connection, entities: Sequence[Entity], firsts: dict[str, int]
) -> dict[str, dict[tuple[str, Window], int]]:
    hashes = {entity.kind: entity.hashes for entity in entities}
    keys = len(entities[0].hashes)
    named: dict[str, Any] = {
        f"entity_{number}_{key}": hashes[kind][key] if kind in hashes else None
        for number, (kind, _, _) in enumerate(LINKS)
        for key in range(keys)
    }
    found: dict[str, dict[tuple[str, Window], int]] = {}
    for row in connection.execute(_select_links(keys), named | firsts):
        kind, other, window = LINKS[row.number]
        if kind in hashes and row.linked:
            found.setdefault(kind, {})[other, window] = row.linked
    return found
