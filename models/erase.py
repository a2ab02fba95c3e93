"""Erases what is stored of a person. Payments, movements and events stay: they are the books."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import select

from domain.errors import Conflict, NotFound
from domain.fraud.entities import PERSONAL, Entity, Subject, entities_of
from domain.fraud.payer import subject_of
from models.audit import record_event
from models.change import Change
from models.customers import erase_customer
from models.fraud.signals import erase_entities, erase_signals
from models.session import limit_statements
from models.tables import payments
from models.transition import erase_payers
from models.webhook_events import erase_payloads

# No index leads from a person to the signals of set-ups, nor to stored events.
_LONGEST_STATEMENT = timedelta(minutes=2)


@dataclass(frozen=True, slots=True)
class Erased:
    """What was erased: payers of payments, signals whose entities are gone, entities with their counts, payloads of
    events. `left`: payments that are still collected and keep their payer until they have ended."""

    payments: int
    left: int
    signals: int
    entities: int
    webhook_events: int


def erase_user(change: Change, user_id: str, application: str) -> Erased:
    """Erase a user of an application. What is erased already stays so.

    Raises NotFound if nothing is stored of them, Conflict for a user id that stands for many people."""
    if user_id in change.policy.fraud.shared_accounts:
        raise Conflict("this user id stands for many people (FRAUD_SHARED_ACCOUNTS); none of them can be erased by it")
    limit_statements(change.connection, _LONGEST_STATEMENT)
    of_user = (payments.c.user_id == user_id) & (payments.c.application == application)
    ids = select(payments.c.id).where(of_user)
    payers = [payer or {} for payer in change.connection.scalars(select(payments.c.payer).where(of_user))]
    email, is_customer = erase_customer(change, user_id, application)
    if not payers and not is_customer:
        raise NotFound("nothing is stored of this user; check the user id and the application")
    keys = change.policy.fraud.keys
    subjects = [Subject(user=user_id, email=email), *(subject_of(user_id, payer) for payer in payers)]
    told = [entity for subject in subjects for entity in entities_of(subject, application, keys)]
    [user] = entities_of(Subject(user=user_id), application, keys)
    signals, stored = erase_signals(change, ids, application, user)
    met = [*told, *stored]
    entities = erase_entities(change, _personal(met), met)
    erased, left = erase_payers(change, user_id, application)
    result = Erased(erased, left, signals, entities, erase_payloads(change, ids))
    data = {"payments": result.payments, "left": result.left, "signals": result.signals}
    record_event(change.connection, "user_erased", actor=change.actor, now=change.now, data=data)
    return result


def _personal(entities: Iterable[Entity]) -> frozenset[str]:
    return frozenset(each for entity in entities if entity.kind in PERSONAL for each in entity.hashes)
