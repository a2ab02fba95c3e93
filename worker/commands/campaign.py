"""What commands that compute for minutes share: a progress bar on a terminal, and outputs that are checked first."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import click

from worker.commands.open_runtime import fail
from worker.simulation_plot import ENDINGS, require_matplotlib

T = TypeVar("T")


@contextmanager
def bar(label: str, length: int) -> Iterator[Callable[[int], None]]:
    """Show how far a part has come, on stderr if that is a terminal; yield what is told of each step."""
    if not sys.stderr.isatty():
        yield _say_nothing
        return
    steps = max(1, length // 200)
    with click.progressbar(length=length, label=label, file=sys.stderr, update_min_steps=steps) as shown:
        yield shown.update


def require_outputs(*files: Path | None, picture: Path | None = None) -> None:
    """Refuse, before any work, what cannot be written. Raises ValueError."""
    for file in filter(None, (*files, picture)):
        is_new = not file.exists()
        is_writable = os.access(file.parent if is_new else file, os.W_OK)
        if file.is_dir() or not is_writable:
            raise ValueError(f"{file}: cannot be written")
    if picture is not None:
        if picture.suffix.lower() not in ENDINGS:
            raise ValueError(f"{picture}: a picture ends in {' or '.join(ENDINGS)}")
        require_matplotlib()


def write(file: Path | None, text: str) -> None:
    """Write a file, if one is wanted; end with one line and exit code 1 if that fails."""
    try:
        if file is not None:
            file.write_text(text, encoding="utf-8")
    except OSError as error:
        fail(f"{error.filename}: cannot be written: {error.strerror}")


def as_json(report: dict[str, Any]) -> str:
    """Return a report as text; the same report gives the same bytes."""
    return json.dumps(report, indent=2) + "\n"


def named(file: Path, read: Callable[[Path], T]) -> T:
    """Return what is read from a file. Raises ValueError with its name in front."""
    try:
        return read(file)
    except ValueError as error:
        raise ValueError(f"{file}: {error}") from None


def size_of(file: Path) -> int:
    """Return the bytes of a file; 0 if there is none, which is said when it is read."""
    return file.stat().st_size if file.exists() else 0


def _say_nothing(steps: int) -> None:
    del steps
