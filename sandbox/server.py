"""Builds the application from settings and runs it as a server."""

from __future__ import annotations

import importlib
import pkgutil
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

from flask import Flask

import sandbox as package
from sandbox import control, mail_pages, overview
from sandbox.mail_server import MailServer
from sandbox.state import Provider, Sandbox, Settings
from sandbox.wsgi import Server

STATE = "sandbox"


def provider_factories() -> Iterator[Callable[[Sandbox], Provider]]:
    """Yield the provider classes that each provider package names in its module `provider`."""
    for module in pkgutil.iter_modules(package.__path__):
        if module.ispkg:
            yield from importlib.import_module(f"{package.__name__}.{module.name}.provider").PROVIDERS


def create_app(settings: Settings | None = None) -> Flask:
    """Return the application of a new sandbox; its state is `app.extensions["sandbox"]`."""
    sandbox = Sandbox(settings or Settings())
    app = Flask("sandbox", static_folder=None)
    # Only the server can act on a lost response, so Flask must not turn the exception into a 500.
    app.config["PROPAGATE_EXCEPTIONS"] = True
    app.json.sort_keys = False  # type: ignore[attr-defined]
    app.extensions[STATE] = sandbox
    for factory in provider_factories():
        sandbox.add(factory(sandbox))
    control.register(app, sandbox)
    mail_pages.register(app, sandbox.mailbox)
    for provider in sandbox.providers:
        provider.register(app)
    overview.register(app, sandbox)
    return app


class RunningSandbox:
    """A sandbox that serves in threads of this process; a context manager for tests."""

    def __init__(self, settings: Settings | None = None, *, host: str = "127.0.0.1", port: int = 0) -> None:
        app = create_app(settings)
        self.state: Sandbox = app.extensions[STATE]
        self._server = Server((host, port), app)
        self.url = self._server.url
        smtp_port = self.state.settings.smtp_port
        self.mail = None if smtp_port is None else MailServer((host, smtp_port), self.state.mailbox)
        # The poll interval is the longest that `close` waits for the server.
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.01,), name="sandbox-server", daemon=True
        )

    def __enter__(self) -> RunningSandbox:
        self._thread.start()
        if self.mail is not None:
            self.mail.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop serving and end the threads."""
        self._server.shutdown()
        self._server.server_close()
        if self.mail is not None:
            self.mail.close()
        self.state.close()


def serve(*, host: str = "127.0.0.1", port: int = 0, **settings: Any) -> None:
    """Serve until SIGTERM or SIGINT; call from the main thread. Prints one line with the address."""
    stop = threading.Event()

    def stop_on_signal(signum: int, frame: FrameType | None) -> None:
        stop.set()

    signal.signal(signal.SIGTERM, stop_on_signal)
    signal.signal(signal.SIGINT, stop_on_signal)
    with RunningSandbox(Settings(**settings), host=host, port=port) as running:
        if running.mail is not None:
            print(f"mail server at {running.mail.url}, its mails at {running.url}/mail", flush=True)
        print(f"sandbox listening on {running.url}", flush=True)
        stop.wait()
