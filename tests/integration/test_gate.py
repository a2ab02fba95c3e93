"""The gate itself: a test that hangs is named and ends alone, and a moved clock is moved for everything in the process.

Each case runs pytest in a process of its own, with the project's configuration, on tests that are written for it.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from datetime import datetime
from pathlib import Path

import pytest

from stack.process import ROOT
from stack.servers import Servers
from stack.test import (
    ACCEPTANCE,
    ANOTHER_DAY,
    INTEGRATION,
    LEFT_OUT,
    LINT,
    NO_TESTS,
    REST,
    background_checks,
    beside,
    checks,
    describe,
    failures,
    leap_day,
    missing_in_ci,
)
from tests.conftest import PARTS, left_out, part_of

RUNS = (INTEGRATION, ANOTHER_DAY, ACCEPTANCE, REST)

HANGING = """
import threading, time
import pytest

pytestmark = pytest.mark.timeout(0.5)


class Swallowing:
    "Python prints what a finalizer raises, and goes on."

    def __del__(self):
        hang()


def hang():
    threading.Event().wait()


def show_slowly(_):
    ends_at = time.monotonic() + 1
    while time.monotonic() < ends_at:
        pass
    return False


@pytest.fixture
def cleaned():
    yield
    print("cleaned up")


@pytest.fixture
def stuck():
    yield
    hang()


def test_hangs(cleaned):
    hang()


def test_fails_with_a_slow_report():
    # pytest calls it while it renders the traceback, which takes long for long sources and on a busy machine.
    __tracebackhide__ = show_slowly
    pytest.fail("as it must")


def test_fails_and_hangs_in_its_cleanup(stuck):
    pytest.fail("as it must")


@pytest.mark.filterwarnings("default::pytest.PytestUnraisableExceptionWarning")
def test_hangs_where_a_failure_is_swallowed():
    Swallowing()
    hang()


@pytest.mark.timeout(60)
def test_passes():
    pass
"""
CLOCK = """
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
import pytest

IMPORTED_AT = datetime.now(UTC)


def test_the_clock_is_moved_everywhere():
    with ThreadPoolExecutor(1) as pool:
        in_a_thread = pool.submit(time.time).result()
    for at in (in_a_thread, time.time(), datetime.now().timestamp(), IMPORTED_AT.timestamp()):
        # The file system keeps the real time.
        assert at - Path(__file__).stat().st_mtime > 364 * 86_400


@pytest.mark.postgres
def test_a_server_has_its_own_clock():
    pytest.fail("must be left out")
"""

MARKED = """
import pytest


@pytest.mark.acceptance
def test_whole_systems():
    assert "{part}" == "acceptance"


def test_other():
    assert "{part}" == "rest"
"""


def test_a_test_that_hangs_is_named_and_the_run_goes_on(tmp_path: Path) -> None:
    output = run_pytest(tmp_path, HANGING)
    assert "INTERNALERROR" not in output
    failed = set(re.findall(r"^(?:FAILED|ERROR) \S*::(\w+)", output, re.MULTILINE))
    assert failed == set(re.findall(r"def (test_(?:hangs|fails)\w*)", HANGING))
    assert re.search("4 failed, 1 passed, .*1 error", output)
    assert "cleaned up" in output


def test_the_clock_is_moved_for_the_whole_process_and_no_server(tmp_path: Path) -> None:
    output = run_pytest(tmp_path, CLOCK, "--days-ahead=365")
    assert "1 passed, 1 deselected" in output


@pytest.mark.parametrize("is_ci", [True, False])
@pytest.mark.parametrize("chromium", [None, ("chromium", "chromedriver")])
def test_a_missing_chromium_fails_in_ci_and_is_left_out_elsewhere(
    is_ci: bool, chromium: tuple[str, str] | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CI", str(is_ci))
    for module in ("stack.test", "tests.conftest"):
        monkeypatch.setattr(f"{module}.find_chromium", lambda: chromium)
    servers = Servers("postgresql://", "redis://", "amqp://127.0.0.1")
    assert ("browser" in left_out(servers, is_moved=False)) == (chromium is None and not is_ci)
    assert missing_in_ci(servers) == (["Chromium"] if chromium is None and is_ci else [])
    assert ("Chromium were left out" in describe(servers)) == (chromium is None)


@pytest.mark.parametrize("is_ci", [True, False])
def test_a_missing_rabbitmq_fails_in_ci_and_is_left_out_elsewhere(is_ci: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI", str(is_ci))
    monkeypatch.setattr("stack.test.find_chromium", lambda: ("chromium", "chromedriver"))
    for servers in (Servers(None, None, None), Servers(None, None, "amqp://127.0.0.1")):
        assert ("rabbitmq" in left_out(servers, is_moved=False)) == (servers.amqp is None and not is_ci)
        assert missing_in_ci(servers) == (["RabbitMQ"] if servers.amqp is None and is_ci else [])


def test_the_fast_run_says_what_it_leaves_out() -> None:
    *_, (_, command) = checks(["-x"], is_fast=True)
    rooms = {path.name for path in (ROOT / "tests").iterdir() if any(path.glob("test_*.py"))}
    assert {f"tests/{room}" in command for room in rooms if room not in LEFT_OUT} == {True}
    assert {f"tests/{room}" in command for room in rooms if room in LEFT_OUT} == {False}
    assert command[-1] == "-x"


@pytest.mark.parametrize(
    ("today", "moved_to"),
    [("2027-02-27", "2028-02-29"), ("2027-03-02", "2032-02-29"), ("2028-02-29", "2032-02-29")],
)
def test_the_other_day_is_a_leap_day_a_year_away(today: str, moved_to: str) -> None:
    assert leap_day(datetime.fromisoformat(f"{today}T12:00Z")).isoformat() == f"{moved_to}T23:59:00+00:00"


def test_checks_run_beside_the_others_one_after_the_other(capsys: pytest.CaptureFixture[str]) -> None:
    checks = [("first", ["python", "-c", "print('one')"]), ("second", ["python", "-c", "print('two'); exit(3)"])]
    with beside(checks, dict(os.environ)) as finish:
        assert finish() == {"first": 0, "second": 3}
    assert capsys.readouterr().out == "== first\none\n\n== second\ntwo\n\n"


def test_the_two_lanes_have_every_part_once_and_another_day() -> None:
    commands = [command for _, command in [*checks(["-x"], is_fast=False)[len(LINT) :], *background_checks(["-x"])]]
    parts = [option.removeprefix("--part=") for command in commands for option in command if "--part=" in option]
    assert sorted(parts) == sorted(PARTS)
    assert [option for command in commands for option in command if "--days-ahead=" in option]
    assert all("-x" in command for command in commands)


@pytest.mark.parametrize("part", ["acceptance", "rest"])
def test_a_part_runs_its_own_tests(part: str, tmp_path: Path) -> None:
    assert "1 passed, 1 deselected" in run_pytest(tmp_path, MARKED.format(part=part), f"--part={part}")


def test_integration_tests_are_a_part_by_their_folder(request: pytest.FixtureRequest) -> None:
    assert part_of(request.node) == "integration"


@pytest.mark.parametrize(
    ("codes", "failed"),
    [
        ({}, []),
        ({INTEGRATION: NO_TESTS, ANOTHER_DAY: NO_TESTS}, []),
        ({ACCEPTANCE: NO_TESTS}, []),
        ({INTEGRATION: 1, ACCEPTANCE: 4}, [INTEGRATION, ACCEPTANCE]),
        ({"mypy": NO_TESTS}, ["mypy"]),
        (dict.fromkeys(RUNS, NO_TESTS), ["no test is selected"]),
    ],
)
def test_a_run_may_have_no_test_but_not_every_run(codes: dict[str, int], failed: list[str]) -> None:
    assert failures({"mypy": 0, **dict.fromkeys(RUNS, 0), **codes}) == failed


def run_pytest(folder: Path, tests: str, *options: str) -> str:
    """Run tests with the project's configuration and plugins; return what pytest says."""
    file = folder / "test_made.py"
    file.write_text(tests)
    # Without a conftest.py beside the file, the project's has to be named.
    plugins = ["-p", "tests.conftest", "-p", "no:cacheprovider"]
    command = [sys.executable, "-m", "pytest", "-c", str(ROOT / "setup.cfg"), *plugins, *options, str(file)]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    return result.stdout + result.stderr
