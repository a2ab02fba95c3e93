"""A plug-in of pytest for `stack.mutants`: notes how the first test fails, and whether that shows the value at fault.

The rule: a failure counts if it is an assertion or a `pytest.fail`, an exception of the product, or a refusal of the
database (a constraint, a lock). Any other exception, and every failure before the tests run, is an accident: an edit
that lets a test stumble is not seen by what the test says."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.exc import IntegrityError, OperationalError

# Where the note is written: JSON with the test, the exception, and whether it counts.
VARIABLE = "CELERIAC_FIRST_FAILURE"
_PRODUCT = ("domain", "models", "gateways", "runtime", "tasks", "webhooks", "worker")


def counts(error: BaseException) -> bool:
    """Tell whether an exception shows the value at fault.

    >>> counts(AssertionError()), counts(IndexError())
    (True, False)
    """
    is_refusal = isinstance(error, AssertionError | pytest.fail.Exception | IntegrityError | OperationalError)
    return is_refusal or type(error).__module__.partition(".")[0] in _PRODUCT


def pytest_exception_interact(node: Any, call: pytest.CallInfo[Any], report: Any) -> None:
    """Note the first failure."""
    file = Path(os.environ[VARIABLE])
    if call.excinfo is None or file.exists():
        return
    is_run = isinstance(report, pytest.TestReport)
    error = call.excinfo.value
    note = {"test": node.nodeid, "error": type(error).__name__, "counts": is_run and counts(error)}
    file.write_text(json.dumps(note))
