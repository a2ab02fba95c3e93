"""One child process with its log: start, wait for a condition, kill, stop. Knows nothing of what it runs.

Each process leads a group of its own, so a Ctrl-C in the terminal reaches only the owner, which stops its
children in order; a reaper kills the groups of an owner that was itself killed.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from subprocess import DEVNULL, PIPE, STDOUT
from types import TracebackType

ROOT = Path(__file__).resolve().parent.parent
POLL_SECONDS = 0.05


class ProcessError(RuntimeError):
    """A process ended, or did not get ready in time; the message ends with the tail of its log."""


class Process:
    """A command that can be started again after it ended; its log is appended to."""

    def __init__(self, name: str, command: Sequence[str], *, log: Path, env: Mapping[str, str] | None = None):
        self.name = name
        self.command = list(command)
        self.log = log
        self.env = None if env is None else dict(env)
        self._child: subprocess.Popen[bytes] | None = None

    def start(self) -> Process:
        """Start it in the project's folder; a running one is a mistake of the caller."""
        if self.is_running():
            raise ProcessError(f"{self.name} runs already")
        self.kill()
        with self.log.open("ab") as log:
            self._child = subprocess.Popen(
                self.command,
                cwd=ROOT,
                env=self.env,
                stdin=DEVNULL,
                stdout=log,
                stderr=STDOUT,
                start_new_session=True,
            )
        guard(self._child.pid)
        return self

    @property
    def pid(self) -> int:
        """The process id, which is also its group's; only after `start`."""
        if self._child is None:
            raise ProcessError(f"{self.name} was not started")
        return self._child.pid

    def is_running(self) -> bool:
        """Tell whether it was started and has not ended."""
        return self._child is not None and self._child.poll() is None

    def exit_code(self) -> int | None:
        """Return how it ended, minus the signal's number if a signal did it; None while it runs."""
        return None if self._child is None else self._child.poll()

    def wait_for(self, condition: Callable[[], bool], what: str, seconds: float = 30) -> None:
        """Wait until `condition` holds; raise ProcessError if the process ends first or the time is over."""
        if not wait_until(lambda: condition() or not self.is_running(), seconds):
            raise ProcessError(f"{self.name}: no {what} within {seconds:g} seconds\n{self.log_tail()}")
        if not self.is_running():
            raise ProcessError(f"{self.name} ended before {what}\n{self.log_tail()}")

    def send(self, number: signal.Signals) -> None:
        """Send a signal to the process itself, not to its group."""
        os.kill(self.pid, number)

    def kill(self) -> None:
        """Kill -9 the whole group, as a lost machine would; does nothing if it was never started."""
        if self._child is None:
            return
        # The group may outlive its leader, so it is signalled even if the leader has ended.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)
        self._child.wait()
        unguard(self.pid)
        self._child = None

    def stop(self, seconds: float = 10) -> None:
        """Ask it to end, give it time, then kill what is left of the group."""
        if self.is_running():
            self.send(signal.SIGTERM)
            wait_until(lambda: not self.is_running(), seconds)
        self.kill()

    def log_text(self) -> str:
        """Return everything it has written so far, over all its starts."""
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def log_tail(self, lines: int = 20) -> str:
        """Return the last lines of its log, indented under its name."""
        tail = self.log_text().splitlines()[-lines:] or ["(its log is empty)"]
        return "\n".join(f"  {self.name} | {line}" for line in tail)

    def __enter__(self) -> Process:
        return self if self.is_running() else self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def wait_until(condition: Callable[[], bool], seconds: float, poll_seconds: float = POLL_SECONDS) -> bool:
    """Poll `condition` until it holds; return whether it did within `seconds`."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(poll_seconds)
    return True


def interrupt_on_signals() -> None:
    """Turn SIGTERM and a closed terminal into KeyboardInterrupt, so that contexts are left in order.

    SIGINT is named too because a shell has the background jobs of its scripts ignore it.
    """
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)


def free_port() -> int:
    """Return a TCP port of 127.0.0.1 that nothing listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def is_listening(port: int) -> bool:
    """Tell whether something accepts connections on a port of 127.0.0.1."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def guard(group: int) -> None:
    """Have a process group killed when this process ends without `unguard`, even by a kill -9."""
    _tell_reaper(f"+{group}")


def unguard(group: int) -> None:
    """Take back `guard`; its number may belong to others from now on."""
    _tell_reaper(f"-{group}")


# Two threads must not start two reapers: the one that is dropped would kill what it was told to guard.
_reaper_lock = threading.Lock()


@functools.cache
def _reaper() -> subprocess.Popen[bytes]:
    """Start the reaper of this process; the pipe to it closes when this process ends, however it does."""
    command = [sys.executable, "-I", "-S", str(Path(__file__).with_name("reaper.py"))]
    reaper = subprocess.Popen(command, stdin=PIPE, stdout=DEVNULL, start_new_session=True, bufsize=0)
    # An orderly end waits for it: an interpreter that leaves a child behind warns of it.
    atexit.register(reaper.communicate)
    return reaper


def _tell_reaper(line: str) -> None:
    with _reaper_lock:
        pipe = _reaper().stdin
        if pipe is None:
            raise ProcessError("bug: the reaper was started without a pipe")
        pipe.write(f"{line}\n".encode())
