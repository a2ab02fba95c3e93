"""Access tokens of providers that all processes share: sealed by their owner, renewed by one process at a time.

Their time is the database's own, never a clock that was moved along for a sandbox."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Column, Connection, Engine, String, Table, Text, or_, select, update

from models.base import Instant, metadata
from models.session import database_now, insert_new, read, transact

provider_tokens = Table(
    "provider_tokens",
    metadata,
    Column("name", String(100), primary_key=True),
    Column("sealed", Text),
    Column("expires_at", Instant),
    # Until when one process may renew it; whoever died meanwhile loses that right by itself.
    Column("claimed_until", Instant),
)


@dataclass(frozen=True, slots=True)
class StoredToken:
    """A token as it is stored, and valid so many seconds more."""

    sealed: str
    seconds_left: float


class DatabaseTokens:
    """The store of access tokens. `clock`: how the database's time is read."""

    def __init__(self, engine: Engine, clock: Callable[[Connection], datetime] = database_now) -> None:
        self._engine = engine
        self._clock = clock

    def find(self, name: str) -> StoredToken | None:
        """Return the token, if there is one, however old."""
        return read(self._engine, lambda connection: self._find(connection, name))

    def claim(self, name: str, seconds: float) -> bool:
        """Take the right to renew it, for that long; false while another process has it."""
        return transact(self._engine, lambda connection: self._claim(connection, name, seconds))

    def put(self, name: str, sealed: str, seconds: float) -> None:
        """Store a renewed token that is valid that long, and give the right back."""
        transact(self._engine, lambda connection: self._put(connection, name, sealed, seconds))

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

    def _put(self, connection: Connection, name: str, sealed: str, seconds: float) -> None:
        expires_at = self._clock(connection) + timedelta(seconds=seconds)
        values = {"sealed": sealed, "expires_at": expires_at, "claimed_until": None}
        if not connection.execute(_update(name).values(values)).rowcount:
            insert_new(connection, provider_tokens, {"name": name, **values})


def _update(name: str) -> Any:
    return update(provider_tokens).where(provider_tokens.c.name == name)
