"""A server between Afterpay's gateway and its sandbox: keeps what is asked, and answers in the sandbox's place."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import requests

from .bench import SECONDS

HEADERS = ("Authorization", "Content-Type", "Accept", "User-Agent")


@dataclass(frozen=True)
class Asked:
    """One request. `path` without the prefix of the provider."""

    method: str
    path: str
    headers: dict[str, str]
    body: Any


@dataclass
class Wire:
    """`answers`: what is said instead, by the end of the path, once; an answer is a status and JSON or raw bytes.
    `heard`: what the sandbox answered."""

    upstream: str
    url: str = ""
    asked: list[Asked] = field(default_factory=list)
    answers: dict[str, tuple[int, Any]] = field(default_factory=dict)
    heard: list[tuple[Asked, int, bytes]] = field(default_factory=list)

    def bodies(self, end: str) -> list[Any]:
        """Return what was sent to paths that end so."""
        return [asked.body for asked in self.asked if asked.path.endswith(end)]

    def answer(self, asked: Asked) -> tuple[int, bytes]:
        """Return the ordered answer, or the sandbox's."""
        self.asked.append(asked)
        for end in [end for end in self.answers if asked.path.endswith(end)]:
            status, body = self.answers.pop(end)
            return status, body if isinstance(body, bytes) else json.dumps(body).encode()
        url = self.upstream + asked.path
        given = requests.request(asked.method, url, json=asked.body, headers=asked.headers, timeout=SECONDS)
        self.heard.append((asked, given.status_code, given.content))
        return given.status_code, given.content


@contextmanager
def running(upstream: str) -> Iterator[Wire]:
    """Serve a wire."""
    wire = Wire(upstream)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            headers = {name: self.headers[name] for name in HEADERS if name in self.headers}
            asked = Asked(self.command, self.path, headers, json.loads(raw) if raw else None)
            try:
                status, body = wire.answer(asked)
            except requests.RequestException:
                self.close_connection = True  # lost on one side is lost on the other
                return
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            if 300 <= status < 400:
                self.send_header("Location", f"{wire.url}/v2/configuration")
            with suppress(OSError):  # whoever asked may have given up
                self.end_headers()
                self.wfile.write(body)

        do_POST = do_PUT = do_GET

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    wire.url = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    try:
        yield wire
    finally:
        server.shutdown()
        server.server_close()
