"""Every log text of the table in docs/operations.md is a text that the product logs."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from tests.architecture.source import LAYERS, calls, files
from tests.docs.pages import text_of

# `log: A or B` in the symptoms, and `the log says A` or `does the log say A` in what to look at.
_PLACES = re.compile(r"\blog(?::| says?)((?: (?:or )?`[^`]+`)+)")
_TEXTS = re.compile(r"`([^`]+)`")
# What stands for a value: an ellipsis, or a word in capitals.
_VALUE = re.compile(r"…|\b[A-Z]{3,}\b")
_METHODS = ("info", "warning", "error", "exception")


def documented() -> list[str]:
    """Return the log texts of the table."""
    table = text_of(Path("docs/operations.md")).partition("## When something is wrong")[2]
    return [text for place in _PLACES.findall(table) for text in _TEXTS.findall(place)]


def logged() -> list[str]:
    """Return the first argument of every logging call of the product."""
    arguments = (
        call.args[0] for file in files(*LAYERS) for call, name in calls(file) if name in _METHODS and call.args
    )
    return [text.value for text in arguments if isinstance(text, ast.Constant) and isinstance(text.value, str)]


def is_logged(text: str) -> bool:
    """Tell whether a documented text is part of one that the product logs."""
    pattern = "%s".join(re.escape(part) for part in _VALUE.split(text))
    return any(re.search(pattern, line) for line in logged())


def test_every_log_text_of_the_table_is_logged() -> None:
    assert [text for text in documented() if not is_logged(text)] == []


def test_every_row_about_a_log_is_read() -> None:
    rows = [line for line in text_of(Path("docs/operations.md")).splitlines() if line.startswith("| log: ")]
    read = documented()
    assert len(rows) > 5
    assert [row for row in rows if not any(f"`{text}`" in row for text in read)] == []
    assert "is not configured in this worker" in read


def test_the_search_sees_a_text_that_is_not_logged() -> None:
    assert is_logged("malformed provider response: FIELD")
    assert not is_logged("the broker does not take messages")
