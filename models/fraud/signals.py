"""Every write of a signal: a try, or what came of it; and the counts of its entities, in the same transaction.

Tables and rows are written in one order, so that two tries that share entities never wait for each other in a circle.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum
from functools import cache
from typing import Any
from zlib import crc32

from sqlalchemy import BigInteger, Connection, Row, Select, delete, func, select, tuple_, update

from domain.fraud.entities import Entity, EntityKind
from domain.fraud.windows import LINKS, bucket_of, sizes_of
from models.change import Change
from models.session import Upsert, insert_new, write_rows
from models.tables import fraud_counters, fraud_entities, fraud_links, fraud_signals

APPLICATION = "application"
APPLICATION_PARTS = 8


class Door(StrEnum):
    """Where an issuer was made to look at a card."""

    CHARGE = "charge"
    FRONT_END_INTENT = "front_end_intent"
    SETUP = "setup"
    ATTACH = "attach"


class SignalKind(StrEnum):
    """What happened. `opened`: a front end may try cards from now on; it counts nothing."""

    OPENED = "opened"
    TRY = "try"
    DECLINED = "declined"
    ABANDONED = "abandoned"
    UNSENT = "unsent"
    FRAUD = "fraud"
    CLEARED = "cleared"


@dataclass(frozen=True, slots=True)
class Tried:
    """Who and what a signal is about. `amount`: in hundredths of the base currency. `reference`: tells apart what
    happens to one attempt several times. `place`: where the user is, if that is known of one person. `tried_at`: when a
    try was counted that is taken back."""

    application: str
    door: Door
    entities: Sequence[Entity]
    amount: int | None = None
    payment_id: str | None = None
    attempt_id: str | None = None
    reference: str = ""
    place: Mapping[str, int] | None = None
    tried_at: datetime | None = None


# What each kind adds to the counts. What was proven not sent, or was no fraud after all, is taken back.
_ADDS: dict[SignalKind, dict[str, int]] = {
    SignalKind.OPENED: {},
    SignalKind.TRY: {"tries": 1},
    SignalKind.DECLINED: {"declines": 1},
    SignalKind.ABANDONED: {"abandoned": 1},
    SignalKind.UNSENT: {"tries": -1},
    SignalKind.FRAUD: {"frauds": 1},
    SignalKind.CLEARED: {"frauds": -1},
}
# Parameters of one statement.
_BATCH = 1_000
_COUNTED = ("tries", "declines", "abandoned", "amount", "frauds")


def note_signal(change: Change, kind: SignalKind, tried: Tried, counted_at: datetime | None = None) -> bool:
    """Store a signal and count it for each of its entities, now unless a time is given; return False if it was stored
    before."""
    values = {
        "at": change.now,
        "application": tried.application,
        "kind": kind,
        "door": tried.door,
        "payment_id": tried.payment_id,
        "attempt_id": tried.attempt_id,
        "reference": tried.reference,
        "amount": tried.amount,
        "entities": {entity.kind: entity.hash for entity in tried.entities},
    }
    if not insert_new(change.connection, fraud_signals, values):
        return False
    if tried.entities and _ADDS[kind]:
        # A try is taken back where it was counted, or windows that begin later would fall below nothing.
        taken_back_at = tried.tried_at if kind is SignalKind.UNSENT else None
        _count(change, kind, tried, counted_at or taken_back_at or change.now)
    return True


def take_back_fraud(change: Change, tried: Tried) -> None:
    """Store that a payment was no fraud after all, and take it back where it was counted."""
    is_it = (fraud_signals.c.payment_id == tried.payment_id) & (fraud_signals.c.kind == SignalKind.FRAUD)
    newest = select(fraud_signals).where(is_it).order_by(fraud_signals.c.id.desc()).limit(1)
    counted = change.connection.execute(newest).one_or_none()
    if counted is None:
        return  # its signals were deleted meanwhile, and what they had added is too old to be read
    entities = entities_of_signal(counted)
    note_signal(change, SignalKind.CLEARED, replace(tried, entities=entities), counted.at)
    for entity in entities:
        _recount_last_fraud(change.connection, entity)


def _recount_last_fraud(connection: Connection, entity: Entity) -> None:
    """Let the last fraud of an entity be the newest that is still counted, as exactly as its bucket says."""
    counters = fraud_counters.c
    is_counted = (counters.entity == entity.hash) & (counters.frauds > 0)
    begins_at = connection.scalar(select(func.max(counters.bucket.cast(BigInteger) * counters.size)).where(is_counted))
    last_at = None if begins_at is None else datetime.fromtimestamp(begins_at, UTC)
    is_it = fraud_entities.c.entity == entity.hash
    connection.execute(update(fraud_entities).where(is_it).values(last_fraud_at=last_at))


def _count(change: Change, kind: SignalKind, tried: Tried, at: datetime) -> None:
    adds = dict.fromkeys(_COUNTED, 0) | _ADDS[kind]
    adds["amount"] = adds["tries"] * (tried.amount or 0)
    counted = [
        {"entity": entity.hash, "size": int(size), "bucket": bucket_of(at, size), **adds}
        for entity in sorted([*tried.entities, _application_of(tried)], key=lambda entity: entity.hash)
        for size in sizes_of(entity.kind)
    ]
    seen = [{"entity": entity.hash, "kind": entity.kind, "first_at": at, "last_at": at} for entity in tried.entities]
    if kind is SignalKind.TRY:
        links = list(_links(tried.entities, bucket_of(at)))
        write_rows(change.connection, (_COUNTERS, counted), (_SEEN, seen), (_LINKS, links))
        _forget_older_links(change.connection, tried.entities)
        _note_place(change.connection, tried)
    elif kind is SignalKind.FRAUD:
        known = [row | {"last_fraud_at": at} for row in seen]
        write_rows(change.connection, (_COUNTERS, counted), (_FRAUDS, known))
    else:
        write_rows(change.connection, (_COUNTERS, counted))


def _application_of(tried: Tried) -> Entity:
    """Return the part of an application in which a try is counted: all tries of one row would wait for each other."""
    part = crc32((tried.attempt_id or tried.payment_id or "").encode()) % APPLICATION_PARTS
    return Entity(APPLICATION, (hashes_of_application(tried.application)[part],))


@cache
def hashes_of_application(application: str) -> tuple[str, ...]:
    """Return under which entities the tries of an application are counted. Its name is no secret."""
    texts = (f"{APPLICATION}\0{application}\0{part}" for part in range(APPLICATION_PARTS))
    return tuple(hashlib.sha256(text.encode()).hexdigest()[:32] for text in texts)


def _note_place(connection: Connection, tried: Tried) -> None:
    user = next((entity for entity in tried.entities if entity.kind == EntityKind.USER), None)
    if tried.place is not None and user is not None:
        is_it = fraud_entities.c.entity == user.hash
        connection.execute(update(fraud_entities).where(is_it).values(place=dict(tried.place)))


def _links(entities: Sequence[Entity], bucket: int) -> Iterable[dict[str, Any]]:
    for entity, kind, other in _pairs({entity.kind: entity.hash for entity in entities}):
        yield {"entity": entity, "kind": kind, "other": other, "last_bucket": bucket}


def _pairs(hashes: dict[str, str]) -> list[tuple[str, str, str]]:
    """Return which entity is linked with which other of which kind, sorted. `hashes`: under one key, by kind."""
    return sorted({(hashes[one], other, hashes[other]) for one, other, _ in LINKS if one in hashes and other in hashes})


def _forget_older_links(connection: Connection, entities: Sequence[Entity]) -> None:
    """Delete the links under older keys that are stored under the present one now, or they would count twice."""
    under_older_keys = zip(*(entity.hashes[1:] for entity in entities), strict=True)
    kinds = [entity.kind for entity in entities]
    older = [pair for hashes in under_older_keys for pair in _pairs(dict(zip(kinds, hashes, strict=True)))]
    if older:
        key = tuple_(*fraud_links.primary_key.columns)
        connection.execute(delete(fraud_links).where(key.in_(older)))


_COUNTERS = Upsert(
    fraud_counters,
    ("entity", "size", "bucket"),
    _COUNTED,
    lambda new: {name: fraud_counters.c[name] + new[name] for name in _COUNTED},
)
_SEEN = Upsert(fraud_entities, ("entity", "kind"), ("first_at", "last_at"), lambda new: {"last_at": new.last_at})
_FRAUDS = Upsert(
    fraud_entities,
    ("entity", "kind"),
    ("first_at", "last_at", "last_fraud_at"),
    lambda new: {"last_fraud_at": new.last_fraud_at},
)
_LINKS = Upsert(
    fraud_links,
    ("entity", "kind", "other"),
    ("last_bucket",),
    lambda new: {"last_bucket": new.last_bucket},
    # Within one bucket nothing is written again.
    lambda new: fraud_links.c.last_bucket < new.last_bucket,
)


def signal_of_try(connection: Connection, payment_id: str) -> Row[Any] | None:
    """Return the newest try of a payment that was stored, or what a front end was offered of it, with the hashes of its
    entities."""
    tries = (fraud_signals.c.payment_id == payment_id) & fraud_signals.c.kind.in_([SignalKind.TRY, SignalKind.OPENED])
    newest = select(fraud_signals).where(tries).order_by(fraud_signals.c.id.desc()).limit(1)
    return connection.execute(newest).one_or_none()


def signal_of_opening(connection: Connection, opened_id: str) -> Row[Any] | None:
    """Return what a front end was offered: a setup, by the provider's id of it."""
    is_it = (fraud_signals.c.attempt_id == opened_id) & (fraud_signals.c.kind == SignalKind.OPENED)
    return connection.execute(select(fraud_signals).where(is_it)).one_or_none()


def entities_of_signal(signal: Row[Any]) -> tuple[Entity, ...]:
    """Return the entities of a stored signal, in the order in which they are locked."""
    found = (Entity(kind, (value,)) for kind, value in signal.entities.items())
    return tuple(sorted(found, key=lambda entity: entity.hash))


def erase_signals(
    change: Change, payment_ids: Select[tuple[str]], application: str, user: Entity
) -> tuple[int, list[Entity]]:
    """Empty the entities of a person's signals: those of their payments, and those without one that name the user.
    Return of how many, and the entities."""
    of_user = fraud_signals.c.entities[str(EntityKind.USER)].as_string().in_(user.hashes)
    without_payment = fraud_signals.c.payment_id.is_(None) & (fraud_signals.c.application == application) & of_user
    is_meant = fraud_signals.c.payment_id.in_(payment_ids) | without_payment
    rows = change.connection.execute(select(fraud_signals.c.id, fraud_signals.c.entities).where(is_meant)).all()
    named = [row.id for row in rows if row.entities]
    for begin in range(0, len(named), _BATCH):
        batch = fraud_signals.c.id.in_(named[begin : begin + _BATCH])
        change.connection.execute(update(fraud_signals).where(batch).values(entities={}))
    found = {(kind, value) for row in rows for kind, value in row.entities.items()}
    return len(named), [Entity(kind, (value,)) for kind, value in sorted(found)]


def erase_entities(change: Change, personal: Collection[str], met: Iterable[Entity]) -> int:
    """Delete what is counted of entities, and that others were tried with them. `met`: those that may have been. Return
    how many entities were known."""
    connection, hashes = change.connection, sorted(personal)
    others = sorted({each for entity in met for each in entity.hashes})
    connection.execute(delete(fraud_counters).where(fraud_counters.c.entity.in_(hashes)))
    with_them = fraud_links.c.entity.in_(others) & fraud_links.c.other.in_(hashes)
    connection.execute(delete(fraud_links).where(fraud_links.c.entity.in_(hashes) | with_them))
    return connection.execute(delete(fraud_entities).where(fraud_entities.c.entity.in_(hashes))).rowcount
