#!/usr/bin/env python3
"""The commands for development: creates the virtual environment, then runs the chosen command in it.

Uses the standard library only, because it runs before anything is installed. An older Python can parse it as far as
the check that refuses that Python. The commands themselves are in `stack` and `benchmarks`, which it does not import.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from subprocess import DEVNULL, PIPE, STDOUT
from typing import NoReturn

ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
PIP_INSTALL = [str(PYTHON), *"-m pip install --quiet --no-input --disable-pip-version-check".split()]
OLDEST_PYTHON = (3, 11)
COMMANDS = {
    "demo": ("stack.demo", "[--json FILE]", "real payments by every payment method, through a complete local system"),
    "up": ("stack.up", "", "the same system, kept running until Ctrl-C, with API keys and lines to type"),
    "test": ("stack.test", "[--fast] [pytest arguments]", "lint, types, layers, all tests; --fast: the quick ones"),
    "books": (
        "stack.books",
        "[--operations N] [--outside SHARE]",
        "random operations with faults, a share of them made elsewhere, then a reconciliation",
    ),
    "dunning": (
        "stack.dunning",
        "[--histories N] [--seed S]",
        "random customers in dunning, in memory and through a whole system; no rule may be broken",
    ),
    "attack": (
        "stack.attack",
        "[--use-environment] [--strangers N] [--customers N] [--most K] [--door DOOR] [--shared WHAT] [--json FILE]",
        "hundreds of cards are tested at each door among normal traffic; each door has to hold",
    ),
    "fire": (
        "stack.fire",
        "[--debts N] [--seed N] [--days N]",
        "three weeks of dunning while workers and beats are killed at every step, then a reconciliation",
    ),
    "mutants": ("stack.mutants", "[--only TEXT]", "plants bugs that would cost money; the tests must see each of them"),
    "bench": (
        "benchmarks",
        "[trace|books|dunning|fraud]",
        "cost of a payment beside its floor; trace: its files; books, dunning, fraud: many of them",
    ),
}


def main(arguments: list[str]) -> None:
    """Run one command, or list the commands."""
    if not arguments or arguments[0] in ("help", "-h", "--help"):
        print_commands()
    elif arguments[0] not in COMMANDS:
        refuse(f"there is no command {arguments[0]!r}; use one of {', '.join(COMMANDS)}")
    else:
        check_python()
        make_venv()
        run_module(COMMANDS[arguments[0]][0], arguments[1:])


def print_commands() -> None:
    """Print the commands, one on each line."""
    for name, (_module, options, meaning) in COMMANDS.items():
        print(f"  python3 dev.py {f'{name} {options}':<40} {meaning}")


def check_python() -> None:
    """Refuse a machine on which the virtual environment cannot be created; say what it lacks."""
    if os.name != "posix":
        refuse("Linux or macOS is needed (on Windows: WSL)")
    if sys.version_info < OLDEST_PYTHON:
        refuse(f"Python 3.11 or newer is needed, this is {sys.version.split()[0]} ({sys.executable})")
    if not all(importlib.util.find_spec(module) for module in ("venv", "ensurepip")):
        refuse("Python's venv module is missing; on Debian and Ubuntu: apt install python3-venv")


def make_venv() -> None:
    """Create `.venv`, unless a complete one for this Python and these versions of the packages exists."""
    import fcntl

    # Held until exec or exit, so that a second command waits and does not create the same folder at the same time.
    lock = os.open(__file__, os.O_RDONLY)
    fcntl.flock(lock, fcntl.LOCK_EX)
    # The path belongs to the stamp because the scripts inside contain it: a moved environment does not work.
    once(VENV / "packages", f"{sys.version} {sys.base_prefix} {ROOT}", ["constraints.txt"], install_packages)
    once(VENV / "project", "", ["setup.cfg", "pyproject.toml"], install_project)
    os.close(lock)


def once(stamp: Path, text: str, files: list[str], install: Callable[[], None]) -> None:
    """Run `install`, unless its stamp file shows that it has succeeded with this text and these files."""
    digest = hashlib.sha256(text.encode())
    for name in files:
        digest.update((ROOT / name).read_bytes())
    if not (PYTHON.exists() and stamp.exists() and stamp.read_text() == digest.hexdigest()):
        install()
        stamp.write_text(digest.hexdigest())


def install_packages() -> None:
    """Create the environment anew and install the packages of constraints.txt."""
    print("Creating .venv from constraints.txt; this happens once and takes about a minute ...", flush=True)
    shutil.rmtree(VENV, ignore_errors=True)
    step("create the virtual environment", [sys.executable, "-m", "venv", str(VENV)])
    options = ["--no-compile", "--only-binary", ":all:", "--require-hashes"]
    step("install the packages of constraints.txt", [*PIP_INSTALL, *options, "-r", "constraints.txt"])


def install_project() -> None:
    """Install the project in place, so that Celery finds its command-line plug-in."""
    step("install the project", [*PIP_INSTALL, "--no-deps", "--no-build-isolation", "--editable", "."])


def step(purpose: str, command: list[str]) -> None:
    """Run a command without its output; on failure print the end of the output and exit."""
    result = subprocess.run(command, cwd=ROOT, stdin=DEVNULL, stdout=PIPE, stderr=STDOUT, text=True)
    if result.returncode:
        print("\n".join(result.stdout.splitlines()[-15:]), file=sys.stderr)
        refuse(f"could not {purpose} (exit code {result.returncode}); the output above says why; then run this again")


def run_module(module: str, arguments: list[str]) -> NoReturn:
    """Replace this process by the virtual environment's Python, which runs `module` in the caller's folder."""
    # With -P and PYTHONPATH, Python imports the project's modules from every folder, and no module of that folder.
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    os.execve(PYTHON, [str(PYTHON), "-P", "-m", module, *arguments], environment)


def refuse(reason: str) -> NoReturn:
    """Exit with one line that says what to do."""
    raise SystemExit(f"dev.py: {reason}")


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except KeyboardInterrupt:
        raise SystemExit("\ndev.py: stopped") from None
