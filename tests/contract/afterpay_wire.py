"""A server between Afterpay's gateway and its sandbox: keeps what is asked, and answers in the sandbox's place."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import requests

from .bench import SECONDS
from .served import Asked, Reply, serving

HEADERS = ("Authorization", "Content-Type", "Accept", "User-Agent")


@dataclass
class Wire:
    """`answers`: what is said instead, by the end of the path, once; an answer is a status and JSON or raw bytes.
    `heard`: what the sandbox answered. Paths are without the prefix of the provider."""

    upstream: str
    url: str = ""
    asked: list[Asked] = field(default_factory=list)
    responses: dict[str, tuple[int, Any]] = field(default_factory=dict)
    heard: list[tuple[Asked, int, bytes]] = field(default_factory=list)

    def bodies(self, end: str) -> list[Any]:
        """Return what was sent to paths that end so."""
        return [asked.body for asked in self.asked if asked.path.endswith(end)]

    def response(self, asked: Asked) -> Reply | None:
        """Return the ordered answer, or the sandbox's; lost on one side is lost on the other."""
        for end in [end for end in self.responses if asked.path.endswith(end)]:
            return self.responses.pop(end)
        headers = {name: asked.headers[name] for name in HEADERS if name in asked.headers}
        url = self.upstream + asked.path
        try:
            given = requests.request(asked.method, url, data=asked.raw, headers=headers, timeout=SECONDS)
        except requests.RequestException:
            return None
        self.heard.append((asked, given.status_code, given.content))
        return given.status_code, given.content


@contextmanager
def running(upstream: str) -> Iterator[Wire]:
    """Serve a wire."""
    wire = Wire(upstream)
    with serving(wire.response) as served:
        wire.url, wire.asked = served.url, served.asked
        yield wire
