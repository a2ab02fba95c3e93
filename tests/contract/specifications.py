"""The providers' own specifications, where they lie beside the project; none elsewhere, so that nothing is skipped."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

from stack.process import ROOT

SPECIFICATIONS = next((folder for base in (ROOT.parent, ROOT) if (folder := base / "shared" / "specs").is_dir()), None)


def files_of(provider: str, pattern: str = "*.json") -> list[Path]:
    """Return a provider's files, in the order of their names."""
    return sorted((SPECIFICATIONS / provider).glob(pattern)) if SPECIFICATIONS else []


@cache
def read(file: Path) -> Any:
    """Return what a file says."""
    return json.loads(file.read_text(encoding="utf-8"))


def all_of(provider: str, pattern: str = "*.json") -> list[Any]:
    """Return what a provider's files say."""
    return [read(file) for file in files_of(provider, pattern)]
