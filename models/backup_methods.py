"""Every write of a backup method: which a customer has agreed to, in their order, and the payment that one is tried by.

A row is never deleted: the consent that was given stays on record, also once it is withdrawn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, and_, select, true, update

from domain.dunning.backup import Backup, choose
from domain.dunning.case import OPEN_CASES, TryCause
from domain.dunning.operators import may_be_tried_unasked
from domain.instrument import Instrument
from domain.invoice import reason_to_stop_dunning
from domain.money import Money
from domain.payment import Verb
from domain.saved_method import MethodStatus, token_hash
from models.audit import record_event
from models.change import Change
from models.dunning_cases import case_of, find_case_row, siblings_with_case
from models.instruments import save_instrument
from models.new_payments import first_attempt, new_payment, store_payment
from models.provider_customers import User, user_hash
from models.queries import invoice_position
from models.session import insert_new
from models.subscriptions import is_subscription_canceled
from models.tables import attempts, backup_methods, dunning_cases, instruments, payments, saved_methods
from models.task_messages import TaskMessage, message_for_attempt

_ACTOR = "dunning"


@dataclass(frozen=True, slots=True)
class AgreedMethod:
    """A saved method that a customer has agreed to be charged by as a backup. `agreed_at`, `wording`, `channel`: when,
    to which words, and where they stood. `instrument`: the card or account behind it, where that is known."""

    provider: str
    token: str
    method: str
    brand: str | None
    last4: str | None
    agreed_at: datetime
    wording: str
    channel: str
    instrument: Instrument | None = None


def replace_backups(change: Change, user: User, agreed: Sequence[AgreedMethod]) -> None:
    """Store the backup methods of a user in this order, in place of those that were stored."""
    kept = {(one.provider, token_hash(one.token)) for one in agreed}
    for row in find_backups(change.connection, user):
        if (row.provider, row.token_hash) not in kept:
            _remove(change, user, row)
    for position, one in enumerate(agreed):
        _store(change, user, one, position)
        if one.instrument is not None:
            # The same card under another token is no other method.
            save_instrument(change, user, one.provider, one.token, one.instrument)


def remove_backup(change: Change, user: User, hashed: str) -> bool:
    """Let a method be no backup any more, by the hash of its token; return whether it was one."""
    found = [row for row in find_backups(change.connection, user) if row.token_hash == hashed]
    for row in found:
        _remove(change, user, row)
    return bool(found)


def find_backups(connection: Connection, user: User) -> Sequence[Row[Any]]:
    """Return the backup methods of a user in their order, with what is known of each."""
    known = (
        saved_methods.c.status,
        instruments.c.blocked_as,
        instruments.c.fingerprint,
    )
    query = (
        select(backup_methods, *known)
        .outerjoin(
            saved_methods,
            and_(
                saved_methods.c.provider == backup_methods.c.provider,
                saved_methods.c.token_hash == backup_methods.c.token_hash,
            ),
        )
        .outerjoin(
            instruments,
            and_(
                instruments.c.application == backup_methods.c.application,
                instruments.c.user_id == backup_methods.c.user_id,
                instruments.c.provider == backup_methods.c.provider,
                instruments.c.token == backup_methods.c.token,
            ),
        )
        .where(_is_of(user), backup_methods.c.removed_at.is_(None))
        .order_by(backup_methods.c.position, backup_methods.c.provider, backup_methods.c.token_hash)
    )
    return connection.execute(query).all()


def show_backups(connection: Connection, user: User) -> list[dict[str, Any]]:
    """Return the backup methods of a user as the API shows them."""
    return [
        {
            "payment_method_token": row.token,
            "kind": row.method,
            "brand": row.brand,
            "last4": row.last4,
            "consent": {"agreed_at": _text(row.agreed_at), "wording": row.wording, "channel": row.channel},
            "recorded_by": row.actor,
        }
        for row in find_backups(connection, user)
    ]


def open_backup_payment(change: Change, dunned: Row[Any], backups: Sequence[Row[Any]]) -> TaskMessage | None:
    """Accept a payment of the debt of a payment in dunning by the next of its customer's backup methods, due now;
    return what to publish. Payment and invoice are locked. None where none is left, or another payment collects it.

    It is a payment of its own: the dunned one keeps its method and its plan."""
    connection = change.connection
    position = invoice_position(connection, dunned.invoice_id, dunned.application)
    is_canceled = is_subscription_canceled(connection, dunned)
    stop = reason_to_stop_dunning(position, dunned.amount, is_subscription_canceled=is_canceled)
    if position.live_payment is not None or stop is not None or not _may_be_tried(change, dunned.id):
        return None
    money = Money(dunned.amount, dunned.currency)
    tries = _tries(connection, dunned)
    if any(row.lost for row in tries if row.id != dunned.id):
        # Whoever has taken back what one backup method has paid is charged by no other.
        return None
    tokens = [token for token in (dunned.method_token, *(row.method_token for row in tries)) if token is not None]
    chosen = choose([_backup(row) for row in backups], money, tokens, [row.fingerprint for row in tries])
    return None if chosen is None else _accept(change, dunned, chosen, money)


def may_still_be_charged(change: Change, locked: Row[Any]) -> bool:
    """Tell whether the payment of a backup method that waits to be sent may be: the customer's consent stands, and so
    does the case of the debt."""
    is_it = _is_of(User(locked.application, locked.user_id)) & (backup_methods.c.provider == locked.provider)
    is_it &= (backup_methods.c.token == locked.method_token) & backup_methods.c.removed_at.is_(None)
    is_agreed = change.connection.execute(select(backup_methods.c.token_hash).where(is_it)).first() is not None
    dunned = siblings_with_case(change.connection, locked, OPEN_CASES, true())
    return is_agreed and bool(dunned) and _may_be_tried(change, dunned[0])


def _may_be_tried(change: Change, payment_id: str) -> bool:
    row = find_case_row(change.connection, payment_id)
    return row is not None and may_be_tried_unasked(case_of(row), change.now)


def _accept(change: Change, dunned: Row[Any], chosen: Backup, money: Money) -> TaskMessage:
    payment = new_payment(
        dunned.application,
        money,
        change.now,
        invoice_id=dunned.invoice_id,
        # It ends with its subscription, as the dunned one does.
        subscription_id=dunned.subscription_id,
        user_id=dunned.user_id,
        method=chosen.method,
        provider=chosen.provider,
        method_token=chosen.token,
        is_off_session=True,
    )
    attempt = first_attempt(payment, Verb.CHARGE, _ACTOR, change.now) | {"cause": TryCause.BACKUP_METHOD}
    store_payment(change.connection, payment, attempt, _ACTOR, change.now)
    about = {"payment": payment["id"], "kind": chosen.method}
    record_event(
        change.connection, "backup_method_tried", actor=_ACTOR, now=change.now, payment_id=dunned.id, data=about
    )
    return message_for_attempt(attempt["id"], Verb.CHARGE)


def paying_method(connection: Connection, payment_id: str) -> Row[Any] | None:
    """Return what the customer knows a payment's method by: its kind, and brand and last four where it is a backup."""
    query = (
        select(payments.c.method, backup_methods.c.brand, backup_methods.c.last4)
        .outerjoin(
            backup_methods,
            and_(
                backup_methods.c.application == payments.c.application,
                backup_methods.c.user_id == payments.c.user_id,
                backup_methods.c.provider == payments.c.provider,
                backup_methods.c.token == payments.c.method_token,
            ),
        )
        .where(payments.c.id == payment_id)
    )
    found: Any = connection.execute(query).first()
    return found


def _tries(connection: Connection, dunned: Row[Any]) -> list[Row[Any]]:
    """Return what was tried for a debt since its case began: the tries of its own, and those of backup methods."""
    began_at = select(dunning_cases.c.created_at).where(dunning_cases.c.payment_id == dunned.id).scalar_subquery()
    is_of_backup = (attempts.c.cause == TryCause.BACKUP_METHOD) & (attempts.c.created_at >= began_at)
    query = (
        select(payments.c.id, payments.c.lost, payments.c.method_token, attempts.c.fingerprint)
        .join(attempts, attempts.c.payment_id == payments.c.id)
        .where(
            payments.c.invoice_id == dunned.invoice_id,
            payments.c.application == dunned.application,
            (payments.c.id == dunned.id) | is_of_backup,
        )
    )
    tries: Any = connection.execute(query).all()
    return list(tries)


def _backup(row: Row[Any]) -> Backup:
    status = None if row.status is None else MethodStatus(row.status)
    return Backup(row.provider, row.token, row.method, status, row.blocked_as is not None, row.fingerprint)


def _store(change: Change, user: User, one: AgreedMethod, position: int) -> None:
    names = {"provider": one.provider, "token_hash": token_hash(one.token), **user._asdict()}
    consent = {"agreed_at": one.agreed_at, "wording": one.wording, "channel": one.channel}
    shown = {"token": one.token, "method": one.method, "brand": one.brand, "last4": one.last4}
    values = shown | consent | {"position": position, "actor": change.actor, "updated_at": change.now}
    is_it = _is_of(user) & (backup_methods.c.provider == one.provider)
    is_it &= backup_methods.c.token_hash == names["token_hash"]
    if not insert_new(change.connection, backup_methods, names | values | {"created_at": change.now}):
        row = change.connection.execute(select(backup_methods).where(is_it).with_for_update()).one()
        change.connection.execute(update(backup_methods).where(is_it).values(values | {"removed_at": None}))
        known = {name: row._mapping[name] for name in consent}
        if row.removed_at is None and known == consent:
            return
    agreed = {"agreed_at": _text(one.agreed_at), "wording": one.wording, "channel": one.channel}
    _record(change, "backup_method_agreed", user, one.provider, one.method, agreed)


def _remove(change: Change, user: User, row: Row[Any]) -> None:
    is_it = _is_of(user) & (backup_methods.c.provider == row.provider)
    is_it &= backup_methods.c.token_hash == row.token_hash
    removed = update(backup_methods).where(is_it).values(removed_at=change.now, updated_at=change.now)
    change.connection.execute(removed)
    _record(change, "backup_method_removed", user, row.provider, row.method, {})


def _record(change: Change, name: str, user: User, provider: str, kind: str, more: dict[str, Any]) -> None:
    about = {"user": user_hash(user.user_id), "provider": provider, "kind": kind, **more}
    record_event(change.connection, name, actor=change.actor, now=change.now, data=about)


def _is_of(user: User) -> ColumnElement[bool]:
    return (backup_methods.c.application == user.application) & (backup_methods.c.user_id == user.user_id)


def _text(instant: datetime) -> str:
    return instant.isoformat(timespec="milliseconds").replace("+00:00", "Z")
