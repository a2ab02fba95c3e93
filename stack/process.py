"""One child process with its log: start, wait for a condition, kill, stop.

Each process leads a process group of its own. A Ctrl-C in the terminal then reaches only the parent, which stops its
children in order. If the parent itself is killed, stack/orphan_cleanup.py kills the groups that it left behind.
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
    """A process ended or did not become ready in time. The first line says why; the end of its log may follow."""


class Process:
    """A command that can be started again after it has ended. Each start appends to the same log."""

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        *,
        log: Path,
        env: Mapping[str, str] | None = None,
        folder: Path = ROOT,
    ):
        self.name = name
        self.command = list(command)
        self.log = log
        self.folder = folder
        self.env = None if env is None else dict(env)
        self._child: subprocess.Popen[bytes] | None = None

    def start(self) -> Process:
        """Start the command. Raise ProcessError if it is running."""
        if self.is_running():
            raise ProcessError(f"bug: {self.name} is running already")
        self.kill()
        with self.log.open("ab") as log:
            self._child = subprocess.Popen(
                self.command,
                cwd=self.folder,
                env=self.env,
                stdin=DEVNULL,
                stdout=log,
                stderr=STDOUT,
                start_new_session=True,
            )
        kill_at_exit(self._child.pid)
        return self

    @property
    def pid(self) -> int:
        """The process id, which is also the id of its process group. Raise ProcessError before `start`."""
        if self._child is None:
            raise ProcessError(f"bug: {self.name} was not started")
        return self._child.pid

    def is_running(self) -> bool:
        """Tell whether the process was started and has not ended."""
        return self._child is not None and self._child.poll() is None

    def exit_code(self) -> int | None:
        """Return the exit code, or minus the number of the signal that ended it; None while it runs."""
        return None if self._child is None else self._child.poll()

    def wait_for(self, condition: Callable[[], bool], what: str, seconds: float = 30) -> None:
        """Wait until `condition` holds. Raise ProcessError if the process ends first, or after `seconds`."""
        if not wait_until(lambda: condition() or not self.is_running(), seconds):
            raise ProcessError(f"{self.name}: no {what} within {seconds:g} seconds\n{self.log_tail()}")
        if not self.is_running():
            raise ProcessError(f"{self.name} ended before {what}\n{self.log_tail()}")

    def send(self, number: signal.Signals) -> None:
        """Send a signal to the process alone, not to its group."""
        os.kill(self.pid, number)

    def kill(self) -> None:
        """Kill the whole group with SIGKILL, as the loss of a machine would. Do nothing before the first start."""
        if self._child is None:
            return
        # Signal the group even if its leader has ended: the leader's children may still run.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)
        self._child.wait()
        cancel_kill_at_exit(self.pid)
        self._child = None

    def stop(self, seconds: float = 10) -> None:
        """Send SIGTERM, wait up to `seconds`, then kill what is left of the group."""
        if self.is_running():
            self.send(signal.SIGTERM)
            wait_until(lambda: not self.is_running(), seconds)
        self.kill()

    def log_text(self) -> str:
        """Return the whole log, over all starts."""
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def log_tail(self, lines: int = 20) -> str:
        """Return the last lines of the log, each with the name of the process in front."""
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

    SIGINT is in the list because a shell starts the background jobs of a script with SIGINT ignored.
    """
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)


def free_port() -> int:
    """Return a TCP port of 127.0.0.1 on which nothing listens now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def is_listening(port: int) -> bool:
    """Tell whether something accepts connections on a port of 127.0.0.1."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def kill_at_exit(group: int) -> None:
    """Have a process group killed when this process ends, even by SIGKILL, unless the order is canceled before."""
    _write_to_cleanup(f"+{group}")


def cancel_kill_at_exit(group: int) -> None:
    """Cancel `kill_at_exit`. Call it once the group has ended: the system may give its number to another group."""
    _write_to_cleanup(f"-{group}")


# Without the lock, two threads could start two cleanup processes. The one without a reference would lose its pipe and
# kill the groups that it knows.
_cleanup_lock = threading.Lock()


@functools.cache
def _cleanup_process() -> subprocess.Popen[bytes]:
    """Start the cleanup process of this process. Its standard input closes when this process ends in any way."""
    command = [sys.executable, "-I", "-S", str(Path(__file__).with_name("orphan_cleanup.py"))]
    cleanup = subprocess.Popen(command, stdin=PIPE, stdout=DEVNULL, start_new_session=True, bufsize=0)
    # Wait for it at a normal exit: an interpreter that leaves a running child behind prints a ResourceWarning.
    atexit.register(cleanup.communicate)
    return cleanup


def _write_to_cleanup(line: str) -> None:
    with _cleanup_lock:
        pipe = _cleanup_process().stdin
        if pipe is None:
            raise ProcessError("bug: the cleanup process was started without a pipe")
        pipe.write(f"{line}\n".encode())
