"""The stack: a complete local system. Its processes, the order in which they start and stop, and their settings."""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType

import requests

from stack.credentials import sandbox_credentials
from stack.environment import shell_file, without_password, without_settings
from stack.process import ROOT, Process, ProcessError, free_port, is_listening
from stack.servers import valkey_process
from stack.supervisor import Supervisor

API = "/api/v1/payments"
START_SECONDS = 60
LOG_LINES = 8


class Stack:
    """Broker (Valkey), sandbox, web, worker and beat in one folder, from entering the context until leaving it.

    The database is SQLite. The caller's variables that configure the application reach no process, so that an exported
    DATABASE_URL is never used by accident. With `use_environment` they do, and a DATABASE_URL or CELERY_BROKER_URL
    among them replaces SQLite or Valkey. The provider is the sandbox in both cases. `settings` are added. `show` is
    called with what happens next during the start. Without `has_tasks` worker and beat do not run: the caller makes
    others by `celery`.
    """

    def __init__(
        self,
        directory: Path,
        environment: Mapping[str, str] = os.environ,
        *,
        use_environment: bool = False,
        show: Callable[[str], None] = lambda activity: None,
        settings: Mapping[str, str] | None = None,
        has_tasks: bool = True,
    ) -> None:
        web, sandbox, mail, self._broker_port = free_port(), free_port(), free_port(), free_port()
        self.directory = directory
        self._show = show
        # The application reads `.env` in its current folder, which is a setting of the caller too.
        self._folder = Path.cwd() if use_environment else directory
        self.web_url = f"http://127.0.0.1:{web}"
        self.sandbox_url = f"http://127.0.0.1:{sandbox}"
        self.api_url = self.web_url + API
        self.mail_url = f"{self.sandbox_url}/mail"
        inherited = dict(environment) if use_environment else without_settings(environment)
        is_embedded = not inherited.get("CELERY_BROKER_URL")
        self.env = {
            "PYTHONPATH": str(ROOT),
            "DATABASE_URL": f"sqlite:///{directory}/celeriac.db",
            "CELERY_BROKER_URL": f"redis://127.0.0.1:{self._broker_port}/0",
            **{name: value for name, value in inherited.items() if value},
            **sandbox_credentials(self.sandbox_url, self.web_url, f"whsec_{secrets.token_hex(16)}"),
            **_mail_settings(mail),
            "PYTHONUNBUFFERED": "1",
            **(settings or {}),
        }
        self.broker = valkey_process(directory / "valkey", self._broker_port) if is_embedded else None
        self.sandbox = self._python(
            "sandbox",
            *("-m", "sandbox", "--port", str(sandbox), "--smtp-port", str(mail)),
            *("--webhook-url", f"{self.api_url}/webhooks/stripe"),
            *("--webhook-secret", self.env["STRIPE_WEBHOOK_SECRET"]),
        )
        self.web = self._python(
            *("web", "-m", "gunicorn", "worker.wsgi:app", "--bind", f"127.0.0.1:{web}"),
            *("--workers", "1", "--threads", "16", "--log-level", "warning"),
        )
        self.worker = self.celery("worker", "worker")
        self.beat = self.celery("beat", "beat", "--schedule", str(directory / "beat"))
        self._services = [self.web, self.worker, self.beat] if has_tasks else [self.web]
        self._running = ExitStack()

    def _python(self, name: str, *arguments: str) -> Process:
        log = self.directory / f"{name}.log"
        return Process(name, [sys.executable, *arguments], log=log, env=self.env, folder=self._folder)

    def celery(self, name: str, command: str, *options: str) -> Process:
        """Return a process of a `celery -A worker` command with the settings of the stack; the caller starts it."""
        return self._python(name, "-m", "celery", "-A", "worker", command, "-l", "warning", *options)

    @property
    def database(self) -> str:
        """The URL of the database, without its password."""
        return without_password(self.env["DATABASE_URL"])

    @property
    def broker_url(self) -> str:
        """The URL of the broker, without its password."""
        return without_password(self.env["CELERY_BROKER_URL"])

    def command(self, *arguments: str) -> str:
        """Run `celery -A worker payments ...` with the settings of the stack; return its output."""
        command = [sys.executable, "-m", "celery", "-A", "worker", "payments", *arguments]
        result = subprocess.run(command, cwd=self._folder, env=self.env, capture_output=True, text=True)
        if result.returncode:
            tail = "\n".join((result.stdout + result.stderr).splitlines()[-20:])
            reason = f"`celery -A worker payments {' '.join(arguments)}` failed on {self.database}"
            raise ProcessError(f"{reason}; the end of its output says why\n{tail}")
        return result.stdout

    def create_keys(self, name: str) -> tuple[str, str]:
        """Return a new API key of an application and one of an operator."""
        # One command, because each takes a second to start.
        output = self.command("keys", "create", "--role", "app", "--role", "operator", "--name", name)
        app, operator = output.split()[-2:]
        return app, operator

    def write_shell_file(self, more: Mapping[str, str]) -> Path:
        """Write the file that a shell sources to use this stack, with more variables; return its path."""
        file = self.directory / "environment.sh"
        file.touch(mode=0o600)
        file.write_text(shell_file(self.env, ROOT, more))
        return file

    def __enter__(self) -> Stack:
        self.directory.mkdir(parents=True, exist_ok=True)
        with ExitStack() as starting:
            self._start(starting)
            self._running = starting.pop_all()
        return self

    def _start(self, running: ExitStack) -> None:
        """Start in order. Leaving `running` stops the started processes in reverse order."""
        self._show("starting broker and sandbox")
        if self.broker:
            running.enter_context(self.broker)
        running.enter_context(self.sandbox)
        self._show("creating the tables")
        self.command("db", "upgrade")
        if self.broker:
            self.broker.wait_for(lambda: is_listening(self._broker_port), "a listening port", START_SECONDS)
        self.sandbox.wait_for(lambda: "listening on" in self.sandbox.log_text(), "its address", START_SECONDS)
        self._show("starting web, worker and beat")
        for process in self._services:
            running.enter_context(process)
        what = f"200 from /readyz (does {self.database} respond, and {self.broker_url}?)"
        self.web.wait_for(self._is_ready, what, START_SECONDS)
        running.enter_context(Supervisor(self._services))

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
        """Return the ends of all logs, for the report of a failure."""
        return "\n".join(process.log_tail(LOG_LINES) for process in (self.sandbox, *self._services))


def _mail_settings(port: int) -> dict[str, str]:
    """Return the settings with which mails go to the sandbox, which shows them at `/mail`."""
    return {
        "DUNNING_EMAIL_ENABLED": "true",
        "SMTP_URL": f"smtp://127.0.0.1:{port}",
        "MAIL_FROM": "Demo Shop <billing@shop.example>",
    }
