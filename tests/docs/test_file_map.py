"""The file map of docs/architecture.md names every product file and no other."""

from __future__ import annotations

import re
from pathlib import Path

from stack.process import ROOT
from tests.docs.pages import text_of

ROOMS = ("domain", "models", "runtime", "gateways", "notifications", "tasks", "webhooks", "worker")
PAGE = Path("docs/architecture.md")
# A pattern stands for the file in each provider's package.
PROVIDER = "<provider>"
_ROW = re.compile(r"^\| `([^`]+\.py)` \| (.+) \|$", re.MULTILINE)


def named() -> dict[str, str]:
    """Return the files of the map, each with what it owns."""
    return dict(_ROW.findall(text_of(PAGE).partition("## File map")[2]))


def product_files() -> set[str]:
    """Return the product's files. An `__init__.py` says in its docstring what its room is."""
    found = (file for room in ROOMS for file in (ROOT / room).rglob("*.py"))
    return {str(file.relative_to(ROOT)) for file in found if file.name != "__init__.py"}


def pattern_of(file: str) -> str:
    """Return the pattern that stands for a file of a provider's package."""
    parts = file.split("/")
    return "/".join([parts[0], PROVIDER, *parts[2:]]) if parts[0] == "gateways" and len(parts) == 3 else file


def test_every_product_file_is_on_the_map() -> None:
    assert sorted(file for file in product_files() if not {file, pattern_of(file)} & set(named())) == []


def test_every_file_on_the_map_exists() -> None:
    known = product_files()
    patterns = {pattern_of(file) for file in known}
    assert [file for file in named() if file not in known | patterns] == []


def test_each_file_has_one_line_that_says_something() -> None:
    lines = _ROW.findall(text_of(PAGE).partition("## File map")[2])
    assert len(lines) == len(named())
    assert [file for file, owns in lines if len(owns) < 10] == []


def test_a_road_names_only_files_that_exist() -> None:
    roads = text_of(PAGE).partition("## The five roads")[2].partition("## File map")[0]
    files = set(re.findall(r"`([\w<>/]+\.py)`", roads))
    known = product_files()
    patterns = {pattern_of(file) for file in known}
    assert len(files) > 30
    assert sorted(file for file in files if file not in known | patterns and not (ROOT / file).exists()) == []
