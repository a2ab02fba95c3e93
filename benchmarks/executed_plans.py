"""The statements of an engine, and what PostgreSQL read to execute them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Engine, event


@contextmanager
def noted(engine: Engine) -> Iterator[list[str]]:
    """Collect the statements that are executed inside."""
    statements: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        statements.append(statement)

    with _before_each(engine, note):
        yield statements


@contextmanager
def executed(engine: Engine) -> Iterator[list[dict[str, Any]]]:
    """Collect the executed plans of the statements inside. Each is executed twice, so it must not mind that."""
    plans: list[dict[str, Any]] = []

    def explain(_connection: Any, cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        cursor.execute(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {statement}", parameters)
        plans.extend(cursor.fetchone()[0])

    with _before_each(engine, explain):
        yield plans


def read_blocks(plan: dict[str, Any]) -> int:
    """Return how many blocks an executed plan has read, from memory or from the disk."""
    root = plan["Plan"]
    return int(root["Shared Hit Blocks"]) + int(root["Shared Read Blocks"])


@contextmanager
def _before_each(engine: Engine, listener: Any) -> Iterator[None]:
    event.listen(engine, "before_cursor_execute", listener)
    try:
        yield
    finally:
        event.remove(engine, "before_cursor_execute", listener)
