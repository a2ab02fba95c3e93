"""House rules that a reader would otherwise have to check: names, docstrings, sizes, floats, sleeps."""

from __future__ import annotations

import ast
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest

from .source import LAYERS, ROOMS, ROOT, calls, files, migrations, nodes, tree

MOST_LINES = 400
EMPTY_WORDS = {"utils", "util", "helpers", "helper", "common", "manager", "managers", "misc"}
CLOCKS_AND_DICE = {"now", "utcnow", "today", "time", "monotonic", "random", "open"}
CLOCKS = {"now", "utcnow", "today", "time", "time_ns"}
MOMENTS = {"datetime", "date", "fromtimestamp", "fromisoformat", "strptime"}
SKIPS = {"skip", "skipif", "xfail", "importorskip"}
OURS = [file for file in files(*ROOMS) if file not in migrations()]
TESTS = files("tests")


class LongFile(UserWarning):
    """A file that should be two."""


def text(file: Path) -> str:
    return (ROOT / file).read_text(encoding="utf-8")


def nodes_of(file: Path, kind: type[ast.AST]) -> Iterator[ast.AST]:
    return (node for node in nodes(file) if isinstance(node, kind))


def attributes(file: Path) -> set[str]:
    return {node.attr for node in nodes_of(file, ast.Attribute)}


def called_in(file: Path) -> set[str]:
    return {called for _, called in calls(file)}


def test_the_rooms_are_found() -> None:
    assert len(OURS) > 60
    assert len(TESTS) > 20


def test_every_module_says_what_it_owns() -> None:
    assert [file for file in [*OURS, *TESTS] if not ast.get_docstring(tree(file))] == []


def test_public_functions_and_classes_say_what_they_do() -> None:
    rooms = files(*LAYERS, "sandbox")
    assert [f"{file}: {node.name}" for file in rooms for node in public(file) if not ast.get_docstring(node)] == []


def public(file: Path) -> Iterator[ast.FunctionDef | ast.ClassDef]:
    """Yield what other modules may use."""
    for node in tree(file).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
            yield node


def test_every_module_has_a_name_that_says_something() -> None:
    assert [file for file in [*OURS, *TESTS] if EMPTY_WORDS & {*file.parts, *file.stem.split("_")}] == []


@pytest.mark.filterwarnings("default::UserWarning")
def test_files_are_short() -> None:
    long = {file: lines for file in OURS if (lines := len(text(file).splitlines())) > MOST_LINES}
    for file, lines in long.items():
        warnings.warn(LongFile(f"{file} has {lines} lines, more than {MOST_LINES}"), stacklevel=1)
    assert all(lines <= 2 * MOST_LINES for lines in long.values()), long


def test_no_amount_is_made_a_float() -> None:
    rooms = files("domain", "models", "gateways", "tasks", "webhooks")
    assert [file for file in rooms if "float" in called_in(file)] == []


def test_the_domain_asks_no_clock_and_rolls_no_dice() -> None:
    assert [file for file in files("domain") if CLOCKS_AND_DICE & called_in(file)] == []


def test_only_the_worker_reads_the_environment() -> None:
    """And the failpoints, which must cost nothing before any setting is read."""
    rooms = [file for file in files(*LAYERS) if file.parts[0] != "worker"]
    assert [file for file in rooms if "environ" in attributes(file)] == [Path("models/failpoints.py")]


def test_tests_sleep_only_between_two_looks() -> None:
    """A sleep is allowed in a loop that ends as soon as its condition holds."""
    assert [f"{file}:{line}" for file in TESTS for line in bare_sleeps(file)] == []


def bare_sleeps(file: Path) -> Iterator[int]:
    """Yield the lines of the sleeps that are in no loop."""
    loops = [*nodes_of(file, ast.While), *nodes_of(file, ast.For)]
    waits = {id(node) for loop in loops for node in ast.walk(loop)}
    return (call.lineno for call, called in calls(file) if called == "sleep" and id(call) not in waits)


def test_a_test_module_fixes_its_moments_or_reads_a_clock() -> None:
    """A literal date beside a clock is right on some days only; code that is handed `now` may have any date."""
    mixed = [f"{file}:{line}" for file in TESTS if CLOCKS & called_in(file) for line in fixed_moments(file)]
    assert mixed == []


def fixed_moments(file: Path) -> Iterator[int]:
    """Yield the lines of the calls that make a moment out of a literal."""
    for call, called in calls(file):
        if called in MOMENTS and call.args and isinstance(call.args[0], ast.Constant):
            yield call.lineno


def test_no_test_is_skipped() -> None:
    assert [file for file in TESTS if SKIPS & (called_in(file) | attributes(file))] == []


def test_no_file_names_this_machine() -> None:
    folders = [str(ROOT), *(f"/{name}/" for name in ("home", "root", "Users"))]
    assert [file for file in [*OURS, *TESTS] if any(folder in text(file) for folder in folders)] == []
