"""The embedded stack: which processes it has, in which order they start and stop, and what they are told.

It uses the system only as an operator would: by its command lines, its environment and its HTTP paths.
"""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
import threading
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType

import requests

from stack.credentials import sandbox_credentials
from stack.process import ROOT, Process, ProcessError, free_port, is_listening
from stack.servers import valkey

API = "/api/v1/payments"
START_SECONDS = 60
SUPERVISE_SECONDS = 1.0


class Stack:
    """Valkey, sandbox, web, worker and beat in one folder, from entering the context until leaving it.

    A `DATABASE_URL` or `CELERY_BROKER_URL` of the caller is used instead of SQLite or Valkey. The provider is
    always the sandbox: provider settings of the caller never reach the processes. `settings` are added.
    """

    def __init__(self, directory: Path, environment: Mapping[str, str] = os.environ, **settings: str) -> None:
        web, sandbox, self._broker_port = free_port(), free_port(), free_port()
        self.directory = directory
        self.web_url = f"http://127.0.0.1:{web}"
        self.sandbox_url = f"http://127.0.0.1:{sandbox}"
        self.api_url = self.web_url + API
        self.env = {
            "DATABASE_URL": f"sqlite:///{directory}/celeriac.db",
            "CELERY_BROKER_URL": f"redis://127.0.0.1:{self._broker_port}/0",
            **environment,
            **sandbox_credentials(self.sandbox_url, self.web_url, f"whsec_{secrets.token_hex(16)}"),
            "PYTHONUNBUFFERED": "1",
            **settings,
        }
        is_embedded = "CELERY_BROKER_URL" not in environment
        self.broker = valkey(directory / "valkey", self._broker_port) if is_embedded else None
        self.sandbox = self._python(
            "sandbox",
            *("-m", "sandbox", "--port", str(sandbox)),
            *("--webhook-url", f"{self.api_url}/webhooks/stripe"),
            *("--webhook-secret", self.env["STRIPE_WEBHOOK_SECRET"]),
        )
        self.web = self._python(
            *("web", "-m", "gunicorn", "worker.wsgi:app", "--bind", f"127.0.0.1:{web}"),
            *("--workers", "1", "--threads", "16", "--log-level", "warning"),
        )
        self.worker = self._celery("worker", "worker", "-l", "warning")
        self.beat = self._celery("beat", "beat", "-l", "warning", "--schedule", str(directory / "beat"))
        self._running = ExitStack()

    def _python(self, name: str, *arguments: str) -> Process:
        return Process(name, [sys.executable, *arguments], log=self.directory / f"{name}.log", env=self.env)

    def _celery(self, name: str, *arguments: str) -> Process:
        return self._python(name, "-m", "celery", "-A", "worker", *arguments)

    def command(self, *arguments: str) -> str:
        """Run `celery -A worker payments ...` in the stack's environment; return what it printed."""
        command = [sys.executable, "-m", "celery", "-A", "worker", "payments", *arguments]
        result = subprocess.run(command, cwd=ROOT, env=self.env, capture_output=True, text=True)
        if result.returncode:
            tail = "\n".join((result.stdout + result.stderr).splitlines()[-20:])
            raise ProcessError(f"`payments {' '.join(arguments)}` failed\n{tail}")
        return result.stdout

    def create_key(self, role: str, name: str) -> str:
        """Return a fresh API key."""
        return self.command("keys", "create", "--role", role, "--name", name).split()[-1]

    def __enter__(self) -> Stack:
        self.directory.mkdir(parents=True, exist_ok=True)
        with ExitStack() as starting:
            self._start(starting)
            self._running = starting.pop_all()
        return self

    def _start(self, running: ExitStack) -> None:
        """Start in order; leaving `running` stops what was started, in reverse."""
        if self.broker:
            running.enter_context(self.broker)
        running.enter_context(self.sandbox)
        self.command("db", "upgrade")
        if self.broker:
            self.broker.wait_for(lambda: is_listening(self._broker_port), "a listening port", START_SECONDS)
        self.sandbox.wait_for(lambda: "listening on" in self.sandbox.log_text(), "its address", START_SECONDS)
        services = [self.web, self.worker, self.beat]
        for process in services:
            running.enter_context(process)
        self.web.wait_for(self._is_ready, "a 200 from /readyz", START_SECONDS)
        running.enter_context(Supervisor(services))

    def _is_ready(self) -> bool:
        try:
            return requests.get(f"{self.web_url}/readyz", timeout=5).ok
        except requests.RequestException:
            return False

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._running.close()

    def log_tails(self) -> str:
        """Return the ends of all logs, for a report of what went wrong."""
        return "\n".join(p.log_tail(8) for p in (self.sandbox, self.web, self.worker, self.beat))


class Supervisor:
    """Starts a process again when it has ended, whatever its exit code, until it leaves its context.

    honcho does not serve here: it ends all processes as soon as one ends, starts them all at once, and waits
    for no condition.
    """

    def __init__(self, processes: list[Process]) -> None:
        self._processes = processes
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="supervisor", daemon=True)

    def _watch(self) -> None:
        while not self._is_over.wait(SUPERVISE_SECONDS):
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
