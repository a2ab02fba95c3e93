"""Figures of the product's source: sizes of files and functions, annotations, docstrings, comments, tests by name."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from statistics import median

from benchmarks.file_trace import ROOMS
from stack.process import ROOT


def source_figures() -> dict[str, str]:
    """Return each figure by its name."""
    files = sorted(_sources())
    texts = [file.read_text(encoding="utf-8") for file in files]
    trees = [ast.parse(text) for text in texts]
    functions = [node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    lines = [line for text in texts for line in text.splitlines()]
    tests = [test.stem for test in (ROOT / "tests").rglob("test_*.py")]
    return {
        "files (without __init__.py and migrations)": str(len(files)),
        "lines of a file, median / 95th percentile / most": _sizes([len(text.splitlines()) for text in texts]),
        "lines of a function, median / 95th percentile / most": _sizes([_length(node) for node in functions]),
        "functions with a return annotation": _share(node.returns is not None for node in functions),
        "modules with a docstring": _share(ast.get_docstring(tree) is not None for tree in trees),
        "comment lines": _share(line.lstrip().startswith("#") for line in lines),
        "files whose name is in the name of a test file": _share(
            any(file.stem in test for test in tests) for file in files
        ),
    }


def _sources() -> Iterator[Path]:
    for room in ROOMS:
        for file in (ROOT / room).rglob("*.py"):
            if file.name != "__init__.py" and "versions" not in file.parts:
                yield file


def _length(function: ast.FunctionDef) -> int:
    return (function.end_lineno or function.lineno) - function.lineno + 1


def _sizes(sizes: list[int]) -> str:
    ordered = sorted(sizes)
    return f"{median(ordered):.0f} / {ordered[int(0.95 * len(ordered))]} / {ordered[-1]}"


def _share(values: Iterator[bool]) -> str:
    found = list(values)
    return f"{100 * sum(found) / len(found):.1f} % ({sum(found)} of {len(found)})"
