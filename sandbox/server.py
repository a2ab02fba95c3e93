"""Owns the putting together: settings to an application, and an application to a running server."""

from __future__ import annotations

import importlib
import pkgutil
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

from flask import Flask

import sandbox as imitations
from sandbox import control
from sandbox.state import Provider, Sandbox, Settings
from sandbox.wsgi import Server

STATE = "sandbox"


def imitated() -> Iterator[Callable[[Sandbox], Provider]]:
    """Yield what each package of a provider serves."""
    for package in pkgutil.iter_modules(imitations.__path__):
        if package.ispkg:
            yield from importlib.import_module(f"{imitations.__name__}.{package.name}.imitation").PROVIDERS


def create_app(settings: Settings | None = None) -> Flask:
    """Return the application of a fresh sandbox; its state is `app.extensions["sandbox"]`."""
    sandbox = Sandbox(settings or Settings())
    app = Flask("sandbox", static_folder=None)
    # A lost answer is an exception that only the server can act on; Flask must not turn it into a 500.
    app.config["PROPAGATE_EXCEPTIONS"] = True
    app.json.sort_keys = False  # type: ignore[attr-defined]
    app.extensions[STATE] = sandbox
    sandbox.providers += [provider(sandbox) for provider in imitated()]
    app.register_blueprint(control.blueprint(sandbox))
    for provider in sandbox.providers:
        provider.register(app)
    return app


class RunningSandbox:
    """A sandbox that serves in threads of this process; use as a context manager in tests."""

    def __init__(self, settings: Settings | None = None, *, host: str = "127.0.0.1", port: int = 0) -> None:
        app = create_app(settings)
        self.state: Sandbox = app.extensions[STATE]
        self._server = Server((host, port), app)
        self.url = self._server.url
        # The interval is how long a stop takes at most.
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.05,), name="sandbox-server", daemon=True
        )

    def __enter__(self) -> RunningSandbox:
        self._thread.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop serving and end the threads."""
        self._server.shutdown()
        self._server.server_close()
        self.state.close()


def serve(*, host: str = "127.0.0.1", port: int = 0, **settings: Any) -> None:
    """Serve until SIGTERM or SIGINT, from the main thread; prints one line with the address once it
    listens."""
    stop = threading.Event()

    def stop_now(signum: int, frame: FrameType | None) -> None:
        stop.set()

    signal.signal(signal.SIGTERM, stop_now)
    signal.signal(signal.SIGINT, stop_now)
    with RunningSandbox(Settings(**settings), host=host, port=port) as running:
        print(f"sandbox listening on {running.url}", flush=True)
        stop.wait()
