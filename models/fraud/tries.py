"""Tries of payments as signals: when one is begun, and what comes of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Row

from domain.commands import Trigger
from domain.fraud.amounts import in_base
from domain.fraud.entities import Entity, EntityKind, Subject, entities_of
from domain.fraud.payer import subject_of
from domain.fraud.tries import TryResult
from domain.instrument import Instrument
from domain.money import Money
from domain.outcome import Declined
from domain.saved_method import FailedSetup
from models.change import Change
from models.fraud.brakes import look_at_declines
from models.fraud.reservations import Refusal, fail_offered
from models.fraud.signals import (
    Door,
    SignalKind,
    Tried,
    entities_of_signal,
    note_signal,
    signal_of_opening,
    signal_of_try,
)

_KINDS = {
    TryResult.DECLINED: SignalKind.DECLINED,
    TryResult.ABANDONED: SignalKind.ABANDONED,
    TryResult.UNSENT: SignalKind.UNSENT,
}


def note_try(
    change: Change,
    locked: Row[Any],
    entities: Sequence[Entity],
    door: Door = Door.CHARGE,
    *,
    is_offered: bool = False,
    place: Mapping[str, int] | None = None,
) -> None:
    """Count the try of a locked attempt that is about to be sent, once however often it is sent again. `is_offered`: a
    front end may try cards, and each counts when its result comes."""
    amount = in_base(Money(locked.attempt_amount, locked.currency), change.policy.fraud.base_currency)
    about = {"payment_id": locked.id, "attempt_id": locked.attempt_id, "amount": amount, "place": place}
    kind = SignalKind.OPENED if is_offered else SignalKind.TRY
    note_signal(change, kind, Tried(locked.application, door, entities, **about))


def note_result(change: Change, row: Row[Any], result: TryResult, trigger: Trigger) -> Refusal | None:
    """Count what came of a try of a locked attempt. A payment that was not screened when it was tried has no entities,
    and nothing is counted. Return why its front end may try no further card; None if it may, or has none."""
    if result is TryResult.SUCCEEDED and not row.is_client_confirmed:
        note_try(change, row, entities_of_absent(change, row))
        return None
    tried = signal_of_try(change.connection, row.id)
    if tried is None:
        return None
    if row.is_client_confirmed:
        return _note_front_end(change, row, tried, trigger)
    about = {"payment_id": row.id, "attempt_id": row.attempt_id, "amount": tried.amount}
    signal = Tried(row.application, Door(tried.door), entities_of_signal(tried), **about, tried_at=tried.at)
    if note_signal(change, _KINDS[result], signal) and result is TryResult.DECLINED:
        look_at_declines(change, row.application)
    return None


def _note_front_end(change: Change, row: Row[Any], opened: Row[Any], trigger: Trigger) -> Refusal | None:
    """Count a card that a front end has tried on an intent, and its decline."""
    about = {"payment_id": row.id, "amount": opened.amount}
    if isinstance(trigger, Declined):
        reference = trigger.try_reference or ""
        return note_declined_in_front_end(
            change, opened, row.attempt_id, row.attempt_id, reference, trigger.instrument, about
        )
    entities = entities_of_signal(opened)
    tried = Tried(row.application, Door(opened.door), entities, attempt_id=row.attempt_id, **about)
    note_signal(change, SignalKind.TRY, tried)
    return None


def note_declined_in_front_end(
    change: Change,
    opened: Row[Any],
    subject_id: str,
    try_id: str,
    reference: str,
    instrument: Instrument | None,
    about: dict[str, Any],
) -> Refusal | None:
    """Count a card that was declined in what a front end was offered; return why it may try no further one.

    `subject_id`: the attempt or the setup; `try_id`: under which its slots are held; `reference`: of the try."""
    card = card_entity(change, opened.application, instrument)
    known = [each for each in entities_of_signal(opened) if card is None or each.kind != EntityKind.CARD]
    entities = sorted([*known, *([card] if card else [])], key=lambda entity: entity.hash)
    exhausted = fail_offered(change, try_id, reference, card)
    tried = Tried(opened.application, Door(opened.door), entities, attempt_id=subject_id, reference=reference, **about)
    if note_signal(change, SignalKind.TRY, tried):
        note_signal(change, SignalKind.DECLINED, tried)
        look_at_declines(change, opened.application)
    return exhausted


def note_failed_setup(change: Change, failed: FailedSetup) -> tuple[bool, Refusal | None]:
    """Count a card that was declined in a setup of a front end. Return whether the setup was opened here, and why no
    further card may be tried in it."""
    opened = signal_of_opening(change.connection, failed.reference)
    if opened is None:
        return False, None
    reference = failed.try_reference or ""
    named = (failed.reference, opened.reference, reference, failed.instrument)
    return True, note_declined_in_front_end(change, opened, *named, {})


def card_entity(change: Change, application: str, instrument: Instrument | None) -> Entity | None:
    """Return the entity of a card that a provider has shown."""
    if instrument is None:
        return None
    [card] = entities_of(Subject(card=instrument.fingerprint), application, change.policy.fraud.keys)
    return card


def entities_of_absent(change: Change, row: Row[Any]) -> tuple[Entity, ...]:
    """Return the entities of a payment whose customer is away: nothing but the user and their instrument."""
    fingerprint = row._mapping.get("instrument_fingerprint")
    subject = subject_of(row.user_id, {}, row.method_token, fingerprint)
    return entities_of(subject, row.application, change.policy.fraud.keys)
