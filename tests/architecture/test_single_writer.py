"""Payment state has one writer, and the audit trail is only ever appended to."""

from __future__ import annotations

import ast
from pathlib import Path

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


def test_nobody_else_updates_payments() -> None:
    assert [file for file in SOURCE if writes(file, "update", "payments")] == [WRITER]


def test_payments_come_in_by_one_door() -> None:
    inserting = [file for file in SOURCE for verb in ("insert", "insert_new") if writes(file, verb, "payments")]
    assert inserting == [DOOR]


def test_nothing_is_deleted_and_no_event_is_changed() -> None:
    tables = ("payments", "attempts", "events", "assessments", "webhook_events", "dunning_cases")
    assert [(file, table) for file in SOURCE for table in tables if writes(file, "delete", table)] == []
    assert [file for file in SOURCE if writes(file, "update", "events")] == []


def test_no_statement_is_written_as_text() -> None:
    """Text would slip past these tests, and past the type of a column."""
    texts = [literal(call) for file in SOURCE for call, called in calls(file) if called in ("text", "exec_driver_sql")]
    assert not {"UPDATE", "INSERT", "DELETE"} & {text.split()[0].upper() for text in texts if text}


def literal(call: ast.Call) -> str:
    """Return the text that is passed first, empty if it is no literal."""
    first = call.args[0] if call.args else None
    return first.value if isinstance(first, ast.Constant) and isinstance(first.value, str) else ""
