"""Collects the project's files of which a function runs. Importing a file does not count."""

from __future__ import annotations

import inspect
import re
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

from stack.process import ROOT

# The rooms of the product. The sandbox is not one: a provider's code is not ours either.
ROOMS = ("domain", "gateways", "models", "runtime", "tasks", "webhooks", "worker")
MAP = ROOT / "docs" / "architecture.md"
# The section that lists the files of every road, ahead of the roads themselves.
SHARED_FILES = "## The five roads"
_FILE_NAME = re.compile(r"`([\w<>/]+\.py)`")


@contextmanager
def traced_files() -> Iterator[set[Path]]:
    """Yield a set that has the files, relative to the project, once the context is left."""
    names: set[str] = set()

    def record(frame: FrameType, event: str, argument: Any) -> None:
        # The bodies of modules and classes run at the import; only functions have this flag.
        if event == "call" and frame.f_code.co_flags & inspect.CO_OPTIMIZED:
            names.add(frame.f_code.co_filename)

    files: set[Path] = set()
    threading.setprofile(record)
    sys.setprofile(record)
    try:
        yield files
    finally:
        sys.setprofile(None)
        threading.setprofile(None)
        files.update(file for name in names if (file := _project_file(name)))


def _project_file(name: str) -> Path | None:
    if not Path(name).is_relative_to(ROOT):
        return None
    file = Path(name).relative_to(ROOT)
    return file if file.parts[0] in ROOMS else None


def line_count(file: Path) -> int:
    """Return the number of lines of a file of the project."""
    return len((ROOT / file).read_text(encoding="utf-8").splitlines())


def files_on_the_map(heading: str) -> set[Path]:
    """Return the files that a section of docs/architecture.md names, up to the next heading. Raises ValueError if it
    names none, because then the heading is wrong."""
    section = MAP.read_text(encoding="utf-8").partition(f"{heading}\n")[2]
    section = section.partition("\n### ")[0].partition("\n## ")[0]
    files = {Path(name.replace("<provider>", "stripe")) for name in _FILE_NAME.findall(section)}
    if not files:
        raise ValueError(f"docs/architecture.md names no file below {heading!r}")
    return files
