"""What gateways of JSON APIs share: one request and its answer, or how far the request came.

It judges no answer: what a status or a body means is the provider's own table."""

from __future__ import annotations

import json as jsonlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any
from urllib.parse import quote

import requests
from requests.auth import HTTPBasicAuth

from domain.errors import InvalidRequest
from domain.outcome import InDoubt, NotSent, Outcome
from gateways.http import CONNECT_SECONDS, make_session, was_never_sent

# What reading an answer raises that is not what the provider documents: nothing can be concluded from it.
# InvalidRequest: an amount that is none.
MALFORMED = (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, InvalidRequest)
# Only a word can be a reason: a message may repeat what was sent.
_WORD = re.compile(r"[A-Za-z0-9_.-]{1,64}", re.ASCII)


class FailureKind(StrEnum):
    """What a failed call says about its request."""

    AT_FAULT = "at_fault"  # refused, and it always will be
    NOT_EXECUTED = "not_executed"  # refused before execution, or never sent; it may succeed later
    UNKNOWN = "unknown"  # nothing can be concluded: a look-up decides


class CallFailed(Exception):
    """A call that did not bring what it was made for. `reason`: a short stable word."""

    def __init__(self, reason: str, kind: FailureKind) -> None:
        super().__init__(reason)
        self.reason = reason
        self.kind = kind

    def outcome(self, reference: str | None = None) -> Outcome:
        """Return what follows for a call that may have moved money."""
        if self.kind is FailureKind.UNKNOWN:
            return InDoubt(self.reason, reference)
        return NotSent(self.reason, is_retryable=self.kind is not FailureKind.AT_FAULT, reference=reference)

    def outcome_of_creation(self) -> Outcome:
        """Return what follows for a call that moves nothing by itself: an answer that was lost does no harm."""
        outcome = self.outcome()
        return NotSent(outcome.reason) if isinstance(outcome, InDoubt) else outcome


@dataclass(frozen=True, slots=True)
class ProviderResponse:
    """What the provider said. `body`: its JSON, None where it is empty, or where a refusal is something else."""

    status: int
    body: Any
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_good(self) -> bool:
        """Whether the provider did what it was asked."""
        return 200 <= self.status < 300

    @property
    def fields(self) -> dict[str, Any]:
        """The fields of the body; none where it is no object."""
        return self.body if isinstance(self.body, dict) else {}


class JsonApi:
    """One provider's JSON API below a base address, over one pooled session. Safe to share between threads.

    `auth` (Basic) and `headers` go with every request."""

    def __init__(
        self,
        base: str,
        read_seconds: float,
        *,
        auth: tuple[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self.base = base.rstrip("/")
        self.read_seconds = read_seconds
        self._session = make_session(base)
        self._session.auth = _basic(auth)
        self._session.headers.update(headers or {})

    def send(
        self,
        method: str,
        path: str,
        *,
        json: Any = None,
        data: bytes | Mapping[str, str] | None = None,
        query: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        auth: tuple[str, str] | None = None,
        read_seconds: float | None = None,
    ) -> ProviderResponse:
        """Send one request, once, and return the answer whatever its status.

        Raises CallFailed when none came, or a good one that is no JSON. Redirects are not followed: an API has
        none, and credentials must not travel elsewhere."""
        try:
            response = self._session.request(
                method,
                self.base + path,
                json=json,
                data=data,
                params=query,
                headers=headers,
                auth=_basic(auth),
                timeout=(CONNECT_SECONDS, read_seconds or self.read_seconds),
                allow_redirects=False,
            )
        except requests.RequestException as error:
            if was_never_sent(error):
                raise CallFailed("unreachable", FailureKind.NOT_EXECUTED) from None
            raise CallFailed("no_answer", FailureKind.UNKNOWN) from None
        return _read(response)


def _basic(auth: tuple[str, str] | None) -> HTTPBasicAuth | None:
    return HTTPBasicAuth(*(part.encode() for part in auth)) if auth else None


def _read(response: requests.Response) -> ProviderResponse:
    try:
        body = jsonlib.loads(response.content) if response.content else None
    except (ValueError, RecursionError):
        if 200 <= response.status_code < 300:
            raise CallFailed("malformed_answer", FailureKind.UNKNOWN) from None
        body = None
    return ProviderResponse(response.status_code, body, response.headers)


# --- requests ---------------------------------------------------------------------------------------


def segment(reference: str) -> str:
    """Return a reference as one segment of a path.

    >>> segment("68f7a946"), segment("../checkouts?x=1")
    ('68f7a946', '..%2Fcheckouts%3Fx%3D1')
    """
    return quote(reference, safe="")


# --- answers ----------------------------------------------------------------------------------------


def decided(reference: str | None, call: Callable[[], Outcome]) -> Outcome:
    """Return what a call that may move money decides; an answer that makes no sense leaves doubt."""
    try:
        return call()
    except CallFailed as failure:
        return failure.outcome(reference)
    except MALFORMED:
        return InDoubt("malformed_answer", reference)


def looked_up(reference: str | None, call: Callable[[], Outcome]) -> Outcome:
    """Return what a look-up finds; one that failed says nothing, whatever the answer was."""
    try:
        return call()
    except CallFailed as failure:
        return InDoubt(failure.reason, reference)
    except MALFORMED:
        return InDoubt("malformed_answer", reference)


def text(value: object) -> str:
    """Return a text that is not empty. Raises ValueError for everything else."""
    if not isinstance(value, str) or not value:
        raise ValueError("no text")
    return value


def word(value: object, otherwise: str) -> str:
    """Return a provider's code if it is one.

    >>> word("not_found", "http_404"), word("no such charge for jo@example.org", "http_404"), word(None, "http_500")
    ('not_found', 'http_404', 'http_500')
    """
    return value if isinstance(value, str) and _WORD.fullmatch(value) else otherwise
