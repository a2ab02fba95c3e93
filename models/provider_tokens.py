"""Access tokens of providers that all processes share: encrypted by their gateway, renewed by one process at a time.

Their time is the database's own, never a clock that a sandbox has moved."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Engine, or_, select, update

from models.session import database_now, insert_new, read, transact
from models.tables import provider_tokens


@dataclass(frozen=True, slots=True)
class StoredToken:
    """An encrypted token, and for how many seconds it is still valid."""

    encrypted: str
    seconds_left: float


class DatabaseTokens:
    """The store of access tokens. `clock` reads the database's time."""

    def __init__(self, engine: Engine, clock: Callable[[Connection], datetime] = database_now) -> None:
        self._engine = engine
        self._clock = clock

    def find(self, name: str) -> StoredToken | None:
        """Return the token, if there is one, also when it has expired."""
        return read(self._engine, self._find, name)

    def claim(self, name: str, seconds: float) -> bool:
        """Claim the renewal for that long; return false while another process has claimed it."""
        return transact(self._engine, self._claim, name, seconds)

    def put(self, name: str, encrypted: str, seconds: float) -> None:
        """Store a renewed token that is valid that long, and end the claim."""
        transact(self._engine, self._put, name, encrypted, seconds)

    def _find(self, connection: Connection, name: str) -> StoredToken | None:
        stored = select(provider_tokens.c.sealed, provider_tokens.c.expires_at)
        row = connection.execute(stored.where(provider_tokens.c.name == name)).one_or_none()
        if row is None or row.sealed is None or row.expires_at is None:
            return None
        return StoredToken(row.sealed, (row.expires_at - self._clock(connection)).total_seconds())

    def _claim(self, connection: Connection, name: str, seconds: float) -> bool:
        now = self._clock(connection)
        claimed = {"claimed_until": now + timedelta(seconds=seconds)}
        is_free = or_(provider_tokens.c.claimed_until.is_(None), provider_tokens.c.claimed_until <= now)
        taken = connection.execute(_update(name).where(is_free).values(claimed))
        return taken.rowcount == 1 or insert_new(connection, provider_tokens, {"name": name, **claimed})

    def _put(self, connection: Connection, name: str, encrypted: str, seconds: float) -> None:
        expires_at = self._clock(connection) + timedelta(seconds=seconds)
        values = {"sealed": encrypted, "expires_at": expires_at, "claimed_until": None}
        if not connection.execute(_update(name).values(values)).rowcount:
            insert_new(connection, provider_tokens, {"name": name, **values})


def _update(name: str) -> Any:
    return update(provider_tokens).where(provider_tokens.c.name == name)
