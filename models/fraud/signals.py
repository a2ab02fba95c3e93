"""Every write of a signal: a try, or what came of it; and the counts of its entities, in the same transaction.

Tables and rows are written in one order, so that two tries that share entities never wait for each other in a circle.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, Row, delete, select, tuple_

from domain.fraud.entities import Entity
from domain.fraud.windows import LINKS, bucket_of, sizes_of
from models.change import Change
from models.session import Upsert, insert_new, write_rows
from models.tables import fraud_counters, fraud_entities, fraud_links, fraud_signals


class Door(StrEnum):
    """Where an issuer was made to look at a card."""

    CHARGE = "charge"
    FRONT_END_INTENT = "front_end_intent"
    SETUP = "setup"
    ATTACH = "attach"


class SignalKind(StrEnum):
    """What happened."""

    TRY = "try"
    DECLINED = "declined"
    ABANDONED = "abandoned"
    UNSENT = "unsent"
    FRAUD = "fraud"


@dataclass(frozen=True, slots=True)
class Tried:
    """Who and what a signal is about. `amount`: in hundredths of the base currency. `reference`: tells apart what
    happens to one attempt several times. `tried_at`: when a try was counted that is taken back."""

    application: str
    door: Door
    entities: Sequence[Entity]
    amount: int | None = None
    payment_id: str | None = None
    attempt_id: str | None = None
    reference: str = ""
    tried_at: datetime | None = None


# What each kind adds to the counts. What was proven not sent is taken back.
_ADDS: dict[SignalKind, dict[str, int]] = {
    SignalKind.TRY: {"tries": 1},
    SignalKind.DECLINED: {"declines": 1},
    SignalKind.ABANDONED: {"abandoned": 1},
    SignalKind.UNSENT: {"tries": -1},
    SignalKind.FRAUD: {"frauds": 1},
}
_COUNTED = ("tries", "declines", "abandoned", "amount", "frauds")


def note_signal(change: Change, kind: SignalKind, tried: Tried) -> bool:
    """Store a signal and count it for each of its entities; return False if it was stored before."""
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
    if tried.entities:
        # A try is taken back where it was counted, or windows that begin later would fall below nothing.
        at = tried.tried_at if kind is SignalKind.UNSENT and tried.tried_at is not None else change.now
        _count(change, kind, tried, at)
    return True


def _count(change: Change, kind: SignalKind, tried: Tried, at: datetime) -> None:
    adds = dict.fromkeys(_COUNTED, 0) | _ADDS[kind]
    adds["amount"] = adds["tries"] * (tried.amount or 0)
    counted = [
        {"entity": entity.hash, "size": int(size), "bucket": bucket_of(at, size), **adds}
        for entity in tried.entities
        for size in sizes_of(entity.kind)
    ]
    seen = [{"entity": entity.hash, "kind": entity.kind, "first_at": at, "last_at": at} for entity in tried.entities]
    if kind is SignalKind.TRY:
        links = list(_links(tried.entities, bucket_of(at)))
        write_rows(change.connection, (_COUNTERS, counted), (_SEEN, seen), (_LINKS, links))
        _forget_older_links(change.connection, tried.entities)
    elif kind is SignalKind.FRAUD:
        known = [row | {"last_fraud_at": at} for row in seen]
        write_rows(change.connection, (_COUNTERS, counted), (_FRAUDS, known))
    else:
        write_rows(change.connection, (_COUNTERS, counted))


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
    """Return the newest try of a payment that was stored, with the hashes of its entities."""
    tries = (fraud_signals.c.payment_id == payment_id) & (fraud_signals.c.kind == SignalKind.TRY)
    newest = select(fraud_signals).where(tries).order_by(fraud_signals.c.id.desc()).limit(1)
    return connection.execute(newest).one_or_none()


def entities_of_signal(signal: Row[Any]) -> tuple[Entity, ...]:
    """Return the entities of a stored signal, in the order in which they are locked."""
    found = (Entity(kind, (value,)) for kind, value in signal.entities.items())
    return tuple(sorted(found, key=lambda entity: entity.hash))
