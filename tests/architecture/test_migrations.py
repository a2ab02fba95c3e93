"""Migrations give exactly the schema that the code expects, on both databases, however often they are run."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Engine, inspect

from models.migrate import current_revision, metadata, upgrade
from models.session import make_engine

from .source import migrations

TABLES = set(metadata.tables) | {"alembic_version"}
# Migrations are numbered files: 0001_the_first_schema.py is revision 0001.
NEWEST = max(file.stem for file in migrations() if file.stem != "__init__").split("_")[0]


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    """An engine of a database without any table."""
    is_sqlite = request.param == "sqlite"
    url = f"sqlite:///{tmp_path / 'empty.db'}" if is_sqlite else request.getfixturevalue("empty_postgres_url")
    engine = make_engine(url)
    yield engine
    engine.dispose()


def differences(engine: Engine) -> list[Any]:
    with engine.connect() as connection:
        return compare_metadata(MigrationContext.configure(connection, opts={"compare_type": True}), metadata)


def test_an_empty_database_gets_the_schema(engine: Engine) -> None:
    assert current_revision(engine) is None
    upgrade(engine)
    assert current_revision(engine) == NEWEST
    assert set(inspect(engine).get_table_names()) == TABLES
    assert differences(engine) == []


def test_the_comparison_sees_a_difference(engine: Engine) -> None:
    upgrade(engine)
    with engine.begin() as connection:
        connection.exec_driver_sql("DROP INDEX ix_attempts_reference")
    assert differences(engine) != []


def test_every_partial_index_has_its_condition(engine: Engine) -> None:
    """The comparison does not look at conditions, and a unique index without one would refuse honest rows."""
    upgrade(engine)
    dialect = engine.dialect.name
    for table in metadata.sorted_tables:
        found = {index["name"]: index for index in inspect(engine).get_indexes(table.name)}
        for index in table.indexes:
            options = found[index.name]["dialect_options"]
            is_partial = index.dialect_options[dialect]["where"] is not None
            assert (f"{dialect}_where" in options) == is_partial, index.name


def test_twice_is_once(engine: Engine) -> None:
    upgrade(engine)
    upgrade(engine)
    assert current_revision(engine) == NEWEST
    assert differences(engine) == []


@pytest.mark.postgres
def test_four_at_once_are_once(empty_postgres_url: str) -> None:
    engines = [make_engine(empty_postgres_url) for _ in range(4)]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(upgrade, engines)) == [None] * 4
    assert current_revision(engines[0]) == NEWEST
    assert differences(engines[0]) == []
    for engine in engines:
        engine.dispose()
