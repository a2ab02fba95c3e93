"""Everything that has to hold before a merge: lint, types, layers, then the tests, and beside them on another day.

The tests run on real servers. Those that need none run a second time under a moved clock, at the same time. `--fast` is
for the minutes between two edits: it leaves out what is slow, and says so. `CELERIAC_TEST_PATIENCE=5` stretches every
deadline for a machine that is five times slower. Starts no server itself (tests/conftest.py does).
"""

from __future__ import annotations

import calendar
import itertools
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryFile

from stack.process import ROOT
from stack.servers import VARIABLES, Servers, discover, is_ci

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
ANOTHER_DAY = "pytest, on another day"
YEAR = timedelta(days=365)
# What pytest says when a selection has no test; the moved clock has none for, say, tests/acceptance.
NO_TESTS = 5


def main(arguments: list[str]) -> int:
    """Run all checks, even after a failed one; return the exit code."""
    servers = discover()
    environment = {**os.environ, **given(servers)}
    is_fast, options = FAST in arguments, [option for option in arguments if option != FAST]
    failed = []
    # The acceptance tests wait more than they compute, so that the other pass costs no time beside them.
    with nullcontext() if is_fast else on_another_day(options, environment) as other_pass:
        for name, command, passes in checks(options, is_fast):
            print(f"== {name}", flush=True)
            tool, *rest = command
            if subprocess.run([str(TOOLS / tool), *rest], cwd=ROOT, env=environment).returncode not in passes:
                failed.append(name)
        if other_pass is not None and not other_pass():
            failed.append(ANOTHER_DAY)
    missing = [] if is_fast else missing_in_ci(servers)
    print(LEFT_OUT if is_fast else describe(servers))
    if missing:
        print(f"CI=true and no {' and no '.join(missing)}: a missing server is a failure here")
    print(f"FAILED: {', '.join([*failed, *missing])}" if failed or missing else "all checks passed")
    return 1 if failed or missing else 0


def checks(options: list[str], is_fast: bool) -> list[tuple[str, list[str], set[int]]]:
    """Return each check: its name, its command, and the exit codes with which it passes."""
    lint = [(name, command, {0}) for name, command in LINT.items()]
    tests = ("pytest, fast", [*FAST_TESTS, *options], {0}) if is_fast else ("pytest", ["pytest", *options], {0})
    return [*lint, tests]


@contextmanager
def on_another_day(options: list[str], environment: dict[str, str]) -> Iterator[Callable[[], bool]]:
    """Start the tests under a moved clock; yield a function that waits for them, prints their output, and returns
    whether they pass."""
    days = (leap_day(datetime.now(UTC)) - datetime.now(UTC)) / timedelta(days=1)
    # The date is what is tried here: the other run has all examples of each property.
    quick = ["--quiet", "--hypothesis-profile=fast", "-p", "no:cacheprovider"]
    command = [str(TOOLS / "pytest"), f"--days-ahead={days}", *quick, *options]
    with TemporaryFile() as output:
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=output, stderr=subprocess.STDOUT)

        def passes() -> bool:
            returncode = process.wait()
            output.seek(0)
            print(f"== {ANOTHER_DAY}\n{output.read().decode()}", flush=True)
            return returncode in (0, NO_TESTS)

        try:
            yield passes
        finally:
            process.kill()
            process.wait()


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
    """Return the servers that CI has to have and has not; PostgreSQL and Redis can come from wheels."""
    return ["RabbitMQ"] if is_ci() and not servers.amqp else []


def describe(servers: Servers) -> str:
    """Say in one line on which servers the tests ran, and how to include the others."""
    absent = [name for name, url in servers.by_name().items() if not url]
    if not absent:
        return "servers: PostgreSQL, Redis and RabbitMQ, nothing left out"
    brought = [name for name in absent if name != "RabbitMQ"]
    said = [f"{' and '.join(brought)} came from wheels"] if brought else []
    said += ["tests of RabbitMQ were left out"] if "RabbitMQ" in absent else []
    variables = ", ".join(VARIABLES[name] for name in absent)
    return f"servers: {'; '.join(said)}; to include yours, start it on its standard port or set {variables}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
