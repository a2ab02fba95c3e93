"""House rules that a reader would otherwise have to check: names, docstrings, sizes, floats, sleeps."""

from __future__ import annotations

import ast
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest

from .source import LAYERS, ROOMS, ROOT, calls, files, migrations, tree

MOST_LINES = 400
EMPTY_WORDS = {"utils", "util", "helpers", "helper", "common", "manager", "managers", "misc"}
OURS = [file for file in files(*ROOMS) if file not in migrations()]
TESTS = files("tests")
name = str


@pytest.mark.parametrize("file", [*OURS, *TESTS], ids=name)
def test_a_module_says_what_it_owns(file: Path) -> None:
    assert ast.get_docstring(tree(file)), f"{file} has no docstring"


@pytest.mark.parametrize("file", files(*LAYERS, "sandbox"), ids=name)
def test_public_functions_and_classes_say_what_they_do(file: Path) -> None:
    bare = [node.name for node in public(tree(file)) if not ast.get_docstring(node)]
    assert not bare, f"{file}: no docstring on {', '.join(bare)}"


def public(module: ast.Module) -> Iterator[ast.FunctionDef | ast.ClassDef]:
    """Yield what other modules may use."""
    for node in module.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
            yield node


@pytest.mark.parametrize("file", [*OURS, *TESTS], ids=name)
def test_a_module_has_a_name_that_says_something(file: Path) -> None:
    assert not EMPTY_WORDS & set(file.with_suffix("").parts)
    assert not EMPTY_WORDS & set(file.stem.split("_"))


def test_files_are_short() -> None:
    long = {str(file): lines for file in OURS if (lines := len((ROOT / file).read_text().splitlines())) > MOST_LINES}
    for file, lines in long.items():
        warnings.warn(LongFile(f"{file} has {lines} lines, more than {MOST_LINES}"), stacklevel=1)
    assert all(lines <= 2 * MOST_LINES for lines in long.values()), long


class LongFile(UserWarning):
    """A file that should be two."""


test_files_are_short = pytest.mark.filterwarnings("default::UserWarning")(test_files_are_short)


@pytest.mark.parametrize("file", files("domain", "models", "gateways", "tasks", "webhooks"), ids=name)
def test_no_amount_is_made_a_float(file: Path) -> None:
    assert "float" not in [called for _, called in calls(file)]


@pytest.mark.parametrize("file", files("domain"), ids=name)
def test_the_domain_asks_no_clock_and_rolls_no_dice(file: Path) -> None:
    asked = {called for _, called in calls(file)} & {"now", "utcnow", "today", "time", "monotonic", "random", "open"}
    assert not asked


@pytest.mark.parametrize("file", [file for file in files(*LAYERS) if file.parts[0] != "worker"], ids=name)
def test_only_the_worker_reads_the_environment(file: Path) -> None:
    reads = [node for node in ast.walk(tree(file)) if isinstance(node, ast.Attribute) and node.attr == "environ"]
    assert not reads or file == Path("models/failpoint.py")


@pytest.mark.parametrize("file", TESTS, ids=name)
def test_tests_sleep_only_between_two_looks(file: Path) -> None:
    """A sleep is allowed in a loop that ends as soon as its condition holds."""
    waits = {id(call) for loop in loops(tree(file)) for call in ast.walk(loop)}
    sleeps = [call.lineno for call, called in calls(file) if called == "sleep" and id(call) not in waits]
    assert not sleeps, f"{file} sleeps on lines {sleeps}"


def loops(module: ast.Module) -> Iterator[ast.While | ast.For]:
    """Yield every loop."""
    yield from (node for node in ast.walk(module) if isinstance(node, ast.While | ast.For))


@pytest.mark.parametrize("file", TESTS, ids=name)
def test_no_test_is_skipped(file: Path) -> None:
    skips = [called for _, called in calls(file) if called in {"skip", "skipif", "xfail", "importorskip"}]
    marks = [node.attr for node in ast.walk(tree(file)) if isinstance(node, ast.Attribute)]
    assert not skips
    assert not {"skip", "skipif", "xfail"} & set(marks)


@pytest.mark.parametrize("file", [*OURS, *TESTS], ids=name)
def test_no_file_names_this_machine(file: Path) -> None:
    text = (ROOT / file).read_text(encoding="utf-8")
    assert str(ROOT) not in text
    assert not any(folder in text for folder in ("/home" + "/", "/root" + "/", "/Users" + "/"))
