"""One JSON call to Coinbase, and what its failure proves. Knows no operation; both Coinbase gateways use it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import StrEnum
from typing import Any
from urllib.parse import quote

import requests
from pydantic import SecretStr

from domain.outcome import InDoubt, NotSent, Outcome
from gateways.http import CONNECT_SECONDS, make_session, was_never_sent

# What reading an answer raises that is not what Coinbase documents: nothing can be concluded from it.
MALFORMED = (KeyError, TypeError, ValueError, AttributeError, IndexError, ArithmeticError)
# Only a word can be a reason: a message may repeat what was sent.
_WORD = re.compile(r"[A-Za-z0-9_.-]{1,60}", re.ASCII)


class Fate(StrEnum):
    """What a failed call says about its request."""

    AT_FAULT = "at_fault"
    NOT_EXECUTED = "not_executed"
    UNKNOWN = "unknown"


class CallFailed(Exception):
    """A call that did not bring a JSON object. `reason`: a short stable word."""

    def __init__(self, reason: str, fate: Fate) -> None:
        super().__init__(reason)
        self.reason = reason
        self.fate = fate

    def before_money(self, reference: str | None = None) -> Outcome:
        """Return the outcome where the call could move nothing, executed or not."""
        return NotSent(self.reason, is_retryable=self.fate is not Fate.AT_FAULT, reference=reference)

    def of_operation(self, reference: str | None) -> Outcome:
        """Return the outcome of a call that may have been executed."""
        if self.fate is Fate.UNKNOWN:
            return InDoubt(self.reason, reference)
        return self.before_money(reference)

    def of_transition(self, reference: str) -> Outcome:
        """Return the outcome of a call that is refused when the object has moved on: then the look-up decides."""
        if self.fate is Fate.NOT_EXECUTED:
            return NotSent(self.reason, reference=reference)
        return InDoubt(self.reason, reference)

    def of_look_up(self, reference: str | None) -> Outcome:
        """Return what a failed look-up says: nothing."""
        return InDoubt(self.reason, reference)


class Api:
    """One pooled session to one base address, which may end in a path. Safe to share between threads."""

    def __init__(self, base: str, read_seconds: float) -> None:
        self.base = base.rstrip("/")
        self._timeout = (CONNECT_SECONDS, read_seconds)
        self._session = make_session(self.base)

    def send(
        self, method: str, path: str, headers: Mapping[str, str], *, body: Any = None, query: Any = None
    ) -> requests.Response:
        """Send one request and return its answer, whatever the status; raise CallFailed when there is none."""
        try:
            return self._session.request(
                method,
                self.base + path,
                json=body,
                params=query,
                headers=dict(headers),
                timeout=self._timeout,
                allow_redirects=False,
            )
        except requests.RequestException as error:
            if was_never_sent(error):
                raise CallFailed("unreachable", Fate.NOT_EXECUTED) from None
            raise CallFailed("no_answer", Fate.UNKNOWN) from None


def json_of(answer: requests.Response) -> dict[str, Any]:
    """Return the JSON object of a good answer; raise CallFailed if it is something else."""
    body = body_of(answer)
    if not body:
        raise CallFailed("malformed_answer", Fate.UNKNOWN)
    return body


def body_of(answer: requests.Response) -> dict[str, Any]:
    """Return the JSON object of any answer, empty if it has none."""
    try:
        body = answer.json()
    except (ValueError, RecursionError):
        return {}
    return body if isinstance(body, dict) else {}


def word(value: object, otherwise: str) -> str:
    """Return a code of Coinbase's if it is one.

    >>> word("not_found", "http_404"), word("no such charge for jo@example.org", "http_404"), word(None, "http_500")
    ('not_found', 'http_404', 'http_500')
    """
    return value if isinstance(value, str) and _WORD.fullmatch(value) else otherwise


def segment(reference: str) -> str:
    """Return a reference as one segment of a path.

    >>> segment("68f7a946"), segment("../checkouts?x=1")
    ('68f7a946', '..%2Fcheckouts%3Fx%3D1')
    """
    return quote(reference, safe="")


def is_name(value: object, longest: int) -> bool:
    """Tell whether a value is printable ASCII, neither empty nor too long: fit for an id, a type or a header."""
    return isinstance(value, str) and 0 < len(value) <= longest and value.isascii() and value.isprintable()


def split_secrets(value: SecretStr | None) -> tuple[str, ...]:
    """Return comma-separated secrets, none of them empty.

    >>> split_secrets(SecretStr("new, old,")), split_secrets(None)
    (('new', 'old'), ())
    """
    text = value.get_secret_value() if value is not None else ""
    return tuple(part.strip() for part in text.split(",") if part.strip())
