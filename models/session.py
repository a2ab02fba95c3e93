"""The engine and its transactions. The only place that knows which database is below."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any, Concatenate, ParamSpec, TypeVar

from sqlalchemy import (
    BigInteger,
    Connection,
    Engine,
    Select,
    Table,
    bindparam,
    create_engine,
    event,
    func,
    select,
    text,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement

P = ParamSpec("P")
T = TypeVar("T")

# Server-side limits: a statement that takes longer than this is a fault.
_POSTGRES_OPTIONS = "-c statement_timeout=15s -c lock_timeout=5s -c idle_in_transaction_session_timeout=30s"
_POSTGRES_CONNECT = {
    "connect_timeout": 5,
    "keepalives_idle": 10,
    "tcp_user_timeout": 10_000,
    "options": _POSTGRES_OPTIONS,
}
# Threads hold no connection while they wait for a provider, so far fewer connections than threads are enough.
# Parameters stay out of error texts, because they hold personal data and tokens.
_ENGINE: dict[str, Any] = {
    "pool_size": 32,
    "max_overflow": 0,
    "pool_timeout": 10,
    "pool_recycle": 1800,
    "hide_parameters": True,
}
# PostgreSQL: serialization failure, deadlock, lock time-out, admin shutdown.
_TRANSIENT = {"40001", "40P01", "55P03", "57P01"}
_TRIES = 3


def make_engine(url: str) -> Engine:
    """Return an engine for PostgreSQL (`postgresql://`, always with psycopg) or SQLite."""
    parsed = make_url(url)
    if parsed.drivername in ("postgres", "postgresql"):
        parsed = parsed.set(drivername="postgresql+psycopg")
    if parsed.get_backend_name() == "sqlite":
        engine = create_engine(parsed, **_ENGINE)
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
        return engine
    return create_engine(parsed, connect_args=_POSTGRES_CONNECT, **_ENGINE)


def _prepare_sqlite(connection: Any, _record: Any) -> None:
    # pysqlite must not open transactions by itself: a deferred transaction that writes later fails at once
    # with "database is locked", whatever the busy time-out is.
    connection.isolation_level = None
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "busy_timeout=10000", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {pragma}")


def _begin_sqlite(connection: Connection) -> None:
    # A writer takes the write lock at once; readers see a snapshot and block nothing.
    is_reading = connection.get_execution_options().get("is_reading", False)
    connection.exec_driver_sql("BEGIN" if is_reading else "BEGIN IMMEDIATE")


def transact(engine: Engine, work: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Call `work(connection, *args, **kwargs)` in one transaction, commit it, and return the result.

    The transaction is repeated a few times when the database says that nothing was committed: a dead pooled
    connection, a deadlock, a lock time-out. An error of COMMIT itself is raised: its outcome is unknown."""
    return _repeat(engine, lambda connection: work(connection, *args, **kwargs), is_reading=False)


def read(engine: Engine, work: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Call `work(connection, *args, **kwargs)`, which only reads and locks nothing. Repeated as in `transact`."""
    return _repeat(engine, lambda connection: work(connection, *args, **kwargs), is_reading=True)


def _repeat(engine: Engine, work: Callable[[Connection], T], *, is_reading: bool) -> T:
    for left in reversed(range(_TRIES)):
        with engine.connect() as pooled:
            connection = pooled.execution_options(is_reading=is_reading)
            transaction = connection.begin()
            try:
                result = work(connection)
            except DBAPIError as error:
                transaction.rollback()
                if not left or not _is_transient(error):
                    raise
            except BaseException:
                transaction.rollback()
                raise
            else:
                # What only reads as well: after a rollback psycopg forgets the statements that it has prepared.
                transaction.commit()
                return result
        time.sleep(random.uniform(0.01, 0.05) * (_TRIES - left))  # noqa: S311
    raise AssertionError("bug: the last try either returns or raises")


def _is_transient(error: DBAPIError) -> bool:
    return error.connection_invalidated or getattr(error.orig, "sqlstate", None) in _TRANSIENT


def insert_new(connection: Connection, table: Table, values: dict[str, Any]) -> bool:
    """Insert a row unless its key exists; return whether it was inserted.

    Waits for a concurrent insert of the same key to commit or roll back."""
    return connection.execute(_insert_if_new(connection.dialect.name, table), values).rowcount == 1


@cache
def _insert_if_new(dialect_name: str, table: Table) -> Any:
    dialect: Any = sqlite if dialect_name == "sqlite" else postgresql
    # Without the option SQLAlchemy does not keep the row count of an INSERT.
    return dialect.insert(table).on_conflict_do_nothing().execution_options(preserve_rowcount=True)


def upsert(
    dialect_name: str,
    table: Table,
    changes: Callable[[Any], dict[str, Any]],
    is_to_change: Callable[[Any], Any] | None = None,
    rows: Select[Any] | None = None,
) -> Any:
    """Return a statement that inserts a row, or changes the one that has its key. `changes`: the values by the row that
    was to be inserted; `is_to_change`: whether that is to happen, by the same. `rows`: instead of one row, whose values
    are parameters."""
    dialect: Any = sqlite if dialect_name == "sqlite" else postgresql
    insert = dialect.insert(table)
    if rows is not None:
        insert = insert.from_select(rows.selected_columns.keys(), rows)
    where = None if is_to_change is None else is_to_change(insert.excluded)
    return insert.on_conflict_do_update(
        index_elements=list(table.primary_key.columns), set_=changes(insert.excluded), where=where
    )


class Upsert:
    """An upsert of many rows. `own`: the columns of which each row has a value of its own; the others are `common` to
    all. `changes`, `is_to_change`: as of `upsert`."""

    def __init__(
        self,
        table: Table,
        own: tuple[str, ...],
        common: tuple[str, ...],
        changes: Callable[[Any], dict[str, Any]],
        is_to_change: Callable[[Any], Any] | None = None,
    ) -> None:
        lists = [func.unnest(bindparam(f"{table}_{name}", type_=postgresql.ARRAY(table.c[name].type))) for name in own]
        scalars = [bindparam(f"{table}_{name}", type_=table.c[name].type) for name in common]
        columns = zip((*own, *common), (*lists, *scalars), strict=True)
        rows = select(*(column.label(name) for name, column in columns))
        self.one_by_one = upsert("sqlite", table, changes, is_to_change)
        self.at_once = upsert("postgresql", table, changes, is_to_change, rows)
        self._table, self._own, self._common = table, own, common

    def named(self, rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
        """Return the parameters of all rows at once."""
        lists: dict[str, Any] = {f"{self._table}_{name}": [row[name] for row in rows] for name in self._own}
        return lists | {f"{self._table}_{name}": rows[0][name] for name in self._common}


def write_rows(connection: Connection, *written: tuple[Upsert, Sequence[dict[str, Any]]]) -> None:
    """Write rows of several tables in one order, those of a table as they are given; on PostgreSQL by one statement."""
    wanted = [(many, rows) for many, rows in written if rows]
    if connection.dialect.name == "sqlite":
        for many, rows in wanted:
            connection.execute(many.one_by_one, list(rows))
    elif wanted:
        named = {name: value for many, rows in wanted for name, value in many.named(rows).items()}
        connection.execute(_write_at_once(*(many for many, _ in wanted)), named)


@cache
def _write_at_once(first: Upsert, *others: Upsert) -> Any:
    # PostgreSQL writes the rows of the statement first, and then those of its WITH, in the same order each time.
    parts = [other.at_once.cte(f"part_{number}") for number, other in enumerate(others)]
    return first.at_once.add_cte(*parts)


class RowVersion(FunctionElement[Any]):
    """The version of a row, of which a column is given: another one after every UPDATE. SQLite, where writers never
    meet at a row, shows the column."""

    inherit_cache = True


@compiles(RowVersion)
def _compile_row_version(element: Any, compiler: Any, **how: Any) -> str:
    return str(compiler.process(next(iter(element.clauses)), **how))


@compiles(RowVersion, "postgresql")
def _compile_row_version_of_postgres(element: Any, compiler: Any, **how: Any) -> str:
    # The transaction that wrote the row. Two updates may have the same time.
    return _compile_row_version(element, compiler, **how).rpartition(".")[0] + ".xmin"


class EpochSeconds(FunctionElement[int]):
    """The full seconds from 1970 to an instant, of which a column is given."""

    type = BigInteger()
    inherit_cache = True


@compiles(EpochSeconds)
def _compile_epoch_seconds(element: Any, compiler: Any, **how: Any) -> str:
    return f"CAST(strftime('%s', {compiler.process(next(iter(element.clauses)), **how)}) AS INTEGER)"


@compiles(EpochSeconds, "postgresql")
def _compile_epoch_seconds_of_postgres(element: Any, compiler: Any, **how: Any) -> str:
    return f"CAST(floor(extract(epoch FROM {compiler.process(next(iter(element.clauses)), **how)})) AS BIGINT)"


def lock_name(connection: Connection, name: str) -> None:
    """Let transactions that lock this name run one after the other. On SQLite all writers do."""
    if connection.dialect.name == "postgresql":
        connection.execute(select(func.pg_advisory_xact_lock(func.hashtext(name))))


def begin_report(connection: Connection) -> None:
    """Let all statements of a transaction that only reads see the same moment, as on SQLite they do, and let each of
    them take two minutes. Comes first in the transaction."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ"))
        connection.execute(text("SET LOCAL statement_timeout = '120s'"))


def limit_statements(connection: Connection, limit: timedelta) -> None:
    """Let the statements of this transaction take no longer than this. SQLite has no such limit."""
    if connection.dialect.name == "postgresql":
        milliseconds = max(1, int(limit.total_seconds() * 1000))
        connection.exec_driver_sql(f"SET LOCAL statement_timeout = {milliseconds}")


def database_now(connection: Connection) -> datetime:
    """Return the database's clock: one clock for all hosts."""
    if connection.dialect.name == "sqlite":
        return datetime.now(UTC)
    return connection.execute(select(func.clock_timestamp())).scalar_one()
