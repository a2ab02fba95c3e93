"""Empty databases that tests use one after the other."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

import psycopg
from sqlalchemy import make_url

# What a test has left running may still write for a moment: so many other tests come before a database is used again.
REST = 4
# Rows are deleted without foreign keys and triggers, which guard what the product deletes.
EMPTY = """
DO $$
DECLARE name text;
BEGIN
    SET LOCAL session_replication_role = replica;
    FOR name IN SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND tablename <> 'alembic_version' LOOP
        EXECUTE format('DELETE FROM %I', name);
    END LOOP;
    FOR name IN SELECT sequencename FROM pg_sequences WHERE schemaname = 'public' LOOP
        PERFORM setval(format('%I', name)::regclass, 1, false);
    END LOOP;
END $$
"""
END_OTHERS = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()
"""


class IdleDatabases:
    """Migrated, empty databases. `make` makes another one, and whoever has given it drops it in the end."""

    def __init__(self, make: Callable[[], str]) -> None:
        self._make, self._idle = make, deque[str]()
        self._schema: str | None = None

    def take(self) -> str:
        """Return the URL of a database for one test."""
        if len(self._idle) > REST:
            return self._idle.popleft()
        return self._make()

    def give_back(self, url: str) -> None:
        """Empty a database for another test. One that cannot be emptied, or has another schema, is not used again."""
        address = make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
        try:
            with psycopg.connect(address, autocommit=True, options="-c lock_timeout=5s") as connection:
                connection.execute(END_OTHERS)
                connection.execute(EMPTY)
                schema = str(connection.execute("SELECT version_num FROM alembic_version").fetchall())
        except psycopg.Error:
            return
        self._schema = self._schema or schema
        if schema == self._schema:
            self._idle.append(url)
