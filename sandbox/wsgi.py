"""The HTTP server: a thread for each connection, HTTP/1.1 keep-alive, and connections that break on an injected fault.

Every response of Werkzeug's server has `Connection: close`, which would hide the cost and the failures of kept
connections that the product meets with real providers. The server understands only what the sandbox's clients send:
bodies with a Content-Length or chunked, no TLS, no pipelining, no upgrades.
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

from sandbox.faults import ResponseLost

WsgiApp = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]

# Hundreds of workers may connect in the same instant. With a short backlog the kernel drops connections, and each
# client waits a second before it tries again.
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
        """Close without a shutdown first: a shutdown would send FIN, and an injected reset needs RST."""
        self.close_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore clients that disconnect; print everything else, because it is a bug."""
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)


class Connection(socketserver.StreamRequestHandler):
    """Serves the requests of one connection until one side closes it."""

    disable_nagle_algorithm = True

    def handle(self) -> None:
        """Serve the requests one after the other."""
        while (environ := self._read_request()) is not None:
            try:
                response = _run_app(self._server.app, environ)
            except ResponseLost as loss:
                self._drop(loss)
                return
            self._write_response(response, environ)
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

    def _write_response(self, response: tuple[str, list[tuple[str, str]], bytes], environ: dict[str, Any]) -> None:
        status, headers, body = response
        lines = [f"HTTP/1.1 {status}", *(f"{name}: {value}" for name, value in headers)]
        if not any(name.lower() == "content-length" for name, _ in headers):
            lines.append(f"Content-Length: {len(body)}")
        if _wants_close(environ):
            lines.append("Connection: close")
        head = "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n"
        # A single write, so that head and body share a packet.
        self.wfile.write(head if environ["REQUEST_METHOD"] == "HEAD" else head + body)

    def _drop(self, loss: ResponseLost) -> None:
        # The socket becomes readable (end of stream) when the client gives up; there is no reason to wait longer.
        select.select([self.connection], [], [], loss.seconds)
        if loss.is_reset:
            # With a linger of zero seconds close() sends RST instead of FIN.
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def _wants_close(environ: dict[str, Any]) -> bool:
    header = environ.get("HTTP_CONNECTION", "").lower()
    return header == "close" or (environ["SERVER_PROTOCOL"] == "HTTP/1.0" and header != "keep-alive")


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
    # Trailers end with an empty line. Unread, they would be taken for the next request of the connection.
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
    except ResponseLost:
        raise
    except Exception:
        # A bug of the sandbox. Print it here, and send a plain 500 that no provider would send.
        traceback.print_exc()
        return "500 Internal Server Error", [("Content-Type", "text/plain")], b"bug in the sandbox\n"
    status, headers = started[-1]
    return status, headers, body
