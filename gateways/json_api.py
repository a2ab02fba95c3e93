"""Sends one request to a provider's JSON API and returns the response, or raises how far the request came.

It interprets nothing: what a status or a body means stands in each provider's own table."""

from __future__ import annotations

import json as jsonlib
from collections.abc import Callable, Container, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

import requests
from requests.auth import HTTPBasicAuth

from domain.outcome import InDoubt, Outcome
from gateways.failures import CallFailed, FailureKind, MalformedResponse
from gateways.http import CONNECT_SECONDS, make_session, was_never_sent


@dataclass(frozen=True, slots=True)
class ProviderResponse:
    """One HTTP response. `body`: the decoded JSON; None for an empty body, and for a refusal whose body is no JSON."""

    status: int
    body: Any
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_good(self) -> bool:
        """Whether the provider accepted the request (2xx)."""
        return 200 <= self.status < 300

    @property
    def fields(self) -> dict[str, Any]:
        """The fields of the body; empty if the body is no object."""
        return self.body if isinstance(self.body, dict) else {}


class JsonApi:
    """One provider's JSON API below a base address, over one pooled session. Safe to share between threads.

    `auth` (Basic) and `headers` go with every request. `refusals`: the statuses that refuse our credentials, by default
    401 and 403."""

    def __init__(
        self,
        base: str,
        read_seconds: float,
        *,
        auth: tuple[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        refusals: Container[int] | None = None,
    ) -> None:
        self.base = base.rstrip("/")
        self.read_seconds = read_seconds
        self._session = make_session(base) if refusals is None else make_session(base, refusals)
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
        """Send one request, once, and return the response whatever its status.

        Raises CallFailed when there is no response, MalformedResponse when the body of a 2xx is no JSON. Redirects are
        not followed: an API has none, and credentials must not reach another host."""
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
            raise MalformedResponse("body") from None
        body = None
    return ProviderResponse(response.status_code, body, response.headers)


# --- requests ---------------------------------------------------------------------------------------


def segment(reference: str) -> str:
    """Return a reference as one segment of a path.

    >>> segment("68f7a946"), segment("../checkouts?x=1")
    ('68f7a946', '..%2Fcheckouts%3Fx%3D1')
    """
    return quote(reference, safe="")


# --- responses ----------------------------------------------------------------------------------------


def decided(reference: str | None, call: Callable[[], Outcome]) -> Outcome:
    """Return the outcome of a call that may move money; a failure that proves nothing is doubt.

    Only CallFailed is caught. A bug is raised: as an outcome it would stay unseen and leave every payment in doubt."""
    try:
        return call()
    except CallFailed as failure:
        return failure.outcome(reference)


def proven(read: Callable[[], Outcome]) -> Outcome | None:
    """Return the outcome that a webhook's object proves; None where it proves none, so that a look-up follows."""
    try:
        outcome = read()
    except MalformedResponse:
        return None
    return None if isinstance(outcome, InDoubt) else outcome


def looked_up(reference: str | None, call: Callable[[], Outcome]) -> Outcome:
    """Return the outcome of a look-up; a failed look-up proves nothing, whatever the failure is. A bug is raised."""
    try:
        return call()
    except CallFailed as failure:
        return InDoubt(failure.reason, reference)
