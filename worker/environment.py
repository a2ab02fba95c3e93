"""The process's variables: the environment, and a .env file for what the environment does not set."""

from __future__ import annotations

import os
from pathlib import Path

from dotenv import dotenv_values

_FILE = Path(".env")


def read_variables() -> dict[str, str]:
    """Return every variable by its name in lower case. A variable without a value counts as absent."""
    in_file = dotenv_values(_FILE, encoding="utf-8") if _FILE.is_file() else {}
    return _given(in_file) | _given(dict(os.environ))


def _given(values: dict[str, str | None] | dict[str, str]) -> dict[str, str]:
    return {name.lower(): value for name, value in values.items() if value}
