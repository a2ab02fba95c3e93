"""Every write of a label: what a source says of a payment, and the counts of the payment's entities with it.

A payment counts as one fraud however many sources say so, from the moment at which the first of them does."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, select, update

from domain.fraud.amounts import in_base
from domain.fraud.entities import Entity, entities_of
from domain.fraud.labels import LabelSource, is_fraud
from domain.money import Money
from models.audit import record_event
from models.change import Change
from models.fraud.signals import (
    Door,
    SignalKind,
    Tried,
    entities_of_signal,
    note_signal,
    signal_of_try,
    take_back_fraud,
)
from models.fraud.subjects import find_payment_for_scoring, scoring_request
from models.session import insert_new
from models.tables import fraud_labels
from models.transition_locks import lock_payment


def label_payment(
    change: Change, payment_id: str, source: LabelSource, *, is_fraud: bool, note: str | None = None
) -> None:
    """Store what a source says of a payment, which is locked, and count it. What it has said before changes nothing.

    `note`: without personal data. Raises NotFound."""
    payment = lock_payment(change.connection, payment_id)
    rows = _read(change.connection, payment_id)
    known = rows.get(source)
    is_news = known is None or known.is_fraud is not is_fraud
    if not is_news and note in (None, known and known.note):
        return
    at = change.now if known is None or is_news else known.at
    values = {"is_fraud": is_fraud, "at": at, "author": change.actor, "note": note}
    _store(change, payment_id, source, values)
    before = {name: bool(row.is_fraud) for name, row in rows.items()}
    _count(change, payment, source, before, before | {source: is_fraud})


def labels_of(connection: Connection, payment_id: str) -> list[dict[str, Any]]:
    """Return how a payment shows what is said of it, oldest first."""
    query = select(fraud_labels).where(fraud_labels.c.payment_id == payment_id)
    rows = connection.execute(query.order_by(fraud_labels.c.at, fraud_labels.c.source))
    return [
        {
            "source": row.source,
            "is_fraud": row.is_fraud,
            "at": _text(row.at),
            "author": row.author,
            **({"note": row.note} if row.note else {}),
        }
        for row in rows
    ]


def fraud_among(connection: Connection, payment_ids: Iterable[str]) -> frozenset[str]:
    """Return which of these payments are fraud, by all that is said of each now."""
    said: dict[str, dict[str, bool]] = {}
    for row in connection.execute(select(fraud_labels).where(fraud_labels.c.payment_id.in_(list(payment_ids)))):
        said.setdefault(row.payment_id, {})[row.source] = bool(row.is_fraud)
    return frozenset(payment_id for payment_id, labels in said.items() if is_fraud(labels))


def _read(connection: Connection, payment_id: str) -> dict[str, Row[Any]]:
    query = select(fraud_labels).where(fraud_labels.c.payment_id == payment_id)
    return {row.source: row for row in connection.execute(query)}


def _store(change: Change, payment_id: str, source: LabelSource, values: dict[str, Any]) -> None:
    key = {"payment_id": payment_id, "source": source}
    if not insert_new(change.connection, fraud_labels, key | values):
        is_it = (fraud_labels.c.payment_id == payment_id) & (fraud_labels.c.source == source)
        change.connection.execute(update(fraud_labels).where(is_it).values(values))
    said = {name: values[name] for name in ("is_fraud", "note") if values[name] is not None}
    data = {"source": source, **said}
    record_event(
        change.connection, "payment_labeled", actor=change.actor, now=change.now, payment_id=payment_id, data=data
    )


def _count(
    change: Change, payment: Row[Any], source: LabelSource, before: dict[str, bool], after: dict[str, bool]
) -> None:
    if is_fraud(before) is is_fraud(after):
        return
    tried = _tried(change, payment, source)
    if is_fraud(after):
        note_signal(change, SignalKind.FRAUD, tried)
    else:
        take_back_fraud(change, tried)


def _tried(change: Change, payment: Row[Any], source: LabelSource) -> Tried:
    """Return what the payment's signals are about: its newest try, or itself if it was blocked before it was tried."""
    known = signal_of_try(change.connection, payment.id)
    if known is not None:
        about = (Door(known.door), entities_of_signal(known), known.amount)
    else:
        amount = in_base(Money(payment.amount, payment.currency), change.policy.fraud.base_currency)
        about = (Door.CHARGE, _entities_untried(change, payment), amount)
    door, entities, amount = about
    return Tried(payment.application, door, entities, amount, payment_id=payment.id, reference=source)


def _entities_untried(change: Change, payment: Row[Any]) -> tuple[Entity, ...]:
    row = find_payment_for_scoring(change.connection, payment.id)
    if row is None:
        return ()
    request = scoring_request(row)
    return entities_of(request.subject, request.application, change.policy.fraud.keys)


def _text(instant: datetime) -> str:
    return instant.isoformat(timespec="milliseconds").replace("+00:00", "Z")
