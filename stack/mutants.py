"""Plants the bugs of `tests/mutants`, one at a time, into a copy of the project, and reports which the tests see.

Each bug would cost money, and names the tests that have to see it. A bug is seen if one of them fails for the value at
fault; how that is told from an accident stands in `stack.first_failure`. The project itself is never changed."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path

from stack.first_failure import VARIABLE
from stack.planted_bugs import PlantedBug, planted_bugs, problems
from stack.process import ROOT
from stack.servers import discover
from stack.test import given

# So long may the tests of one bug run. One that makes a test wait for ever is not seen by what the test says.
LIMIT_SECONDS = 120
# Neither what was made here nor the settings of this machine.
_LEFT_OUT = (".git", ".venv", ".env", ".*_cache", ".hypothesis", "__pycache__", "*.egg-info", "*.db*")


class Verdict(StrEnum):
    """How the tests took a bug."""

    SEEN = "seen"
    NOT_SEEN = "NOT SEEN"
    BY_ACCIDENT = "BY ACCIDENT"


def main(arguments: list[str]) -> int:
    """Plant the chosen bugs; return 0 if all of them are seen, 1 if one is not, 2 if they cannot be tried."""
    parser = argparse.ArgumentParser(prog="dev.py mutants", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--only", default="", metavar="TEXT", help="only bugs in whose file or name this occurs")
    bugs = planted_bugs(parser.parse_args(arguments).only)
    if found := list(problems(bugs)) or ([] if bugs else ["no bug has this text in its file or name"]):
        print(*found, sep="\n", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory(prefix="celeriac-mutants-") as folder:
        copy = Copy(Path(folder))
        if not copy.passes(bugs):
            return 2
        return report(bugs, copy)


def report(bugs: Sequence[PlantedBug], copy: Copy) -> int:
    """Try each bug and print its verdict, then their numbers."""
    began_at, verdicts = time.monotonic(), Counter[Verdict]()
    for bug in bugs:
        started_at = time.monotonic()
        verdict, why = copy.tries(bug)
        verdicts[verdict] += 1
        print(f"{verdict:<12}{time.monotonic() - started_at:6.1f} s  {bug.file}: {bug.name}", flush=True)
        if verdict is not Verdict.SEEN:
            print(f"{'':<12}{why}\n{'':<12}what it would cost: {bug.cost}", flush=True)
    numbers = ", ".join(f"{verdicts[verdict]} {verdict.lower()}" for verdict in Verdict)
    print(f"{len(bugs)} planted bugs in {time.monotonic() - began_at:.0f} s: {numbers}")
    return 0 if verdicts[Verdict.SEEN] == len(bugs) else 1


class Copy:
    """A copy of the project in a temporary folder, in which bugs are planted and tests run."""

    def __init__(self, folder: Path) -> None:
        self._root, self._note = folder / "project", folder / "first-failure.json"
        shutil.copytree(ROOT, self._root, ignore=shutil.ignore_patterns(*_LEFT_OUT))
        self._environment = {
            **os.environ,
            **given(discover()),
            "PYTHONPATH": str(self._root),
            # Compiled once, beside the copy, and for nobody else.
            "PYTHONPYCACHEPREFIX": str(folder / "bytecode"),
            VARIABLE: str(self._note),
        }
        self._environment.pop("PYTHONDONTWRITEBYTECODE", None)
        self._planted = 0

    def passes(self, bugs: Sequence[PlantedBug]) -> bool:
        """Tell whether the named tests pass before anything is planted; print the failures otherwise."""
        tests = list(dict.fromkeys(test for bug in bugs for test in bug.tests))
        print(f"{len(bugs)} planted bugs; first their {len(tests)} tests without any", flush=True)
        result = self._pytest(tests, limit=LIMIT_SECONDS * 10)
        if result is not None and result.returncode == 0:
            return True
        print(result.stdout if result else "they do not end", file=sys.stderr)
        print("these tests fail before any bug is planted", file=sys.stderr)
        return False

    def tries(self, bug: PlantedBug) -> tuple[Verdict, str]:
        """Plant a bug, run its tests, take it out again; return the verdict and its reason."""
        with self._planting(bug):
            result = self._pytest(["-x", *bug.tests], limit=LIMIT_SECONDS)
        if result is None:
            return Verdict.BY_ACCIDENT, "its tests do not end"
        if result.returncode == 0:
            return Verdict.NOT_SEEN, f"these pass: {', '.join(bug.tests)}"
        if not self._note.exists():
            return Verdict.BY_ACCIDENT, f"pytest ends with {result.returncode}:\n{result.stdout[-2000:]}"
        first = json.loads(self._note.read_text())
        return (Verdict.SEEN if first["counts"] else Verdict.BY_ACCIDENT), f"{first['error']} in {first['test']}"

    @contextmanager
    def _planting(self, bug: PlantedBug) -> Iterator[None]:
        file = self._root / bug.file
        self._planted += 1
        file.write_text(bug.planted(file.read_text(encoding="utf-8")), encoding="utf-8")
        # Python compiles a file anew when its date or its size has changed: no two bugs have the same date.
        os.utime(file, (self._planted, self._planted))
        try:
            yield
        finally:
            shutil.copy2(ROOT / bug.file, file)

    def _pytest(self, arguments: list[str], limit: float) -> subprocess.CompletedProcess[str] | None:
        """Run tests in one process; return None if they do not end in time."""
        self._note.unlink(missing_ok=True)
        quiet = ["-q", "--tb=short", "-p", "no:cacheprovider", "-p", "stack.first_failure"]
        command = [sys.executable, "-P", "-m", "pytest", *quiet, "--hypothesis-profile=fast", *arguments]
        how = {"cwd": self._root, "env": self._environment, "capture_output": True, "text": True}
        try:
            return subprocess.run(command, timeout=limit, **how)  # type: ignore[call-overload]
        except subprocess.TimeoutExpired:
            return None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
