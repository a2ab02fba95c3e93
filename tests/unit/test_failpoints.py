"""Crash points: nothing at all unless armed, and then the end of the process."""

from __future__ import annotations

import inspect
import os
import signal
import subprocess
import sys

import pytest

from models import failpoints
from stack.process import ROOT


def reach_in_a_process(name: str, armed: str | None) -> subprocess.CompletedProcess[str]:
    environment = {key: value for key, value in os.environ.items() if key != "CELERIAC_FAILPOINT"}
    environment |= {} if armed is None else {"CELERIAC_FAILPOINT": armed}
    code = f"from models.failpoints import reach; reach({name!r}); print('alive')"
    return subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )


def test_an_unarmed_failpoint_does_nothing() -> None:
    assert failpoints.reach is failpoints._pass
    statements = [line for line in inspect.getsource(failpoints._pass).splitlines()[1:] if line.strip()]
    assert len(statements) == 1, "only its docstring"
    assert failpoints.reach("charge.claimed") is None


@pytest.mark.parametrize("point", sorted(failpoints.POINTS)[:2])
def test_an_armed_failpoint_kills_the_process(point: str) -> None:
    result = reach_in_a_process(point, armed=point)
    assert (result.returncode, result.stdout) == (-signal.SIGKILL, "")


def test_a_failpoint_passes_while_another_one_is_armed() -> None:
    assert reach_in_a_process("charge.claimed", armed="charge.responded").stdout == "alive\n"


def test_a_process_without_an_armed_failpoint_lives() -> None:
    assert reach_in_a_process("charge.claimed", armed=None).stdout == "alive\n"


def test_a_name_that_is_not_listed_is_a_bug() -> None:
    result = reach_in_a_process("charge.invented", armed="charge.claimed")
    assert "LookupError" in result.stderr
