"""Reads the history of entities: counts by window, whom they were tried with, when they were seen. Locks nothing.

One statement reads all of it, and costs the same however many tries are stored: buckets are few, and links are counted
up to a limit."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from functools import cache
from string import ascii_uppercase
from typing import Any

from sqlalchemy import BigInteger, Connection, Row, bindparam, case, cast, func, literal_column, null, select, union_all

from domain.fraud.entities import Entity, EntityKind
from domain.fraud.windows import (
    LINKS,
    MOST_LINKED,
    NEVER_SEEN,
    NOTHING,
    OF_AN_HOUR,
    BucketSize,
    Counts,
    History,
    Window,
    windows_of,
)
from models.tables import fraud_counters, fraud_entities, fraud_links

_MEASURES = ("tries", "declines", "abandoned", "amount", "frauds")
# psycopg parses a statement of more than 4096 characters each time anew; short names keep it below that.
_entities, _counters, _links = (
    table.alias(name).c for table, name in ((fraud_entities, "e"), (fraud_counters, "c"), (fraud_links, "l"))
)
_ALL_WINDOWS = tuple(Window)
# Of these the hashes are named one by one.
_NAMED_KINDS = tuple(dict.fromkeys((*(kind for kind, _, _ in LINKS), *OF_AN_HOUR)))
# Within these every number of hashes is read by one form of the statement; what is left over is null and fits no row.
_SLOTS = 11
# Of rows that say nothing of when an entity was seen.
_NEVER = (null(), null(), null(), null())
# Windows of one size, the shortest first: each bucket is counted for the shortest that it lies in.
_WINDOWS = {size: windows_of(EntityKind.USER, size) for size in BucketSize}
_WINDOWS_OF_AN_HOUR = windows_of(OF_AN_HOUR[0], BucketSize.FIVE_MINUTES)


def read_histories(connection: Connection, entities: Sequence[Entity], now: datetime) -> dict[str, History]:
    """Return what is known of each entity by its kind. Of an entity under several keys all is added up."""
    if not entities:
        return {}
    hashes = [each for entity in entities if entity.kind not in OF_AN_HOUR for each in entity.hashes]
    slots = max(1, -(-len(hashes) // _SLOTS)) * _SLOTS
    keys = len(entities[0].hashes)
    by_kind = {entity.kind: entity.hashes for entity in entities}
    named: dict[str, Any] = {_from(window): window.first_bucket(now) for window in Window}
    named |= {f"h{slot}": hashes[slot] if slot < len(hashes) else None for slot in range(slots)}
    named |= {
        _hash(kind, key): by_kind[kind][key] if kind in by_kind else None
        for kind in _NAMED_KINDS
        for key in range(keys)
    }
    found = _Found(connection.execute(_select_histories(slots, keys), named))
    return {entity.kind: found.history(entity) for entity in entities}


@cache
def _select_histories(slots: int, keys: int) -> Any:
    """Return a statement that reads so many hashes, of entities that have so many each."""
    hashes: list[Any] = [bindparam(f"h{slot}") for slot in range(slots)]
    of_an_hour: list[Any] = [bindparam(_hash(kind, key)) for kind in OF_AN_HOUR for key in range(keys)]
    numbers = [_number(0).label(name) for name in ("number", *_MEASURES)]
    times = (_entities.first_at, _entities.last_at, _entities.last_fraud_at, _entities.place)
    seen = select(_entities.entity, *numbers, *times).where(_entities.entity.in_([*hashes, *of_an_hour]))
    counted = [_select_counted(size, hashes, _WINDOWS[size]) for size in BucketSize]
    counted.append(_select_counted(BucketSize.FIVE_MINUTES, of_an_hour, _WINDOWS_OF_AN_HOUR))
    linked = [_select_linked(number, keys) for number in range(len(LINKS))]
    return union_all(seen, *counted, *linked)


def _select_counted(size: BucketSize, hashes: Sequence[Any], windows: Sequence[Window]) -> Any:
    """Select the counts of each entity in each window of a size, without those of the shorter windows."""
    *shorter, longest = windows
    is_in: list[Any] = [(_counters.bucket >= bindparam(_from(window)), _number(window)) for window in shorter]
    number = case(*is_in, else_=_number(longest))
    totals = {measure: func.sum(_counters[measure]) for measure in _MEASURES}
    # PostgreSQL adds up amounts as a decimal.
    sums = (totals | {"amount": cast(totals["amount"], BigInteger)}).values()
    return (
        select(_counters.entity, number, *sums, *_NEVER)
        .where(
            _counters.entity.in_(hashes),
            _counters.size == _number(size),
            _counters.bucket >= bindparam(_from(longest)),
        )
        .group_by(_number(1), _number(2))
    )


def _select_linked(number: int, keys: int) -> Any:
    """Select how many were tried together, up to a limit, as one of `LINKS` says."""
    kind, other, window = LINKS[number]
    newest = (
        select(_number(1))
        .where(
            _links.entity.in_([bindparam(_hash(kind, key)) for key in range(keys)]),
            _links.kind == literal_column(f"'{other}'"),
            _links.last_bucket >= bindparam(_from(window)),
        )
        .limit(_number(MOST_LINKED))
        .subquery()
    )
    nothing = [_number(0)] * (len(_MEASURES) - 1)
    return select(null(), _number(-1 - number), func.count(), *nothing, *_NEVER).select_from(newest)


def _from(window: Window) -> str:
    return f"w{_ALL_WINDOWS.index(window)}"


def _hash(kind: str, key: int) -> str:
    return f"{ascii_uppercase[_NAMED_KINDS.index(kind)]}{key}"


def _number(number: int) -> Any:
    """Return a number that is part of the statement, so that its plan may depend on it."""
    return literal_column(str(int(number)))


class _Found:
    """The rows that were read. `number`: a window in seconds, 0 for when an entity was seen, or below it a link."""

    def __init__(self, rows: Iterable[Row[Any]]) -> None:
        self.seen: dict[str, Row[Any]] = {}
        self.counted: dict[tuple[str, int], Counts] = {}
        self.linked: dict[str, dict[tuple[str, Window], int]] = {}
        for row in rows:
            if row.number > 0:
                self.counted[row.entity, row.number] = Counts(*row[2:7])
            elif row.number == 0:
                self.seen[row.entity] = row
            elif row.tries:
                kind, other, window = LINKS[-1 - row.number]
                self.linked.setdefault(kind, {})[other, window] = row.tries

    def history(self, entity: Entity) -> History:
        """Return the history of an entity."""
        seen = [self.seen[each] for each in entity.hashes if each in self.seen]
        if not seen:
            return NEVER_SEEN
        frauds = [row.last_fraud_at for row in seen if row.last_fraud_at is not None]
        return History(
            counts=self._counts(entity),
            linked=self.linked.get(entity.kind, {}),
            first_at=min(row.first_at for row in seen),
            last_at=max(row.last_at for row in seen),
            last_fraud_at=max(frauds, default=None),
            place=next((row.place for row in seen if row.place is not None), None),
        )

    def _counts(self, entity: Entity) -> dict[Window, Counts]:
        found = dict.fromkeys(Window, NOTHING)
        for size in BucketSize:
            so_far = NOTHING
            for window in windows_of(entity.kind, size):
                for each in entity.hashes:
                    counts = self.counted.get((each, window))
                    so_far = so_far if counts is None else so_far + counts
                found[window] = so_far
        return found
