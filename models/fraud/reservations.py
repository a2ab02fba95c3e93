"""Every write of a slot: a try takes one of each limited entity, or none of any, in the transaction that begins it.

The rows of the entities are locked in the order of their hashes, after the payment and before its signals are counted.
Who gives a slot back locks nothing: the count only falls by it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from typing import Any

from sqlalchemy import ColumnElement, and_, bindparam, case, delete, func, or_, select, update

from domain.fraud.entities import Entity
from domain.fraud.limits import (
    COUNTED,
    DAY,
    HOUR,
    IN_FLIGHT_FOR,
    Counted,
    Limit,
    Payer,
    Room,
    Slot,
    SlotState,
    Used,
    room_in,
    slots_of,
)
from models.change import Change
from models.session import insert_new, upsert
from models.tables import fraud_limits, fraud_reservations

_held = fraud_reservations.c
_is_in_flight = fraud_reservations.c.state.in_([SlotState.OFFERED, SlotState.SENT]) & (
    _held.at > bindparam("in_flight_since")
)
_is_tried = or_(fraud_reservations.c.state != SlotState.OFFERED, _held.at > bindparam("in_flight_since"))
_has_failed = (fraud_reservations.c.state == SlotState.FAILED) & (_held.at > bindparam("hour_ago"))


def _cards(*where: ColumnElement[bool]) -> Any:
    return func.count(case((and_(_held.card != bindparam("card"), *where), _held.card)).distinct())


def _name(counted: Counted, within: timedelta) -> str:
    return f"{counted}_{int(within.total_seconds())}"


# One column for each of COUNTED.
_used = {
    _name(Counted.TRIES, DAY): func.sum(case((_is_tried, 1), else_=0)),
    _name(Counted.CARDS, HOUR): _cards(_is_tried, _held.at > bindparam("hour_ago")),
    _name(Counted.CARDS, IN_FLIGHT_FOR): _cards(_held.at > bindparam("in_flight_since")),
    _name(Counted.FAILING_CARDS, HOUR): _cards(or_(_has_failed, _is_in_flight)),
}
if list(_used) != [_name(*each) for each in COUNTED]:
    raise AssertionError("bug: what limits count is not what is read")
_select_used: Any = (
    select(
        _held.entity, *(column.label(name) for name, column in _used.items()), _cards(_has_failed).label("failed_cards")
    )
    .where(
        _held.entity.in_(bindparam("entities", expanding=True)),
        _held.at > bindparam("day_ago"),
        _held.try_id != bindparam("try_id"),
    )
    .group_by(_held.entity)
)
_select_kinds_of_try: Any = (
    select(fraud_limits.c.entity, fraud_limits.c.kind)
    .join(fraud_reservations, _held.entity == fraud_limits.c.entity)
    .where(_held.try_id == bindparam("held_by"))
)
_is_of_try = _held.try_id == bindparam("held_by")
_delete_slots = delete(fraud_reservations).where(_is_of_try)
_update_slots = (
    update(fraud_reservations)
    .where(_is_of_try)
    # What a front end was offered is tried when its result comes.
    .values(
        state=bindparam("new_state"),
        at=case(
            (fraud_reservations.c.state == SlotState.OFFERED, bindparam("now", type_=_held.at.type)), else_=_held.at
        ),
    )
)


@dataclass(frozen=True, slots=True)
class Refusal:
    """The limit that leaves no room for a try. `room`: whether there may be some in a moment."""

    room: Room
    slot: Slot
    limit: Limit

    @property
    def data(self) -> dict[str, Any]:
        """What an event records of it."""
        return {
            "limit": self.limit.counted,
            "of": self.slot.entity.kind,
            "most": self.limit.most,
            "minutes": int(self.limit.within / timedelta(minutes=1)),
        }


def reserve(
    change: Change,
    slots: Sequence[Slot],
    try_id: str,
    card: str | None,
    state: SlotState = SlotState.SENT,
    *,
    is_limited: bool = True,
) -> Refusal | None:
    """Take all slots of a try, or return why there is no room and take none. A try that has them keeps them.

    `card`: its hash, where it is known. `is_limited` False: the try is counted and not refused."""
    if not slots:
        return None
    _lock(change, slots)
    refusal = _refusal(change, slots, try_id, card or try_id) if is_limited else None
    if refusal is None:
        rows = [
            {"entity": slot.entity.hash, "try_id": try_id, "state": state, "card": card or try_id, "at": change.now}
            for slot in slots
        ]
        change.connection.execute(_take(change.connection.dialect.name), rows)
    return refusal


def _lock(change: Change, slots: Sequence[Slot]) -> None:
    rows = [
        {
            "entity": slot.entity.hash,
            "kind": slot.entity.kind,
            "refused": 0,
            "refused_since": None,
            "last_at": change.now,
        }
        for slot in slots
    ]
    change.connection.execute(_touch(change.connection.dialect.name), rows)


@cache
def _touch(dialect_name: str) -> Any:
    return upsert(dialect_name, fraud_limits, lambda new: {"last_at": new.last_at})


@cache
def _take(dialect_name: str) -> Any:
    return upsert(dialect_name, fraud_reservations, lambda new: {"at": new.at, "state": new.state})


def _refusal(change: Change, slots: Sequence[Slot], try_id: str, card: str) -> Refusal | None:
    """Return why a try finds no room beside all others; what is full comes before what may become free."""
    now = change.now
    named = {"try_id": try_id, "card": card, "entities": [each for slot in slots for each in slot.entity.hashes]}
    times = {"day_ago": now - DAY, "hour_ago": now - HOUR, "in_flight_since": now - IN_FLIGHT_FOR}
    rows = {row.entity: row._mapping for row in change.connection.execute(_select_used, named | times)}
    found = [
        Refusal(room, slot, limit)
        for slot in slots
        for limit in slot.limits
        if (room := room_in(limit, _used_of(slot.entity, limit, rows))) is not Room.FREE
    ]
    return next((each for each in found if each.room is Room.FULL), found[0] if found else None)


def _used_of(entity: Entity, limit: Limit, rows: dict[str, Any]) -> Used:
    found = [rows[each] for each in entity.hashes if each in rows]
    used = sum(int(row[_name(limit.counted, limit.within)] or 0) for row in found)
    if limit.counted is not Counted.FAILING_CARDS:
        return Used(used)
    return Used(used, used - sum(int(row["failed_cards"]) for row in found))


def end_slots(change: Change, try_id: str, state: SlotState | None) -> None:
    """Keep what became of a try in its slots; None gives them back."""
    if state is None:
        change.connection.execute(_delete_slots, {"held_by": try_id})
    else:
        named = {"held_by": try_id, "new_state": state, "now": change.now}
        change.connection.execute(_update_slots, named)


def fail_offered(change: Change, try_id: str, reference: str, card: Entity | None) -> Refusal | None:
    """Count a card that was declined in a front end, apart from what else may be tried there; return why nothing more
    may be. `try_id`: of what was offered; `reference`: of the try."""
    offered = change.connection.execute(_select_kinds_of_try, {"held_by": try_id}).all()
    if not offered or not change.policy.fraud.has_limits:
        return None
    entities = {row.entity: Entity(row.kind, (row.entity,)) for row in offered}
    if card is not None:
        entities[card.hash] = card
    slots = slots_of(entities.values(), Payer(has_fingerprint=True), change.policy.fraud)
    tried = f"{try_id}/{reference}"[:300]
    failed = {"try_id": tried, "state": SlotState.FAILED, "card": card.hash if card else tried, "at": change.now}
    _lock(change, slots)
    for slot in slots:
        insert_new(change.connection, fraud_reservations, failed | {"entity": slot.entity.hash})
    refusal = _refusal(change, slots, try_id, try_id)
    return refusal if refusal is not None and refusal.room is Room.FULL else None
