"""The project's Markdown pages, read as text: prose, fenced blocks, links and names in backticks."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from stack.process import ROOT

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_CODE = re.compile(r"`([^`\n]+)`")
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block of a page. `number` counts the blocks of the page from 1."""

    page: str
    number: int
    language: str
    text: str


def pages() -> list[Path]:
    """Return every page, relative to the project."""
    found = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
    return sorted(file.relative_to(ROOT) for file in found)


@cache
def text_of(page: Path) -> str:
    """Return a page."""
    return (ROOT / page).read_text(encoding="utf-8")


def prose_of(page: Path) -> str:
    """Return a page without its fenced blocks."""
    return _FENCE.sub("", text_of(page))


def blocks_of(page: Path) -> list[Block]:
    """Return the fenced blocks of a page, in order."""
    found = enumerate(_FENCE.findall(text_of(page)), start=1)
    return [Block(str(page), number, language, text) for number, (language, text) in found]


def links_of(page: Path) -> list[str]:
    """Return the targets of a page's links."""
    return _LINK.findall(re.sub(_CODE, "", prose_of(page)))


def names_of(page: Path) -> list[str]:
    """Return what a page has in backticks."""
    return _CODE.findall(prose_of(page))


def anchors_of(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as GitHub forms them."""
    return {_anchor(heading) for heading in _HEADING.findall(prose_of(page))}


def _anchor(heading: str) -> str:
    plain = re.sub(r"[^\w\- ]", "", heading.lower())
    return plain.strip().replace(" ", "-")
