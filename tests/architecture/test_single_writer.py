"""Each table of money has one writer, the audit trail is only appended to, and only `domain` decides on states."""

from __future__ import annotations

import ast
from pathlib import Path

from .source import LAYERS, calls, files, tree

# The tables whose rows decide what happens to money, and the one file that updates each.
WRITERS = {
    "payments": Path("models/transition.py"),
    "attempts": Path("models/attempts.py"),
    "dunning_cases": Path("models/dunning_cases.py"),
    "subscriptions": Path("models/subscriptions.py"),
    "invoices": Path("models/invoices.py"),
    "webhook_events": Path("models/webhook_events.py"),
    "attention": Path("models/attention.py"),
    "cash_balances": Path("models/cash_balances.py"),
    "customers": Path("models/customers.py"),
    "outbox": Path("models/outbox.py"),
    "provider_customers": Path("models/provider_customers.py"),
    "disputes": Path("models/disputes.py"),
    "saved_methods": Path("models/saved_methods.py"),
    "method_setups": Path("models/method_setups.py"),
    "backup_methods": Path("models/backup_methods.py"),
    "fraud_labels": Path("models/fraud/labels.py"),
    "fraud_lists": Path("models/fraud/lists.py"),
    "fraud_reviews": Path("models/fraud/reviews.py"),
}
# The file that inserts each; the same one unless it stands here.
DOORS = WRITERS | {
    "payments": Path("models/new_payments.py"),
    "movements": Path("models/movements.py"),
    "fraud_assessments": Path("models/fraud/assessments.py"),
    "fraud_signals": Path("models/fraud/signals.py"),
}
# Rows that stay as they were inserted.
APPEND_ONLY = ("movements", "events", "fraud_assessments")
# Marks due rows of any table as published, and writes nothing else.
PUBLISHED = Path("models/due_rows.py")
SOURCE = [file for file in files(*LAYERS) if "migrations" not in file.parts]
STATES = {"State", "AttemptStatus", "CaseState", "SubscriptionStatus", "MethodStatus"}
# Rooms that carry decisions out. `models/queries.py` shows rows and changes none.
UNDECIDING = [file for file in files("models", "tasks", "runtime") if file in SOURCE and file.name != "queries.py"]


def writes(file: Path, verb: str, table: str) -> list[int]:
    """Return the lines of `verb(table)` and `table.verb()`."""
    found = []
    for call, called in calls(file):
        owner = call.func.value if isinstance(call.func, ast.Attribute) else None
        named = [*call.args[:2], *([owner] if owner is not None else [])]
        if called == verb and any(isinstance(node, ast.Name) and node.id == table for node in named):
            found.append(call.lineno)
    return found


def inserting(table: str) -> set[Path]:
    """Return the files that insert rows into a table."""
    return {file for file in SOURCE for verb in ("insert", "insert_new") if writes(file, verb, table)}


def test_the_search_finds_the_writers() -> None:
    for table, writer in WRITERS.items():
        assert writes(writer, "update", table), table
    assert inserting("payments")


def test_each_table_of_money_has_one_writer() -> None:
    for table, writer in WRITERS.items():
        assert [file for file in SOURCE if writes(file, "update", table)] == [writer], table


def test_rows_come_in_by_one_door() -> None:
    for table, door in DOORS.items():
        assert inserting(table) == {door}, table


def test_the_sweep_writes_nothing_but_when_it_published() -> None:
    values = [keyword.arg for call, called in calls(PUBLISHED) if called == "values" for keyword in call.keywords]
    assert values == ["published_at"]


def test_nothing_is_deleted_and_no_movement_or_event_is_changed() -> None:
    tables = (*WRITERS, *APPEND_ONLY)
    assert [(file, table) for file in SOURCE for table in tables if writes(file, "delete", table)] == []
    assert [(file, table) for file in SOURCE for table in APPEND_ONLY if writes(file, "update", table)] == []


def test_no_statement_is_written_as_text() -> None:
    """Text would slip past these tests, and past the type of a column."""
    texts = [literal(call) for file in SOURCE for call, called in calls(file) if called in ("text", "exec_driver_sql")]
    assert not {"UPDATE", "INSERT", "DELETE"} & {text.split()[0].upper() for text in texts if text}


def literal(call: ast.Call) -> str:
    """Return the text that is passed first, empty if it is no literal."""
    first = call.args[0] if call.args else None
    return first.value if isinstance(first, ast.Constant) and isinstance(first.value, str) else ""


# --- decisions ---


def state_tests(module: ast.AST) -> list[int]:
    """Return the lines on which Python compares a state or matches on it. Conditions of a query are left out: they
    choose rows, and name a column (`table.c.state`)."""
    found = []
    for node in ast.walk(module):
        if isinstance(node, ast.Compare):
            operands = [node.left, *node.comparators]
            if any(isinstance(operand, ast.Constant) and operand.value is None for operand in operands):
                continue  # whether there is one at all
            if any(map(names_a_state, operands)) and not any(map(names_a_column, operands)):
                found.append(node.lineno)
        elif isinstance(node, ast.MatchValue) and names_a_state(node.value):
            found.append(node.value.lineno)
    return found


def names_a_state(node: ast.AST) -> bool:
    """Tell whether an expression holds a member of a state's enum, or reads a column of one from a row."""
    return any(
        isinstance(part, ast.Attribute)
        and (
            (isinstance(part.value, ast.Name) and part.value.id in STATES)
            or part.attr in ("state", "status", "attempt_status")
        )
        for part in ast.walk(node)
    )


def names_a_column(node: ast.AST) -> bool:
    """Tell whether an expression reads a table's column, as in `payments.c.state`."""
    return any(
        isinstance(part, ast.Attribute) and isinstance(part.value, ast.Attribute) and part.value.attr == "c"
        for part in ast.walk(node)
    )


def test_the_search_finds_a_decision() -> None:
    decisions = ("row.state == State.REVIEW", "row.attempt_status in UNFINISHED", "state is State.ACCEPTED")
    for text in decisions:
        assert state_tests(ast.parse(f"x = {text}")), text
    assert not state_tests(ast.parse("x = payments.c.state == State.REVIEW"))


def test_only_the_domain_decides_on_states() -> None:
    assert {str(file): lines for file in UNDECIDING if (lines := state_tests(tree(file)))} == {}
