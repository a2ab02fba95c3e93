"""API keys: shown once, stored as a hash, ended at once."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from sqlalchemy import Connection, select

from domain.errors import NotFound
from models.api_keys import Role, create_key, find_key, hash_key, list_keys, revoke_key
from models.session import make_engine
from models.tables import api_keys, events

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)


@pytest.fixture
def connection(sqlite_url: str) -> Iterator[Connection]:
    engine = make_engine(sqlite_url)
    with engine.begin() as connection:
        yield connection
    engine.dispose()


@pytest.mark.parametrize("role", Role)
def test_a_key_is_found_by_its_text_only(connection: Connection, role: Role) -> None:
    key = create_key(connection, role, "shop", "cli", NOW)
    stored = find_key(connection, key)
    assert stored is not None
    assert (stored.name, stored.role) == ("shop", role)
    for wrong in (key + "x", key[:-1], key.upper(), hash_key(key), ""):
        assert find_key(connection, wrong) is None


def test_only_the_hash_is_stored(connection: Connection) -> None:
    key = create_key(connection, Role.APP, "shop", "cli", NOW)
    stored = [*connection.execute(select(api_keys)).all(), *connection.execute(select(events)).all()]
    assert key not in str(stored)
    assert hash_key(key) in str(stored)
    assert "hash" not in list_keys(connection)[0]._fields


def test_every_key_is_different(connection: Connection) -> None:
    keys = {create_key(connection, Role.APP, "shop", "cli", NOW) for _ in range(50)}
    assert len(keys) == 50
    assert all(key.startswith("ck_") and len(key) >= 43 for key in keys)


def test_a_revoked_key_is_no_key_and_the_others_stay(connection: Connection) -> None:
    first, second = (create_key(connection, Role.APP, "shop", "cli", NOW) for _ in range(2))
    key_id = find_key(connection, first).id
    revoke_key(connection, key_id, "cli", NOW)
    assert find_key(connection, first) is None
    assert find_key(connection, second) is not None
    with pytest.raises(NotFound):
        revoke_key(connection, key_id, "cli", NOW)
    with pytest.raises(NotFound):
        revoke_key(connection, "key_none", "cli", NOW)


def test_creating_and_revoking_a_key_is_recorded(connection: Connection) -> None:
    key = create_key(connection, Role.ADMIN, "ops", "cli", NOW)
    revoke_key(connection, find_key(connection, key).id, "cli", NOW)
    trail = connection.execute(select(events).order_by(events.c.id)).all()
    assert [(event.name, event.actor) for event in trail] == [("key_created", "cli"), ("key_revoked", "cli")]
