"""Provider customers: the provider's id of an application's user, claimed before it is made. No personal data.

A claim holds the idempotency key, so that all who make the customer at once make the same one."""

from __future__ import annotations

import hashlib
from typing import Any, NamedTuple

from sqlalchemy import Connection, select, update

from models.audit import record_event
from models.change import Change
from models.session import insert_new
from models.tables import provider_customers
from models.tables.base import new_id


class User(NamedTuple):
    """A user of an application."""

    application: str
    user_id: str


class Claim(NamedTuple):
    """A user's customer at a provider. `token` None: it is still to be made, under `creation_key`."""

    token: str | None
    creation_key: str


def find_customer(connection: Connection, user: User, provider: str) -> str | None:
    """Return the provider's id of a user, if the provider has one."""
    return connection.scalar(select(provider_customers.c.token).where(_is_of(user, provider)))


def has_customer(connection: Connection, user: User, provider: str) -> bool:
    """Tell whether a user has a customer at the provider, which may still be to be made."""
    is_claimed = select(provider_customers.c.created_at).where(_is_of(user, provider))
    return connection.execute(is_claimed).first() is not None


def find_owner(connection: Connection, provider: str, token: str) -> User | None:
    """Return whose customer this is, if it is known."""
    is_it = (provider_customers.c.token == token) & (provider_customers.c.provider == provider)
    row = connection.execute(
        select(provider_customers.c.application, provider_customers.c.user_id).where(is_it)
    ).first()
    return None if row is None else User(*row)


def claim_customer(change: Change, user: User, provider: str) -> Claim:
    """Return a user's customer, and claim it where there is none."""
    values = {**user._asdict(), "provider": provider, "creation_key": new_id("cus", change.now)}
    insert_new(change.connection, provider_customers, values | {"token": None, "created_at": change.now})
    stored = select(provider_customers.c.token, provider_customers.c.creation_key)
    row = change.connection.execute(stored.where(_is_of(user, provider))).one()
    return Claim(row.token, row.creation_key or "")


def save_customer(change: Change, user: User, provider: str, token: str) -> str:
    """Store the customer that was made, unless somebody else was faster; return the stored one."""
    is_missing = _is_of(user, provider) & provider_customers.c.token.is_(None)
    change.connection.execute(update(provider_customers).where(is_missing).values(token=token))
    return find_customer(change.connection, user, provider) or token


def renew_claim(change: Change, user: User, provider: str, spent_key: str) -> None:
    """Give a claim another idempotency key, because this one has only a stored failure to give."""
    is_spent = _is_of(user, provider) & (provider_customers.c.creation_key == spent_key)
    change.connection.execute(update(provider_customers).where(is_spent).values(creation_key=new_id("cus", change.now)))


def forget_customer(change: Change, user: User, provider: str, token: str) -> bool:
    """Claim a user's customer anew, because the provider has lost this one; return whether it was the user's."""
    is_lost = _is_of(user, provider) & (provider_customers.c.token == token)
    values: dict[str, Any] = {"token": None, "creation_key": new_id("cus", change.now)}
    is_known = change.connection.execute(update(provider_customers).where(is_lost).values(values)).rowcount == 1
    if is_known:
        data = {"provider": provider, "user": user_hash(user.user_id)}
        record_event(change.connection, "customer_lost", actor=change.actor, now=change.now, data=data)
    return is_known


def user_hash(user_id: str) -> str:
    """Return how a user is named in the audit trail."""
    return hashlib.sha256(user_id.encode()).hexdigest()[:16]


def _is_of(user: User, provider: str) -> Any:
    return (
        (provider_customers.c.application == user.application)
        & (provider_customers.c.user_id == user.user_id)
        & (provider_customers.c.provider == provider)
    )
