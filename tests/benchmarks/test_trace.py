"""The trace of a card payment, and how a file gets into it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.file_trace import files_on_the_map, traced_files
from benchmarks.source_figures import source_figures
from domain.money import decimal_text
from stack.process import ROOT


def test_a_file_counts_if_one_of_its_functions_runs() -> None:
    with traced_files() as files:
        decimal_text(100, "EUR")
    assert files == {Path("domain/money.py")}


def test_a_heading_that_is_not_on_the_map_is_an_error() -> None:
    with pytest.raises(ValueError, match="Road 9"):
        files_on_the_map("### Road 9: nowhere")


def test_the_trace_names_files_of_every_step() -> None:
    command = [sys.executable, "-P", "-m", "benchmarks.trace"]
    trace = subprocess.run(command, env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, timeout=110)
    assert trace.returncode == 0, trace.stderr
    titles = [line.split(":")[0] for line in trace.stdout.splitlines() if " files; " in line]
    assert titles == [
        "one charge, from the request until captured",
        "POST /process",
        "charge until captured",
        "refund",
        "webhook with news",
        "sweep and dunning retry",
        "doubt and look-up",
    ]
    assert "models    accept_payment " in trace.stdout


def test_the_figures_are_those_of_the_source() -> None:
    figures = source_figures()
    assert figures["functions with a return annotation"].startswith("100.0 %")
    assert figures["modules with a docstring"].startswith("100.0 %")
