#!/usr/bin/env python3
"""The developer's one entry: makes the virtual environment, then runs the chosen command inside it.

Standard library only, and readable by an older Python up to the check that refuses it. What the commands do
lives in `stack` and `benchmarks`; nothing of it is imported here.
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
    "demo": ("stack.demo", "[--json FILE]", "real payments through the whole system, on a stack of its own"),
    "up": ("stack.up", "", "the same stack, kept running until Ctrl-C, with an API key and curl lines"),
    "test": ("stack.test", "[pytest arguments]", "lint, types, layers and the whole test suite"),
    "books": ("stack.books", "[--seed N]", "random operations over all providers with faults, then the books compared"),
    "bench": ("benchmarks", "[arguments]", "CPU per payment and payments per second, beside their floor"),
}


def main(arguments: list[str]) -> None:
    """Run one command, or list them."""
    if not arguments or arguments[0] in ("help", "-h", "--help"):
        print_commands()
    elif arguments[0] not in COMMANDS:
        refuse(f"there is no command {arguments[0]!r}; the commands are: {', '.join(COMMANDS)}")
    else:
        check_python()
        make_venv()
        run_module(COMMANDS[arguments[0]][0], arguments[1:])


def print_commands() -> None:
    """List the commands, one a line."""
    for name, (_module, options, meaning) in COMMANDS.items():
        print(f"  python3 dev.py {f'{name} {options}':<24} {meaning}")


def check_python() -> None:
    """Refuse a machine on which the virtual environment cannot be made, with the reason."""
    if os.name != "posix":
        refuse("Linux or macOS is needed (on Windows: WSL)")
    if sys.version_info < OLDEST_PYTHON:
        refuse(f"Python 3.11 or newer is needed, this is {sys.version.split()[0]} ({sys.executable})")
    if not all(importlib.util.find_spec(module) for module in ("venv", "ensurepip")):
        refuse("Python's venv module is missing; on Debian and Ubuntu: apt install python3-venv")


def make_venv() -> None:
    """Make `.venv` unless a whole one, of this Python and these pins, stands there already."""
    import fcntl

    # Held until exec or exit: a second command started meanwhile waits instead of building the same folder.
    lock = os.open(__file__, os.O_RDONLY)
    fcntl.flock(lock, fcntl.LOCK_EX)
    # The folder's own path counts, because the scripts inside name it.
    once(VENV / "packages", f"{sys.version} {sys.base_prefix} {ROOT}", ["constraints.txt"], install_packages)
    once(VENV / "project", "", ["setup.cfg", "pyproject.toml"], install_project)
    os.close(lock)


def once(stamp: Path, text: str, files: list[str], install: Callable[[], None]) -> None:
    """Run `install` unless its stamp says that it came to its end with this text and these files."""
    digest = hashlib.sha256(text.encode())
    for name in files:
        digest.update((ROOT / name).read_bytes())
    if not (PYTHON.exists() and stamp.exists() and stamp.read_text() == digest.hexdigest()):
        install()
        stamp.write_text(digest.hexdigest())


def install_packages() -> None:
    """Make the environment anew, with the pinned packages in it."""
    print("Making .venv from constraints.txt; this happens once and takes about a minute ...", flush=True)
    shutil.rmtree(VENV, ignore_errors=True)
    step("make the virtual environment", [sys.executable, "-m", "venv", str(VENV)])
    options = ["--no-compile", "--only-binary", ":all:", "--require-hashes"]
    step("install the packages of constraints.txt", [*PIP_INSTALL, *options, "-r", "constraints.txt"])


def install_project() -> None:
    """Install the project in place, so that its entry points are found."""
    step("install the project", [*PIP_INSTALL, "--no-deps", "--no-build-isolation", "--editable", "."])


def step(purpose: str, command: list[str]) -> None:
    """Run one silent command; on failure show the end of what it said and stop."""
    result = subprocess.run(command, cwd=ROOT, stdin=DEVNULL, stdout=PIPE, stderr=STDOUT, text=True)
    if result.returncode:
        print("\n".join(result.stdout.splitlines()[-15:]), file=sys.stderr)
        refuse(f"could not {purpose} (exit code {result.returncode}); the end of its output is above")


def run_module(module: str, arguments: list[str]) -> NoReturn:
    """Become the virtual environment's Python, running `module`, in the caller's folder."""
    # -P and PYTHONPATH: the project's modules are found from every folder, and that folder's are not.
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    os.execve(PYTHON, [str(PYTHON), "-P", "-m", module, *arguments], environment)


def refuse(reason: str) -> NoReturn:
    """End with one line."""
    raise SystemExit(f"dev.py: {reason}")


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except KeyboardInterrupt:
        raise SystemExit("\ndev.py: stopped") from None
