"""Shows what a long command is doing: one line that is written anew on a terminal, a line each time elsewhere."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import TextIO

# A command that prints nothing for two seconds looks stuck.
INTERVAL_SECONDS = 1.5
CLEAR_LINE = "\r\x1b[2K"
TERMINAL_COLUMNS = 100


class Progress:
    """Repeats the current activity, with the seconds since the start, from entering the context until leaving it."""

    def __init__(self, stream: TextIO | None = None, interval_seconds: float = INTERVAL_SECONDS) -> None:
        self._stream = stream or sys.stdout
        self._is_terminal = self._stream.isatty()
        self._interval_seconds = interval_seconds
        self._activity: Callable[[], str] = str
        self._started = time.monotonic()
        # Two threads write: the one that repeats the activity, and the command itself.
        self._lock = threading.Lock()
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._repeat, name="progress", daemon=True)

    def show(self, activity: str | Callable[[], str]) -> None:
        """Show another activity from now on; a function is called each time, so that it can count."""
        self._activity = activity if callable(activity) else lambda: activity
        self._write()

    def print(self, text: str) -> None:
        """Print lines that stay."""
        with self._lock:
            self._clear()
            print(text, file=self._stream, flush=True)

    def stop(self) -> None:
        """End the repetition; `print` still works."""
        self._is_over.set()
        self._thread.join()
        with self._lock:
            self._clear()
            self._stream.flush()

    def _repeat(self) -> None:
        while not self._is_over.wait(self._interval_seconds):
            self._write()

    def _write(self) -> None:
        line = f"{time.monotonic() - self._started:4.0f} s  {self._activity()}"
        with self._lock:
            self._clear()
            # A line that wraps could not be cleared.
            text = line[:TERMINAL_COLUMNS] if self._is_terminal else f"{line}\n"
            self._stream.write(text)
            self._stream.flush()

    def _clear(self) -> None:
        if self._is_terminal:
            self._stream.write(CLEAR_LINE)

    def __enter__(self) -> Progress:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
