"""The project's own source, read as text and as syntax trees."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

from stack.process import ROOT

ROOMS = ("domain", "gateways", "models", "runtime", "tasks", "webhooks", "worker", "notifications", "sandbox", "stack")
LAYERS = ("domain", "gateways", "models", "runtime", "tasks", "webhooks", "worker", "notifications")


def files(*rooms: str) -> list[Path]:
    """Return the Python files of the rooms, relative to the project."""
    found = (file for room in rooms for file in sorted((ROOT / room).rglob("*.py")))
    return [file.relative_to(ROOT) for file in found if "__pycache__" not in file.parts]


def migrations() -> list[Path]:
    """Return the migrations, which are written by a tool."""
    return files("models/migrations/versions")


@cache
def tree(file: Path) -> ast.Module:
    """Return the syntax tree of a file."""
    return ast.parse((ROOT / file).read_text(encoding="utf-8"), str(file))


@cache
def nodes(file: Path) -> tuple[ast.AST, ...]:
    """Return every node of a file's syntax tree."""
    return tuple(ast.walk(tree(file)))


@cache
def calls(file: Path) -> tuple[tuple[ast.Call, str], ...]:
    """Return every call with the name of what is called: `update` for both `update(x)` and `sa.update(x)`."""
    return tuple((node, name_of(node.func)) for node in nodes(file) if isinstance(node, ast.Call))


def name_of(called: ast.expr) -> str:
    """Return the last part of a name, the empty string for what has none."""
    return called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", "")
