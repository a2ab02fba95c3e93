"""What gateways of JSON APIs share: one request and its answer, or proof of how far the request came.

It judges no answer: what a status or a body means is the provider's own."""

from __future__ import annotations

import json as jsonlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import requests

from domain.errors import InvalidRequest
from gateways.http import CONNECT_SECONDS, make_session, was_never_sent

# What reading an answer raises that is not what the provider documents: nothing can be concluded from it.
# InvalidRequest: an amount that is none.
MALFORMED = (LookupError, TypeError, ValueError, AttributeError, InvalidRequest)


class NotReached(Exception):
    """Proven: no byte of the request reached the provider."""


class NoAnswer(Exception):
    """The request went out, and nothing came back that tells what became of it."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What the provider said. `body`: its JSON, None where it is empty or something else."""

    status: int
    body: Any

    @property
    def is_good(self) -> bool:
        """Whether the provider did what it was asked."""
        return 200 <= self.status < 300


class Rest:
    """One provider's JSON API below a base address, over one pooled session. Safe to share between threads."""

    def __init__(self, base: str, read_seconds: float) -> None:
        self._base = base.rstrip("/")
        self._session = make_session(base)
        self._timeout = (CONNECT_SECONDS, read_seconds)

    def send(
        self,
        method: str,
        path: str,
        *,
        json: Any = None,
        data: bytes | Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        auth: tuple[str, str] | None = None,
    ) -> Answer:
        """Send one request, once, and return the answer whatever its status. Raises NotReached and NoAnswer.

        Redirects are not followed: an API has none, and credentials must not travel elsewhere."""
        try:
            response = self._session.request(
                method,
                self._base + path,
                json=json,
                data=data,
                headers=headers,
                auth=auth,
                timeout=self._timeout,
                allow_redirects=False,
            )
        except requests.RequestException as error:
            raise (NotReached if was_never_sent(error) else NoAnswer)() from None
        return Answer(response.status_code, _parsed(response.content))


def _parsed(content: bytes) -> Any:
    try:
        return jsonlib.loads(content) if content else None
    except (ValueError, RecursionError):
        return None
