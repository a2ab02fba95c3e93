"""Every write of a saved method: what the providers' events tell, what a customer has approved, defaults, removals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, select, update

from domain.card_expiry import next_reminder
from domain.dunning.case import TryCause
from domain.errors import Conflict
from domain.saved_method import (
    MethodChange,
    MethodStatus,
    ShownMandate,
    ShownMethod,
    is_newer,
    reason_not_to_charge,
    require_there,
    status_of_mandate,
    token_hash,
)
from models.audit import record_event
from models.change import Change
from models.dunning_requests import retry_with_changed_method
from models.instruments import renew_instrument
from models.method_setups import close_setup
from models.provider_customers import User, find_owner, user_hash
from models.session import insert_new
from models.tables import saved_methods
from models.token_owners import owner_of_token, owns_token


def take_in_method(change: Change, provider: str, shown: ShownMethod | ShownMandate) -> None:
    """Store what an event tells of a saved method, unless a newer one was stored before. If its data have changed, the
    payments in dunning that may be charged to it are tried again now."""
    row = _get_or_create(change, provider, shown.token_hash)
    if isinstance(shown, ShownMandate):
        _take_in_mandate(change, row, shown)
        return
    if shown.is_detached:
        # For good, also where a newer event is stored: it came before it was removed.
        _update(change, row, {"status": MethodStatus.DETACHED, "is_default": False})
    facts = {name: getattr(shown, name) for name in ("kind", "brand", "last4", "expires")}
    known = {name: value for name, value in facts.items() if value is not None}
    is_news = shown.change is not None and any(getattr(row, name) != value for name, value in known.items())
    if not is_newer(row.shown_at, shown.at, is_news=is_news):
        return
    owner = _owner_of_customer(change.connection, provider, shown.customer)
    _update(change, row, known | (owner._asdict() if owner else {}) | {"shown_at": shown.at})
    refusal = reason_not_to_charge(MethodStatus(row.status), is_off_session=True)
    if shown.change is None or owner is None or refusal is not None:
        return
    if shown.change is MethodChange.UPDATER and shown.token is not None:
        renew_instrument(change, owner, provider, shown.token)
    retry_with_changed_method(change, *owner, provider, cause=TryCause(shown.change), method_token=shown.token)


def _owner_of_customer(connection: Connection, provider: str, customer: str | None) -> User | None:
    """Return the user whose customer this is at the provider: one that was made for them, or one that they brought."""
    if customer is None:
        return None
    return find_owner(connection, provider, customer) or owner_of_token(connection, provider, customer)


def _take_in_mandate(change: Change, row: Row[Any], shown: ShownMandate) -> None:
    if not is_newer(row.mandate_at, shown.at):
        return
    known = MethodStatus(row.status)
    status = status_of_mandate(known, is_active=shown.is_active)
    _update(change, row, {"status": status, "mandate_at": shown.at})
    if status is not known:
        data = {"provider": row.provider, "status": status}
        record_event(change.connection, "mandate_changed", actor=change.actor, now=change.now, data=data)


def keep_approved(change: Change, setup: Row[Any], token: str, kind: str) -> None:
    """Store what a customer has approved, of a provider that lists no methods by user. Raises Conflict for a token of
    another user."""
    user, hashed = User(setup.application, setup.user_id), token_hash(token)
    if not owns_token(change.connection, setup.provider, token, user, change.now):
        raise Conflict("another user has saved this account; remove it there first")
    row = _get_or_create(change, setup.provider, hashed)
    _update(change, row, {"token": token, "kind": kind, **user._asdict()})
    if close_setup(change, setup.id, hashed):
        data = {"user": user_hash(user.user_id), "provider": setup.provider}
        record_event(change.connection, "payment_method_attached", actor=change.actor, now=change.now, data=data)


def kept_methods(connection: Connection, user: User) -> list[Row[Any]]:
    """Return the saved methods of a user that are kept here, oldest first."""
    is_there = saved_methods.c.status != MethodStatus.DETACHED
    found = select(saved_methods).where(_is_kept_of(user), is_there).order_by(saved_methods.c.created_at)
    return list(connection.execute(found))


def find_kept(connection: Connection, user: User, hashed: str) -> Row[Any] | None:
    """Return a saved method of a user that is kept here, by the hash of its token; None if the user has no such."""
    return next((row for row in kept_methods(connection, user) if row.token_hash == hashed), None)


def default_token(connection: Connection, user: User, provider: str) -> str | None:
    """Return the token of the user's default method of a provider that keeps no default by itself."""
    is_default = saved_methods.c.is_default & (saved_methods.c.provider == provider)
    is_usable = saved_methods.c.status == MethodStatus.ACTIVE
    return connection.scalar(select(saved_methods.c.token).where(_is_kept_of(user), is_default, is_usable))


def make_kept_default(change: Change, user: User, kept: Row[Any]) -> None:
    """Make a saved method the default of its user at its provider. Raises NotFound for one that is removed."""
    _choose(change, user, _get_or_create(change, kept.provider, kept.token_hash))


def note_saved(
    change: Change, user: User, provider: str, token: str, facts: Mapping[str, str | None], *, is_default: bool
) -> None:
    """Store what a provider shows of a user's saved method when it is attached, or made the default. `facts`: its kind,
    brand, last4 and expires. Raises NotFound for a default that was removed meanwhile."""
    row = _get_or_create(change, provider, token_hash(token))
    _update(change, row, dict(facts) | user._asdict())
    if is_default:
        _choose(change, user, row)


def mark_removed(change: Change, kept: Row[Any]) -> None:
    """Note that a saved method is removed at its provider, for good."""
    _update(change, kept, {"status": MethodStatus.DETACHED, "is_default": False})


def _choose(change: Change, user: User, locked: Row[Any]) -> None:
    require_there(MethodStatus(locked.status))
    is_of_provider = _is_of(user) & (saved_methods.c.provider == locked.provider)
    chosen = {"is_default": saved_methods.c.token_hash == locked.token_hash, "updated_at": change.now}
    change.connection.execute(update(saved_methods).where(is_of_provider).values(chosen))


def _is_of(user: User) -> ColumnElement[bool]:
    return (saved_methods.c.user_id == user.user_id) & (saved_methods.c.application == user.application)


def _is_kept_of(user: User) -> ColumnElement[bool]:
    return _is_of(user) & saved_methods.c.token.is_not(None)


def lock_reminders(change: Change, most: int) -> Sequence[Row[Any]]:
    """Lock up to `most` saved methods whose users are to be reminded that they expire, the longest due first."""
    due = select(saved_methods).where(saved_methods.c.remind_at <= change.now).order_by(saved_methods.c.remind_at)
    return change.connection.execute(due.limit(most).with_for_update(skip_locked=True)).all()


def schedule_reminder(change: Change, row: Row[Any]) -> None:
    """Store when the user of a locked method is reminded next."""
    _update(change, row, {"remind_at": next_reminder(row.expires, change.now)})


def is_expiring(connection: Connection, provider: str, hashed: str, expires: str) -> bool:
    """Tell whether a saved method, by the hash of its token, is still there and has this end."""
    is_it = _is_method(provider, hashed) & (saved_methods.c.expires == expires)
    is_there = saved_methods.c.status != MethodStatus.DETACHED
    return connection.execute(select(saved_methods.c.token_hash).where(is_it, is_there)).first() is not None


def has_later_default(connection: Connection, user: User, since: datetime, other_than: str | None) -> bool:
    """Tell whether a user has made another method the default since then. `other_than`: the hash of a token."""
    is_other = saved_methods.c.is_default & (saved_methods.c.created_at >= since)
    named = select(saved_methods.c.token_hash).where(_is_of(user), is_other, saved_methods.c.token_hash != other_than)
    return connection.execute(named.limit(1)).first() is not None


def find_method_status(connection: Connection, provider: str, token: str) -> MethodStatus | None:
    """Return what is known of a token's saved method; None where nothing is."""
    is_it = _is_method(provider, token_hash(token))
    status = connection.scalar(select(saved_methods.c.status).where(is_it))
    return None if status is None else MethodStatus(status)


def _get_or_create(change: Change, provider: str, hashed: str) -> Row[Any]:
    blank = {"provider": provider, "token_hash": hashed, "is_default": False, "status": MethodStatus.ACTIVE}
    insert_new(change.connection, saved_methods, blank | {"created_at": change.now, "updated_at": change.now})
    locked = select(saved_methods).where(_is_method(provider, hashed)).with_for_update()
    return change.connection.execute(locked).one()


def _update(change: Change, row: Row[Any], values: dict[str, Any]) -> None:
    if "expires" in values and values["expires"] != row.expires:
        values = values | {"remind_at": next_reminder(values["expires"], change.now)}
    is_it = _is_method(row.provider, row.token_hash)
    change.connection.execute(update(saved_methods).where(is_it).values(**values, updated_at=change.now))


def _is_method(provider: str, hashed: str) -> ColumnElement[bool]:
    return (saved_methods.c.provider == provider) & (saved_methods.c.token_hash == hashed)
