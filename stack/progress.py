"""Shows what a long command is doing: one line that is written anew on a terminal, lines elsewhere."""

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
# Elsewhere lines stay, so that one with the same text is only written this often.
REPEAT_SECONDS = 10.0


class Progress:
    """Repeats the current activity, with the seconds since the start, from entering the context until leaving it."""

    def __init__(
        self,
        stream: TextIO | None = None,
        interval_seconds: float = INTERVAL_SECONDS,
        repeat_seconds: float = REPEAT_SECONDS,
    ) -> None:
        self._stream = stream or sys.stdout
        self._is_terminal = self._stream.isatty()
        self._interval_seconds = interval_seconds
        self._repeat_seconds = repeat_seconds
        self._last_text = ""
        self._last_written = float("-inf")
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
        text, now = self._activity(), time.monotonic()
        line = f"{now - self._started:4.0f} s  {text}"
        with self._lock:
            if self._is_terminal:
                self._clear()
                # A line that wraps could not be cleared.
                self._stream.write(line[:TERMINAL_COLUMNS])
            elif text != self._last_text or now - self._last_written >= self._repeat_seconds:
                self._stream.write(f"{line}\n")
                self._last_text, self._last_written = text, now
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
