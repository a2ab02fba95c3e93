"""A provider that answers what a test tells it to, and keeps what it was asked."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True)
class Asked:
    """One request as it came."""

    method: str
    path: str
    headers: dict[str, str]
    body: Any


@dataclass
class Canned:
    """The answers, of which the last is given for ever, and the requests. `body`: bytes, or what becomes JSON."""

    url: str
    answers: list[tuple[int, Any]]
    asked: list[Asked] = field(default_factory=list)

    def next(self) -> tuple[int, bytes]:
        """Return the next answer."""
        status, body = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return status, body if isinstance(body, bytes) else json.dumps(body).encode()


@contextmanager
def answering(*answers: tuple[int, Any]) -> Iterator[Canned]:
    """Serve these answers, one after the other, until the block ends."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            sent = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            body = json.loads(sent) if sent else None
            canned.asked.append(Asked(self.command, self.path, dict(self.headers), body))
            status, answer = canned.next()
            self.send_response(status)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        do_POST = do_GET

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    canned = Canned(f"http://127.0.0.1:{server.server_port}", list(answers))
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    try:
        yield canned
    finally:
        server.shutdown()
        server.server_close()
