"""A provider or a receiver for tests: it sends the given responses and keeps the requests."""

from __future__ import annotations

import json
import queue
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from requests.structures import CaseInsensitiveDict

from .bench import SECONDS

# Status, body (bytes, or what becomes JSON) and headers, which may be left out.
Reply = tuple[Any, ...]


@dataclass(frozen=True)
class ReceivedRequest:
    """One request, unchanged."""

    method: str
    path: str
    headers: CaseInsensitiveDict[str]
    raw: bytes

    @property
    def body(self) -> Any:
        """Return the decoded JSON, None for an empty body."""
        return json.loads(self.raw) if self.raw else None


@dataclass
class Served:
    """The server's address, every request so far, and the reply for each path, for a test that serves by path."""

    url: str
    requests: list[ReceivedRequest] = field(default_factory=list)
    pages: dict[str, Reply] = field(default_factory=dict)
    _arrived: queue.Queue[ReceivedRequest] = field(default_factory=queue.Queue)

    @property
    def host(self) -> str:
        """Return host and port."""
        return self.url.split("//")[1]

    def keep(self, request: ReceivedRequest) -> None:
        """Keep a request."""
        self.requests.append(request)
        self._arrived.put(request)

    def next(self) -> ReceivedRequest:
        """Wait for the next request that no call has returned yet."""
        return self._arrived.get(timeout=SECONDS)


@contextmanager
def serving(response: Callable[[ReceivedRequest], Reply | None], tls: ssl.SSLContext | None = None) -> Iterator[Served]:
    """Serve until the block ends. `response` returns None to close the connection without a response.

    With `tls` the address is https://localhost."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            request = ReceivedRequest(self.command, self.path, CaseInsensitiveDict(self.headers.items()), raw)
            served.keep(request)
            reply = response(request)
            if reply is None:
                self.close_connection = True
                return
            status, body, *headers = reply
            given = body if isinstance(body, bytes) else json.dumps(body).encode()
            # A redirect names an address, so that a test sees whether it is followed.
            elsewhere = {"Location": "/elsewhere"} if 300 <= status < 400 else {}
            self.send_response(status)
            for name, value in {"Content-Length": str(len(given)), **elsewhere, **dict(*headers)}.items():
                self.send_header(name, value)
            with suppress(OSError):  # the client may have closed the connection
                self.end_headers()
                self.wfile.write(given)

        do_POST = do_PUT = do_DELETE = do_GET

        def log_message(self, format: str, *args: object) -> None:
            """Log nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    address = "http://127.0.0.1" if tls is None else "https://localhost"
    served = Served(f"{address}:{server.server_port}")
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    try:
        yield served
    finally:
        server.shutdown()
        server.server_close()


@contextmanager
def replying(*replies: Reply) -> Iterator[Served]:
    """Serve these replies one after the other; the last one is repeated."""
    left = list(replies)
    with serving(lambda request: left.pop(0) if len(left) > 1 else left[0]) as served:
        yield served
