"""API keys: created once, shown once, stored as a hash, revoked by id. Keys of one name are one application."""

from __future__ import annotations

import hashlib
import secrets
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, Row, insert, select, update

from domain.errors import NotFound
from models.audit import record_event
from models.tables import api_keys
from models.tables.base import new_id


class Role(StrEnum):
    """What a key may do: `app` collects for one application, `operator` manages all payments but starts none,
    `admin` may do both."""

    APP = "app"
    OPERATOR = "operator"
    ADMIN = "admin"


def create_key(connection: Connection, role: Role, name: str, actor: str, now: datetime) -> str:
    """Store a new key and return it; it cannot be shown again."""
    key = f"ck_{secrets.token_urlsafe(32)}"
    key_id = new_id("key", now)
    connection.execute(insert(api_keys).values(id=key_id, name=name, role=role, hash=hash_key(key), created_at=now))
    record_event(connection, "key_created", actor=actor, now=now, data={"key_id": key_id, "role": role})
    return key


def list_keys(connection: Connection) -> list[Row[Any]]:
    """Return all keys, oldest first, without anything secret."""
    columns = [column for column in api_keys.c if column.name != "hash"]
    return list(connection.execute(select(*columns).order_by(api_keys.c.id)).all())


def revoke_key(connection: Connection, key_id: str, actor: str, now: datetime) -> None:
    """End a key at once. Raises NotFound."""
    revoked = connection.execute(
        update(api_keys).where(api_keys.c.id == key_id, api_keys.c.revoked_at.is_(None)).values(revoked_at=now)
    )
    if not revoked.rowcount:
        raise NotFound(f"no active key {key_id}; see: celery -A worker payments keys list")
    record_event(connection, "key_revoked", actor=actor, now=now, data={"key_id": key_id})


def find_key(connection: Connection, key: str) -> Any | None:
    """Return the active key that has this text, or None."""
    return connection.execute(
        select(api_keys.c.id, api_keys.c.name, api_keys.c.role).where(
            api_keys.c.hash == hash_key(key), api_keys.c.revoked_at.is_(None)
        )
    ).one_or_none()


def hash_key(key: str) -> str:
    """Return what is stored of a key: 256 random bits need no slow hash."""
    return hashlib.sha256(key.encode()).hexdigest()
