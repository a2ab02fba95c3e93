"""Restarts the services of the stack when they end."""

from __future__ import annotations

import sys
import threading
from types import TracebackType

from stack.process import Process

CHECK_SECONDS = 1.0


class Supervisor:
    """Starts a process again when it has ended, with any exit code, from entering the context until leaving it.

    honcho cannot do this: it stops all processes as soon as one ends, starts them all at once, and waits for no
    condition.
    """

    def __init__(self, processes: list[Process]) -> None:
        self._processes = processes
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="supervisor", daemon=True)

    def _watch(self) -> None:
        while not self._is_over.wait(CHECK_SECONDS):
            for process in self._processes:
                if not process.is_running():
                    print(f"stack: {process.name} ended and is started again", file=sys.stderr, flush=True)
                    process.start()

    def __enter__(self) -> Supervisor:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._is_over.set()
        self._thread.join()
