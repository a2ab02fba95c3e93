"""Klarna's way of speaking: Basic authentication, JSON, idempotency keys, and what its refusals mean.

Knows nothing of payments. Sources: docs.klarna.com (error codes, idempotency) and Klarna's OpenAPI files, read
2026-11-23."""

from __future__ import annotations

import logging
import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import requests
from requests.auth import HTTPBasicAuth

from domain.decline import Decline, DeclineClass
from domain.outcome import Declined, InDoubt, NotSent, Outcome
from gateways.http import CONNECT_SECONDS, make_session, was_never_sent

# Klarna ends a call that was idle for 59 seconds; whoever waits a little longer sees that answer.
LONGEST_READ_SECONDS = 62.0

_SUCCESS = range(200, 300)
_KEYS = uuid.uuid5(uuid.NAMESPACE_URL, "celeriac:klarna")
_PLAIN_CODE = re.compile(r"[A-Z][A-Z_]{1,60}", re.ASCII)
_PLAIN_ID = re.compile(r"[0-9A-Za-z-]{1,64}", re.ASCII)

_log = logging.getLogger(__name__)


class Meaning(StrEnum):
    """What a failed call says about the request."""

    BUSY = "busy"  # refused before execution; the same call may succeed later
    INVALID = "invalid"  # the request itself, or our account, is at fault
    DECLINED = "declined"  # refused by Klarna's risk assessment: there are no finer codes
    MOVED_ON = "moved_on"  # the object is not in the state that we thought
    MISSING = "missing"  # no such object
    UNKNOWN = "unknown"  # nothing can be concluded


# Closed: every code that Klarna documents for Payments, Hosted Payment Page, Order Management and customer tokens.
ERRORS: dict[str, Meaning] = {
    "BAD_REQUEST": Meaning.INVALID,
    "BAD_VALUE": Meaning.INVALID,
    "UNAUTHORIZED": Meaning.BUSY,
    "REJECTED": Meaning.DECLINED,
    "CAPTURE_NOT_ALLOWED": Meaning.MOVED_ON,
    "REFUND_NOT_ALLOWED": Meaning.MOVED_ON,
    "CANCEL_NOT_ALLOWED": Meaning.MOVED_ON,
    "NOT_ALLOWED": Meaning.MOVED_ON,
    "INVALID_OPERATION": Meaning.MOVED_ON,
    "MERCHANT_INACTIVE": Meaning.INVALID,
    "NO_SUCH_ORDER": Meaning.MISSING,
    "NO_SUCH_CAPTURE": Meaning.MISSING,
    "NOT_FOUND": Meaning.MISSING,
    "SESSION_COMPLETED": Meaning.MOVED_ON,
    "CONFLICT": Meaning.MOVED_ON,
    "REQUEST_TOO_LARGE": Meaning.INVALID,
    "UNPROCESSABLE_ENTITY": Meaning.INVALID,
    "INVALID_ADDRESS": Meaning.INVALID,
    "TOO_MANY_REQUESTS": Meaning.BUSY,
    "INTERNAL_SERVER_ERROR": Meaning.UNKNOWN,
    "UNEXPECTED_ERROR": Meaning.UNKNOWN,
    "TEMPORARILY_UNAVAILABLE": Meaning.UNKNOWN,
}
# Statuses that say the same whatever the code: BAD_VALUE with 409 means data that differ from what Klarna knows.
_STATUSES = {401: Meaning.BUSY, 404: Meaning.MISSING, 409: Meaning.MOVED_ON, 429: Meaning.BUSY}
# Answers without a code, as the specifications declare them.
_WITHOUT_CODE = {400: Meaning.INVALID, 403: Meaning.MOVED_ON, 413: Meaning.INVALID, 422: Meaning.INVALID}


class Failure(Exception):
    """A call without success. `reason`: a stable word. `correlation_id`: by it Klarna's support finds the call."""

    def __init__(self, meaning: Meaning, reason: str, correlation_id: str | None = None) -> None:
        super().__init__(reason)
        self.meaning = meaning
        self.reason = reason
        self.correlation_id = correlation_id

    def outcome(self, reference: str | None) -> Outcome:
        """Return what follows for a call that could have moved money."""
        match self.meaning:
            case Meaning.BUSY:
                return NotSent(self.reason, reference=reference)
            case Meaning.INVALID:
                return NotSent(self.reason, is_retryable=False, reference=reference)
            case Meaning.DECLINED:
                return Declined(reference, Decline(self.reason, DeclineClass.HARD))
            case _:
                return InDoubt(self.reason, reference)

    def outcome_of_creation(self) -> Outcome:
        """Return what follows for a call that moves nothing by itself: an answer that was lost does no harm."""
        outcome = self.outcome(None)
        return NotSent(outcome.reason) if isinstance(outcome, InDoubt) else outcome


@dataclass(frozen=True, slots=True)
class KlarnaClient:
    """Sends calls to one host. Safe to share between threads."""

    base: str
    read_seconds: float
    session: requests.Session

    @classmethod
    def make(cls, base: str, username: str, password: str, read_seconds: float) -> KlarnaClient:
        """Return a client with a pool of its own."""
        host = base.rstrip("/")
        session = make_session(host)
        session.auth = HTTPBasicAuth(username.encode(), password.encode())
        return cls(host, min(read_seconds, LONGEST_READ_SECONDS), session)

    def call(self, method: str, path: str, body: Mapping[str, Any] | None = None, key: str | None = None) -> Any:
        """Return the JSON of a successful answer, None where it is empty; raise Failure, ValueError for no JSON.

        `key`: with it a repeat within 24 hours is answered like the first call, whatever its body."""
        try:
            answer = self.session.request(
                method,
                self.base + path,
                json=body,
                headers={"Klarna-Idempotency-Key": key} if key else {},
                timeout=(CONNECT_SECONDS, self.read_seconds),
                allow_redirects=False,
            )
        except requests.RequestException as error:
            if was_never_sent(error):
                raise Failure(Meaning.BUSY, "unreachable") from None
            raise Failure(Meaning.UNKNOWN, "no_answer") from None
        if answer.status_code not in _SUCCESS:
            raise failure_of(answer)
        return answer.json() if answer.content else None


def key_of(attempt_id: str, call: str) -> str:
    """Return the idempotency key of one call of an attempt: a UUID, as Klarna wants it, the same for ever.

    >>> key_of("at_1", "capture") == key_of("at_1", "capture") != key_of("at_1", "cancel")
    True
    """
    return str(uuid.uuid5(_KEYS, f"{attempt_id}:{call}"))


def failure_of(answer: requests.Response) -> Failure:
    """Return what an answer other than success means; what the table does not know leaves the call in doubt."""
    status, code = answer.status_code, _code(answer)
    given = answer.headers.get("klarna-correlation-id", "")
    correlation_id = given if _PLAIN_ID.fullmatch(given) else None
    reason = code.lower() if code else f"http_{status}"
    _log.info("Klarna answered %s %s, correlation id %s", status, reason, correlation_id)
    return Failure(_meaning(status, code), reason, correlation_id)


def _meaning(status: int, code: str | None) -> Meaning:
    if status in _STATUSES:
        return _STATUSES[status]
    if not 400 <= status < 500:
        return Meaning.UNKNOWN
    if code is None:
        return _WITHOUT_CODE.get(status, Meaning.UNKNOWN)
    return ERRORS.get(code, Meaning.UNKNOWN)


def _code(answer: requests.Response) -> str | None:
    """Return the error code; a 401 often comes with plain text or nothing."""
    try:
        code = answer.json()["error_code"]
    except (ValueError, KeyError, TypeError):
        return None
    return code if isinstance(code, str) and _PLAIN_CODE.fullmatch(code) else None
