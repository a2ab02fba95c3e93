"""The campaign of random operations, small: some are made at the providers only, and half of all webhooks are lost."""

from __future__ import annotations

import subprocess
import sys

import pytest

from stack.process import ROOT
from tests.patience import patient

pytestmark = pytest.mark.acceptance


def test_one_comparison_makes_the_books_those_of_the_providers() -> None:
    campaign = ["-m", "stack.books", "--seed", "5", "--operations", "40", "--outside", "0.3"]
    done = subprocess.run(
        [sys.executable, *campaign], cwd=ROOT, capture_output=True, text=True, timeout=patient(240), check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "every amount equals the providers' ledger" in done.stdout
