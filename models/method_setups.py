"""Every write of a method setup: a payment method that a customer is asked to approve, until it is saved."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, Row, select, update

from models.change import Change
from models.provider_customers import User
from models.session import insert_new
from models.tables import method_setups

# What the ids of setups begin with. No provider's token of a method does.
PREFIX = "set_"


def is_setup_id(text: str) -> bool:
    """Tell whether a text is the id of a setup, and no token of a provider."""
    return text.startswith(PREFIX)


def open_setup(change: Change, setup_id: str, provider: str, user: User, return_url: str | None) -> None:
    """Store a setup before its provider is asked; a repeat changes nothing."""
    values = {"id": setup_id, "provider": provider, **user._asdict(), "return_url": return_url}
    insert_new(change.connection, method_setups, values | {"created_at": change.now})


def name_setup(change: Change, setup_id: str, reference: str) -> None:
    """Store the provider's object of a setup, until something is saved by it."""
    is_open = (method_setups.c.id == setup_id) & method_setups.c.saved_at.is_(None)
    change.connection.execute(update(method_setups).where(is_open).values(reference=reference))


def close_setup(change: Change, setup_id: str, token_hash: str) -> bool:
    """Store which method came of a setup; return whether nobody had done so before."""
    is_open = (method_setups.c.id == setup_id) & method_setups.c.saved_at.is_(None)
    values = {"token_hash": token_hash, "saved_at": change.now}
    return change.connection.execute(update(method_setups).where(is_open).values(values)).rowcount == 1


def find_setup(connection: Connection, setup_id: str) -> Row[Any] | None:
    """Return a setup."""
    return connection.execute(select(method_setups).where(method_setups.c.id == setup_id)).one_or_none()
