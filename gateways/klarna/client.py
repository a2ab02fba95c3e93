"""Klarna's way of speaking: Basic authentication, idempotency keys, and what its refusals mean.

Knows nothing of payments. Sources: docs.klarna.com (error codes, idempotency) and Klarna's OpenAPI files, read
2026-11-23."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from domain.decline import Decline, DeclineClass
from domain.outcome import Declined, Outcome
from gateways.failures import CallFailed, FailureKind
from gateways.json_api import JsonApi, ProviderResponse

# Klarna ends a call that was idle for 59 seconds; whoever waits a little longer sees that answer.
LONGEST_READ_SECONDS = 62.0

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


_FATES = {Meaning.BUSY: FailureKind.NOT_EXECUTED, Meaning.INVALID: FailureKind.AT_FAULT}


class Failure(CallFailed):
    """A call without success. `correlation_id`: by it Klarna's support finds the call."""

    def __init__(self, meaning: Meaning, reason: str, correlation_id: str | None = None) -> None:
        super().__init__(reason, _FATES.get(meaning, FailureKind.UNKNOWN))
        self.meaning = meaning
        self.correlation_id = correlation_id

    def outcome(self, reference: str | None = None) -> Outcome:
        """Return what follows for a call that could have moved money."""
        if self.meaning is Meaning.DECLINED:
            return Declined(reference, Decline(self.reason, DeclineClass.HARD))
        return super().outcome(reference)


class KlarnaClient(JsonApi):
    """Sends calls to one host. Safe to share between threads."""

    def __init__(self, base: str, username: str, password: str, read_seconds: float) -> None:
        super().__init__(base, min(read_seconds, LONGEST_READ_SECONDS), auth=(username, password))

    def call(self, method: str, path: str, body: Mapping[str, Any] | None = None, key: str | None = None) -> Any:
        """Return the JSON of a successful answer, None where it is empty; raise Failure.

        `key`: with it a repeat within 24 hours is answered like the first call, whatever its body."""
        try:
            response = self.send(method, path, json=body, headers={"Klarna-Idempotency-Key": key} if key else None)
        except CallFailed as lost:
            meaning = Meaning.BUSY if lost.kind is FailureKind.NOT_EXECUTED else Meaning.UNKNOWN
            raise Failure(meaning, lost.reason) from None
        if not response.is_good:
            raise failure_of(response)
        return response.body


def failure_of(response: ProviderResponse) -> Failure:
    """Return what an answer other than success means; what the table does not know leaves the call in doubt."""
    status, code = response.status, response.fields.get("error_code")
    code = code if isinstance(code, str) and _PLAIN_CODE.fullmatch(code) else None
    given = response.headers.get("klarna-correlation-id", "")
    correlation_id = given if _PLAIN_ID.fullmatch(given) else None
    reason = code.lower() if code else f"http_{status}"
    _log.info("Klarna answered %s %s, correlation id %s", status, reason, correlation_id)
    meaning = _meaning(status, code)
    # Without it, it may be another server that knows no such path.
    is_unproven = meaning is Meaning.MISSING and correlation_id is None
    return Failure(Meaning.UNKNOWN if is_unproven else meaning, reason, correlation_id)


def _meaning(status: int, code: str | None) -> Meaning:
    if status in _STATUSES:
        return _STATUSES[status]
    if not 400 <= status < 500:
        return Meaning.UNKNOWN
    if code is None:
        return _WITHOUT_CODE.get(status, Meaning.UNKNOWN)
    return ERRORS.get(code, Meaning.UNKNOWN)
