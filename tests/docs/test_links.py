"""Every link of every page resolves, and every file, module and command that a page names exists."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from dev import COMMANDS
from stack.process import ROOT
from tests.docs.pages import anchors_of, blocks_of, links_of, names_of, pages

ROOMS = (
    *("domain", "models", "runtime", "gateways", "notifications", "tasks", "webhooks", "worker"),
    *("sandbox", "stack", "tests", "benchmarks"),
)
PAGES = pages()
# A file name in backticks: a path from the root, or a file that lies at the root.
_FILE = re.compile(r"(?:[\w.<>-]+/)*[\w.<>-]+\.(?:py|md|toml|cfg|txt|mako|example)|(?:[\w.<>-]+/)+")
_DOTTED = re.compile(rf"(?:{'|'.join(ROOMS)})(?:\.\w+)+")
_COMMAND = re.compile(r"python3 dev\.py (\w+)")
NAMES_AT_ROOT = {"dev.py", "celeryconfig.py", "setup.cfg", "pyproject.toml", "constraints.txt", ".env.example"}


def names_file(name: str) -> bool:
    """Tell whether a name in backticks is a path of this project."""
    first = name.split("/")[0]
    is_path = "/" in name and (first in ROOMS or first in ("docs", ".ci"))
    return bool(_FILE.fullmatch(name)) and (is_path or name in NAMES_AT_ROOT)


def exists(name: str) -> bool:
    """Tell whether a path exists; `<provider>` stands for any name."""
    return any(ROOT.glob(re.sub(r"<\w+>", "*", name.rstrip("/"))))


def is_defined(dotted: str) -> bool:
    """Tell whether `models.transition.apply` is a module or something that a module defines."""
    parts = dotted.split(".")
    for length in range(len(parts), 0, -1):
        path = ROOT.joinpath(*parts[:length])
        module = next((file for file in (path.with_suffix(".py"), path / "__init__.py") if file.is_file()), None)
        if module is not None:
            text = module.read_text(encoding="utf-8")
            return all(re.search(rf"\b{name}\b", text) for name in parts[length:])
    return False


def test_the_pages_are_found() -> None:
    assert {Path("README.md"), Path("docs/architecture.md"), Path("docs/adr/README.md")} <= set(PAGES)


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_every_link_resolves(page: Path) -> None:
    broken = []
    for link in links_of(page):
        target, _, anchor = link.partition("#")
        if "://" in link or link.startswith("mailto:"):
            continue
        file = (ROOT / page.parent / target).resolve() if target else ROOT / page
        if not file.exists() or (anchor and anchor not in anchors_of(file.relative_to(ROOT))):
            broken.append(link)
    assert broken == []


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_every_file_and_module_that_a_page_names_exists(page: Path) -> None:
    names = names_of(page)
    files = [name for name in names if names_file(name) and not exists(name)]
    modules = [name for name in names if _DOTTED.fullmatch(name) and not name.endswith(".py") and not is_defined(name)]
    assert (files, modules) == ([], [])


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_every_developers_command_that_a_page_names_exists(page: Path) -> None:
    texts = [*names_of(page), *(block.text for block in blocks_of(page))]
    assert {command for text in texts for command in _COMMAND.findall(text)} <= set(COMMANDS)


def test_the_search_sees_a_wrong_name() -> None:
    assert names_file("models/nowhere.py")
    assert not exists("models/nowhere.py")
    assert exists("gateways/<provider>/gateway.py")
    assert is_defined("models.transition.apply")
    assert not is_defined("models.transition.no_such_name")
