"""Reads an operator's TOML file into models, and makes a sentence of everything that is wrong with it."""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

T = TypeVar("T")


def read_toml(file: Path) -> dict[str, Any]:
    """Return the tables of a file. Raises ValueError with one sentence."""
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise ValueError(f"cannot be read: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"is not TOML: {error}") from None


def parsed(place: str, parse: Callable[[], T], problems: list[str], depth: int = 1) -> T | None:
    """Return what `parse` returns; None if that is not valid, with a sentence for each problem added.

    `depth`: how many names of tables and fields say where a problem is."""
    try:
        return parse()
    except ValidationError as error:
        details = error.errors(include_input=False, include_url=False)
    for detail in details:
        field_name = ".".join(str(part) for part in detail["loc"][:depth])
        names = [name for name in (place, field_name) if name]
        problems.append(": ".join([*names, detail["msg"].removeprefix("Value error, ")]))
    return None
