"""Everything that has to hold before a merge: lint, types, layers, tests, and tests on another day.

The tests run on real servers, in two lanes of about the same length: the integration tests, and then those that need no
server once more, under a moved clock; beside them the acceptance tests, which wait more than they compute, and then all
others. `--fast` is for the minutes between two edits:
it leaves out what is slow, and says so. `CELERIAC_TEST_PATIENCE=5` stretches every deadline for a machine that is five
times slower. Starts no server itself (tests/conftest.py does).
"""

from __future__ import annotations

import calendar
import itertools
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from subprocess import PIPE, STDOUT

from stack.process import ROOT
from stack.servers import VARIABLES, Servers, discover, find_chromium, is_ci

TOOLS = Path(sys.executable).parent
FAST = "--fast"
LINT = {
    "ruff": ["ruff", "check", "--quiet"],
    "mypy": ["mypy", "--no-error-summary"],
    "import-linter": ["lint-imports", "--no-logo"],
}
FAST_TESTS = ["pytest", "--hypothesis-profile=fast", "domain", "tests/unit", "tests/architecture", "tests/stack"]
LEFT_OUT = """\
left out by --fast: tests/api, sandbox, contract, integration, benchmarks, docs and acceptance, the run under a moved
clock, and four of five examples of each property; `python3 dev.py test` has them all"""
YEAR = timedelta(days=365)
INTEGRATION, ANOTHER_DAY = "pytest, integration", "pytest, on another day"
ACCEPTANCE, REST = "pytest, acceptance", "pytest, the rest"
MAY_BE_EMPTY = (INTEGRATION, ANOTHER_DAY, ACCEPTANCE, REST)
SLOWEST = "--durations=10"
# What pytest says when a selection has no test; the moved clock has none for, say, tests/acceptance.
NO_TESTS = 5
Command = tuple[str, list[str]]


def main(arguments: list[str]) -> int:
    """Run all checks, even after a failed one; return the exit code."""
    servers = discover()
    environment = {**os.environ, **given(servers)}
    is_fast, options = FAST in arguments, [option for option in arguments if option != FAST]
    with beside([] if is_fast else background_checks(options), environment) as finish:
        codes = {name: run(name, command, environment) for name, command in checks(options, is_fast)}
        codes |= finish()
    failed = failures(codes)
    missing = [] if is_fast else missing_in_ci(servers)
    print(LEFT_OUT if is_fast else describe(servers))
    if missing:
        print(f"CI=true and no {' and no '.join(missing)}: a missing server is a failure here")
    print(f"FAILED: {', '.join([*failed, *missing])}" if failed or missing else "all checks passed")
    return 1 if failed or missing else 0


def checks(options: list[str], is_fast: bool) -> list[Command]:
    """Return the checks of the foreground, by name, in order."""
    if is_fast:
        return [*LINT.items(), ("pytest, fast", [*FAST_TESTS, *options])]
    days = (leap_day(datetime.now(UTC)) - datetime.now(UTC)) / timedelta(days=1)
    # The date is what is tried: the other runs have all examples of each property.
    moved = [f"--days-ahead={days}", "--quiet", "--hypothesis-profile=fast"]
    runs = {INTEGRATION: part("integration", options), ANOTHER_DAY: ["pytest", *moved, *options]}
    return [*LINT.items(), *runs.items()]


def background_checks(options: list[str]) -> list[Command]:
    """Return the checks that run beside those, in order."""
    runs = {ACCEPTANCE: part("acceptance", options), REST: part("rest", options)}
    return [(name, [*command, "-p", "no:cacheprovider"]) for name, command in runs.items()]


def part(name: str, options: list[str]) -> list[str]:
    """Return the command that runs one part of the tests."""
    return ["pytest", f"--part={name}", SLOWEST, *options]


def run(name: str, command: list[str], environment: dict[str, str]) -> int:
    """Run a check, and return its exit code."""
    print(f"== {name}", flush=True)
    return subprocess.run(with_tool(command), cwd=ROOT, env=environment).returncode


@contextmanager
def beside(checks: list[Command], environment: dict[str, str]) -> Iterator[Callable[[], dict[str, int]]]:
    """Run checks one after the other in the background; yield a function that waits for them, prints their output, and
    returns their exit codes."""
    with ThreadPoolExecutor(1) as pool:
        running = {name: pool.submit(run_silently, command, environment) for name, command in checks}

        def finish() -> dict[str, int]:
            codes = {}
            for name, check in running.items():
                codes[name], output = check.result()
                print(f"== {name}\n{output}", flush=True)
            return codes

        try:
            yield finish
        finally:
            pool.shutdown(cancel_futures=True)


def run_silently(command: list[str], environment: dict[str, str]) -> tuple[int, str]:
    """Run a check; return its exit code and its output."""
    done = subprocess.run(with_tool(command), cwd=ROOT, env=environment, stdout=PIPE, stderr=STDOUT, text=True)
    return done.returncode, done.stdout


def with_tool(command: list[str]) -> list[str]:
    """Return a command whose first word is the tool of this virtual environment."""
    return [str(TOOLS / command[0]), *command[1:]]


def failures(codes: dict[str, int]) -> list[str]:
    """Return the checks that failed. A run of tests may find none selected, but not all of them."""
    failed = [name for name, code in codes.items() if code and (code, name in MAY_BE_EMPTY) != (NO_TESTS, True)]
    has_tests = any(code != NO_TESTS for name, code in codes.items() if name not in LINT)
    return failed if has_tests else [*failed, "no test is selected"]


def leap_day(now: datetime) -> datetime:
    """Return the last minute (UTC) of the first 29 February that is a year away or more.

    One run then meets three dates that code gets wrong: another year, a leap day, and a day that ends meanwhile.
    """
    years = (year for year in itertools.count(now.year) if calendar.isleap(year))
    return next(day for year in years if (day := datetime(year, 2, 29, 23, 59, tzinfo=UTC)) - now >= YEAR)


def given(servers: Servers) -> dict[str, str]:
    """Return the variables that hand the found servers to pytest."""
    return {VARIABLES[name]: url for name, url in servers.by_name().items() if url}


def missing_in_ci(servers: Servers) -> list[str]:
    """Return what CI has to have and has not; PostgreSQL and Redis can come from wheels."""
    return not_tested(servers) if is_ci() else []


def not_tested(servers: Servers) -> list[str]:
    """Return what is absent, so that its tests are left out."""
    return [name for name, found in (("RabbitMQ", servers.amqp), ("Chromium", find_chromium())) if not found]


def describe(servers: Servers) -> str:
    """Say in one line on which servers the tests ran, and how to include the others."""
    absent = [name for name, url in servers.by_name().items() if not url]
    left_out = not_tested(servers)
    if not absent and not left_out:
        return "servers: PostgreSQL, Redis and RabbitMQ, nothing left out"
    brought = [name for name in absent if name != "RabbitMQ"]
    said = [f"{' and '.join(brought)} came from wheels"] if brought else []
    said += [f"tests with {' and '.join(left_out)} were left out"] if left_out else []
    variables = ", ".join(VARIABLES[name] for name in absent)
    how = [f"to include your server, start it on its standard port or set {variables}"] if absent else []
    how += ["install Chromium and its driver"] if "Chromium" in left_out else []
    return f"servers: {'; '.join([*said, *how])}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
