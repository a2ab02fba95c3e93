"""The providers' own specifications. They are not part of the project; without them, tests compare with none."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

from stack.process import ROOT

SPECIFICATIONS = next((folder for base in (ROOT.parent, ROOT) if (folder := base / "shared" / "specs").is_dir()), None)


def files_of(provider: str, pattern: str = "*.json") -> list[Path]:
    """Return the paths of a provider's files, in the order of their names."""
    return sorted((SPECIFICATIONS / provider).glob(pattern)) if SPECIFICATIONS else []


@cache
def read(file: Path) -> Any:
    """Return a file's JSON."""
    return json.loads(file.read_text(encoding="utf-8"))


def all_of(provider: str, pattern: str = "*.json") -> list[Any]:
    """Return the JSON of a provider's files."""
    return [read(file) for file in files_of(provider, pattern)]
