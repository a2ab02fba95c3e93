"""Payment state has one writer, and the audit trail is only ever appended to."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from .source import LAYERS, calls, files

WRITER = Path("models/transition.py")
DOOR = Path("models/intake.py")
SOURCE = [file for file in files(*LAYERS) if "migrations" not in file.parts]


def writes(file: Path, verb: str, table: str) -> list[int]:
    """Return the lines of `verb(table)` and `table.verb()`."""
    found = []
    for call, called in calls(file):
        owner = call.func.value if isinstance(call.func, ast.Attribute) else None
        named = [*call.args[:1], *([owner] if owner is not None else [])]
        if called == verb and any(isinstance(node, ast.Name) and node.id == table for node in named):
            found.append(call.lineno)
    return found


def test_the_search_finds_the_writer() -> None:
    assert writes(WRITER, "update", "payments")
    assert writes(DOOR, "insert", "payments")


@pytest.mark.parametrize("file", [file for file in SOURCE if file != WRITER], ids=str)
def test_nobody_else_updates_payments(file: Path) -> None:
    assert not writes(file, "update", "payments")


@pytest.mark.parametrize("file", [file for file in SOURCE if file not in (WRITER, DOOR)], ids=str)
def test_payments_come_in_by_one_door(file: Path) -> None:
    assert not writes(file, "insert", "payments")
    assert not writes(file, "insert_new", "payments")


@pytest.mark.parametrize("file", SOURCE, ids=str)
def test_nothing_is_deleted_and_no_event_is_changed(file: Path) -> None:
    for table in ("payments", "attempts", "events", "assessments", "webhook_events", "dunning_cases"):
        assert not writes(file, "delete", table)
    assert not writes(file, "update", "events")


@pytest.mark.parametrize("file", SOURCE, ids=str)
def test_no_statement_is_written_as_text(file: Path) -> None:
    """Text would slip past these tests, and past the type of a column."""
    texts = [call for call, called in calls(file) if called in ("text", "exec_driver_sql") and literal(call)]
    words = [literal(call).split()[0].upper() for call in texts]
    assert not {"UPDATE", "INSERT", "DELETE"} & set(words)


def literal(call: ast.Call) -> str:
    """Return the text that is passed first, empty if it is no literal."""
    first = call.args[0] if call.args else None
    return first.value if isinstance(first, ast.Constant) and isinstance(first.value, str) else ""
