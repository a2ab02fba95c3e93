"""A server between Afterpay's gateway and its sandbox: records requests, and can respond in the sandbox's place."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import requests

from .bench import SECONDS
from .served import ReceivedRequest, Reply, serving

HEADERS = ("Authorization", "Content-Type", "Accept", "User-Agent")


@dataclass
class Wire:
    """`requests`: every request so far. `responses`: by the end of a path, the status and the JSON or raw bytes that
    the next request to it gets, once. `exchanges`: requests with the sandbox's responses. Paths have no prefix."""

    upstream: str
    url: str = ""
    requests: list[ReceivedRequest] = field(default_factory=list)
    responses: dict[str, tuple[int, Any]] = field(default_factory=dict)
    exchanges: list[tuple[ReceivedRequest, int, bytes]] = field(default_factory=list)

    def bodies(self, end: str) -> list[Any]:
        """Return the bodies that were sent to paths that end so."""
        return [request.body for request in self.requests if request.path.endswith(end)]

    def response(self, request: ReceivedRequest) -> Reply | None:
        """Return the planned response, or the sandbox's; None, a closed connection, if that is lost."""
        for end in [end for end in self.responses if request.path.endswith(end)]:
            return self.responses.pop(end)
        headers = {name: request.headers[name] for name in HEADERS if name in request.headers}
        url = self.upstream + request.path
        try:
            response = requests.request(request.method, url, data=request.raw, headers=headers, timeout=SECONDS)
        except requests.RequestException:
            return None
        self.exchanges.append((request, response.status_code, response.content))
        return response.status_code, response.content


@contextmanager
def running(upstream: str) -> Iterator[Wire]:
    """Serve a wire."""
    wire = Wire(upstream)
    with serving(wire.response) as served:
        wire.url, wire.requests = served.url, served.requests
        yield wire
