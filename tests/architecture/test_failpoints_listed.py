"""Every crash point of the source is listed, and every listed one is in the source."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from models.failpoints import POINTS

from .source import LAYERS, calls, files

SOURCE = files(*LAYERS)


def stages() -> set[str]:
    """Return the stages that `execute_attempt` is called with."""
    found = (call.args[2] for file in SOURCE for call, called in calls(file) if called == "execute_attempt")
    return {stage.value for stage in found if isinstance(stage, ast.Constant)}


def reached() -> Iterator[str]:
    """Yield every name that `reach` is called with; `{stage}` stands for each stage."""
    for _, call in reaches():
        (name,) = call.args
        if isinstance(name, ast.Constant):
            yield name.value
        else:
            assert isinstance(name, ast.JoinedStr), ast.dump(name)
            pieces = [piece.value if isinstance(piece, ast.Constant) else "*" for piece in name.values]
            yield from ("".join(pieces).replace("*", stage) for stage in stages())


def reaches() -> list[tuple[Path, ast.Call]]:
    """Return every call of `reach`."""
    return [(file, call) for file in SOURCE for call, called in calls(file) if called == "reach"]


def test_stages_are_named_by_literals() -> None:
    assert stages() == {"charge", "operation"}


def test_points_and_source_agree() -> None:
    assert set(reached()) == POINTS
