"""The planted bugs of `tests/mutants`: what each replaces, what it would cost, and which tests have to see it.

A file there is one room. Reads and checks them; `stack.mutants` plants them."""

from __future__ import annotations

import ast
import tomllib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from stack.process import ROOT

FOLDER = ROOT / "tests" / "mutants"


@dataclass(frozen=True, slots=True)
class PlantedBug:
    """One edit of a product file. `old`: the text that it replaces, which the file has exactly once. `cost`: one
    sentence. `tests`: the narrowest tests that have to see it, each as pytest names it."""

    name: str
    kind: str
    file: str
    old: str
    new: str
    cost: str
    tests: tuple[str, ...]

    def planted(self, source: str) -> str:
        """Return the product file's text with the bug in it. Raises ValueError unless `old` occurs exactly once."""
        if source.count(self.old) != 1:
            raise ValueError(f"{self.name}: `old` occurs {source.count(self.old)} times in {self.file}, not once")
        return source.replace(self.old, self.new)


def planted_bugs(only: str = "") -> list[PlantedBug]:
    """Return the planted bugs in which the text `only` occurs, in their file or their name."""
    tables = [table for file in sorted(FOLDER.glob("*.toml")) for table in tomllib.loads(file.read_text())["bug"]]
    bugs = [PlantedBug(**{**table, "tests": tuple(table["tests"])}) for table in tables]
    return [bug for bug in bugs if only in bug.file or only in bug.name]


def problems(bugs: list[PlantedBug]) -> Iterator[str]:
    """Yield what keeps the bugs from being planted and seen."""
    for name, times in Counter(bug.name for bug in bugs).items():
        if times > 1:
            yield f"{name}: {times} bugs have this name"
    for bug in bugs:
        yield from _problems(bug)


def _problems(bug: PlantedBug) -> Iterator[str]:
    try:
        ast.parse(bug.planted((ROOT / bug.file).read_text(encoding="utf-8")))
    except (OSError, ValueError, SyntaxError) as error:
        yield f"{bug.name}: {error}"
    if bug.new == bug.old:
        yield f"{bug.name}: it changes nothing"
    if not bug.cost.endswith(".") or ". " in bug.cost:
        yield f"{bug.name}: `cost` is not one sentence"
    if not bug.tests:
        yield f"{bug.name}: it names no test"
    yield from (f"{bug.name}: there is no test {test}" for test in bug.tests if not _exists(test))


def _exists(test: str) -> bool:
    file, _, name = test.partition("::")
    path = ROOT / file
    return path.is_file() and (not name or name.partition("[")[0] in _functions(path))


@cache
def _functions(file: Path) -> frozenset[str]:
    tree = ast.parse(file.read_text(encoding="utf-8"))
    return frozenset(node.name for node in tree.body if isinstance(node, ast.FunctionDef))
