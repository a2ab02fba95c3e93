"""Owns the HTTP server: one thread a connection, HTTP/1.1 keep-alive, and connections that break when a fault
says so.

Werkzeug's server answers every request with `Connection: close`, which would hide the cost and the failures
of kept connections that the product meets with real providers. Only what the sandbox's clients send is
understood: bodies with a Content-Length or chunked, no TLS, no pipelining, no upgrades.
"""

from __future__ import annotations

import io
import select
import socket
import socketserver
import struct
import sys
import traceback
from collections.abc import Callable, Iterable
from typing import Any, cast
from urllib.parse import unquote_to_bytes

from sandbox.faults import AnswerLost

WsgiApp = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]

# Hundreds of workers may connect in the same instant; a short backlog would answer them with delays of
# seconds.
LISTEN_BACKLOG = 1024
LONGEST_LINE = 65536


class Server(socketserver.ThreadingMixIn, socketserver.TCPServer):
    """Serve one WSGI application."""

    daemon_threads = True
    block_on_close = False
    allow_reuse_address = True
    request_queue_size = LISTEN_BACKLOG

    def __init__(self, address: tuple[str, int], app: WsgiApp) -> None:
        self.app = app
        super().__init__(address, Connection)

    @property
    def url(self) -> str:
        """Return the base address of the server."""
        return f"http://{self.server_address[0]!s}:{self.server_address[1]}"

    def shutdown_request(self, request: Any) -> None:
        """Close without a shutdown first: a shutdown would turn an ordered reset into a polite end."""
        self.close_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Stay silent about clients that went away; show everything else, for it is a bug."""
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)


class Connection(socketserver.StreamRequestHandler):
    """Answer the requests of one connection until one side is done with it."""

    disable_nagle_algorithm = True

    def handle(self) -> None:
        """Answer requests one after the other."""
        while (environ := self._read_request()) is not None:
            try:
                answer = _run_app(self._server.app, environ)
            except AnswerLost as loss:
                self._lose(loss)
                return
            self._write_answer(answer, environ)
            if _wants_close(environ):
                return

    @property
    def _server(self) -> Server:
        return cast(Server, self.server)

    def _read_request(self) -> dict[str, Any] | None:
        line = self.rfile.readline(LONGEST_LINE).decode("latin-1").split()
        if len(line) != 3:
            return None
        method, target, protocol = line
        environ = self._environ(method, target, protocol)
        _read_headers(self.rfile, environ)
        if environ.get("HTTP_EXPECT", "").lower() == "100-continue":
            self.wfile.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        body = _read_body(self.rfile, environ)
        environ["CONTENT_LENGTH"] = str(len(body))
        environ["wsgi.input"] = io.BytesIO(body)
        return environ

    def _environ(self, method: str, target: str, protocol: str) -> dict[str, Any]:
        path, _, query = target.partition("?")
        return {
            "REQUEST_METHOD": method,
            "SCRIPT_NAME": "",
            "PATH_INFO": unquote_to_bytes(path).decode("latin-1"),
            "QUERY_STRING": query,
            "SERVER_PROTOCOL": protocol,
            "SERVER_NAME": str(self._server.server_address[0]),
            "SERVER_PORT": str(self._server.server_address[1]),
            "REMOTE_ADDR": self.client_address[0],
            "wsgi.version": (1, 0),
            "wsgi.url_scheme": "http",
            "wsgi.errors": sys.stderr,
            "wsgi.multithread": True,
            "wsgi.multiprocess": False,
            "wsgi.run_once": False,
        }

    def _write_answer(self, answer: tuple[str, list[tuple[str, str]], bytes], environ: dict[str, Any]) -> None:
        status, headers, body = answer
        lines = [f"HTTP/1.1 {status}", *(f"{name}: {value}" for name, value in headers)]
        if not any(name.lower() == "content-length" for name, _ in headers):
            lines.append(f"Content-Length: {len(body)}")
        if _wants_close(environ):
            lines.append("Connection: close")
        head = "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n"
        # One write, so that head and body share a packet.
        self.wfile.write(head if environ["REQUEST_METHOD"] == "HEAD" else head + body)

    def _lose(self, loss: AnswerLost) -> None:
        # A client that gives up becomes readable (end of stream): nobody is left to hold the connection for.
        select.select([self.connection], [], [], loss.seconds)
        if loss.is_reset:
            # Linger of zero seconds: close() discards the connection with RST instead of ending it with FIN.
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def _wants_close(environ: dict[str, Any]) -> bool:
    asked = environ.get("HTTP_CONNECTION", "").lower()
    return asked == "close" or (environ["SERVER_PROTOCOL"] == "HTTP/1.0" and asked != "keep-alive")


def _read_headers(stream: io.BufferedIOBase, environ: dict[str, Any]) -> None:
    while line := stream.readline(LONGEST_LINE).strip():
        name, _, value = line.decode("latin-1").partition(":")
        key = name.upper().replace("-", "_")
        if key not in ("CONTENT_TYPE", "CONTENT_LENGTH"):
            key = f"HTTP_{key}"
        environ[key] = value.strip()


def _read_body(stream: io.BufferedIOBase, environ: dict[str, Any]) -> bytes:
    if environ.get("HTTP_TRANSFER_ENCODING", "").lower() == "chunked":
        return b"".join(_read_chunks(stream))
    return stream.read(int(environ.get("CONTENT_LENGTH") or 0))


def _read_chunks(stream: io.BufferedIOBase) -> Iterable[bytes]:
    while size := int(stream.readline(LONGEST_LINE).split(b";")[0], 16):
        yield stream.read(size)
        stream.readline(LONGEST_LINE)
    while stream.readline(LONGEST_LINE).strip():
        continue


def _run_app(app: WsgiApp, environ: dict[str, Any]) -> tuple[str, list[tuple[str, str]], bytes]:
    started: list[tuple[str, list[tuple[str, str]]]] = []

    def start_response(status: str, headers: list[tuple[str, str]], exc_info: object = None) -> None:
        started.append((status, headers))

    try:
        chunks = app(environ, start_response)
        try:
            body = b"".join(chunks)
        finally:
            if hasattr(chunks, "close"):
                chunks.close()
    except AnswerLost:
        raise
    except Exception:
        # A bug of the sandbox: show it here and let the client see a plain 500 that no provider would send.
        traceback.print_exc()
        return "500 Internal Server Error", [("Content-Type", "text/plain")], b"bug in the sandbox\n"
    status, headers = started[-1]
    return status, headers, body
