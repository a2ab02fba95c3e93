"""What `demo`, `up`, `books` and `fire` have in common: their options, a running stack, and the report of a failure."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

from stack.client import UnexpectedResult
from stack.environment import setting_names
from stack.process import ProcessError, interrupt_on_signals
from stack.progress import Progress
from stack.stack import Stack

INTERRUPTED = 130


def make_parser(name: str, description: str) -> argparse.ArgumentParser:
    """Return the parser of a command that runs on a stack."""
    parser = argparse.ArgumentParser(prog=f"dev.py {name}", description=description)
    parser.add_argument(
        "--use-environment",
        action="store_true",
        help="use the exported settings, such as DATABASE_URL and CELERY_BROKER_URL, and the .env file of this folder;"
        " without it SQLite and a new Valkey are used; providers are the sandbox in both cases",
    )
    return parser


def run_on_stack(
    name: str,
    work: Callable[[Stack, Progress], int],
    *,
    use_environment: bool,
    settings: Mapping[str, str] | None = None,
    has_tasks: bool = True,
) -> int:
    """Call `work` with a running stack; return its exit code, 1 after a failure, 130 after an interruption. Without
    `has_tasks` the stack has no worker and no beat."""
    interrupt_on_signals()
    try:
        with tempfile.TemporaryDirectory(prefix=f"celeriac-{name}-") as directory, Progress() as progress:
            stack = Stack(
                Path(directory),
                use_environment=use_environment,
                show=progress.show,
                settings=settings,
                has_tasks=has_tasks,
            )
            if not use_environment and (ignored := setting_names(os.environ)):
                progress.print(f"Ignored: {', '.join(ignored)} (--use-environment uses them)")
            progress.print(f"Database {stack.database}, broker {stack.broker_url}")
            with stack:
                return work(stack, progress)
    except (ProcessError, UnexpectedResult, OSError) as error:
        print_failure(name, error)
        return 1
    except KeyboardInterrupt:
        print(f"\n{name}: stopped", file=sys.stderr)
        return INTERRUPTED


def print_failure(name: str, error: Exception) -> None:
    """Print what an error has to show, and in the last line its reason."""
    reason, _, details = str(error).partition("\n")
    print(*([details] if details else []), f"{name}: {reason}", sep="\n", file=sys.stderr)
