"""Tries of payments as signals: when one is begun, and what comes of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Row

from domain.commands import Trigger
from domain.fraud.amounts import in_base
from domain.fraud.entities import Entity, entities_of
from domain.fraud.payer import subject_of
from domain.fraud.tries import TryResult
from domain.money import Money
from domain.outcome import Declined
from models.change import Change
from models.fraud.signals import Door, SignalKind, Tried, entities_of_signal, note_signal, signal_of_try

_KINDS = {
    TryResult.DECLINED: SignalKind.DECLINED,
    TryResult.ABANDONED: SignalKind.ABANDONED,
    TryResult.UNSENT: SignalKind.UNSENT,
}


def note_try(change: Change, locked: Row[Any], entities: Sequence[Entity], door: Door = Door.CHARGE) -> None:
    """Count the try of a locked attempt that is about to be sent, once however often it is sent again."""
    amount = in_base(Money(locked.attempt_amount, locked.currency), change.policy.fraud.base_currency)
    about = {"payment_id": locked.id, "attempt_id": locked.attempt_id, "amount": amount}
    note_signal(change, SignalKind.TRY, Tried(locked.application, door, entities, **about))


def note_result(change: Change, row: Row[Any], result: TryResult, trigger: Trigger) -> None:
    """Count what came of a try of a locked attempt. A payment that was not screened when it was tried has no entities,
    and nothing is counted."""
    if result is TryResult.SUCCEEDED:
        note_try(change, row, entities_of_absent(change, row))
        return
    tried = signal_of_try(change.connection, row.id)
    if tried is None:
        return
    reference = (trigger.try_reference or "") if isinstance(trigger, Declined) else ""
    about = {"payment_id": row.id, "attempt_id": row.attempt_id, "amount": tried.amount, "reference": reference}
    signal = Tried(row.application, Door(tried.door), entities_of_signal(tried), **about, tried_at=tried.at)
    note_signal(change, _KINDS[result], signal)


def entities_of_absent(change: Change, row: Row[Any]) -> tuple[Entity, ...]:
    """Return the entities of a payment whose customer is away: nothing but the user and their instrument."""
    fingerprint = row._mapping.get("instrument_fingerprint")
    subject = subject_of(row.user_id, {}, row.method_token, fingerprint)
    return entities_of(subject, row.application, change.policy.fraud.keys)
