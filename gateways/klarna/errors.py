"""Klarna's error codes: what each of them says about the call. Closed tables; an unknown code is doubt.

Sources: docs.klarna.com (error codes; place an order of a customer token) and Klarna's OpenAPI files, read
2026-11-28."""

from __future__ import annotations

import re
from enum import StrEnum

from domain.decline import decline_by
from domain.outcome import Declined, Outcome
from gateways.failures import CallFailed, FailureKind
from gateways.json_api import ProviderResponse

_CODE = re.compile(r"[A-Z][A-Z_]{1,60}", re.ASCII)
_CORRELATION_ID = re.compile(r"[0-9A-Za-z-]{1,64}", re.ASCII)


class ErrorKind(StrEnum):
    """What an error response says about its call: finer than FailureKind, because the next step differs."""

    NOT_EXECUTED = "not_executed"  # refused before execution; the same call may succeed later
    AT_FAULT = "at_fault"  # the request or the merchant account is at fault; a repeat is refused as well
    DECLINED = "declined"  # Klarna's risk assessment refused the customer; there are no finer codes
    WRONG_STATE = "wrong_state"  # the object is in another state than the call needs
    NOT_FOUND = "not_found"  # Klarna has no such object
    UNKNOWN = "unknown"  # nothing can be concluded


# Every code that Klarna documents for Payments, Hosted Payment Page, Order Management and customer tokens.
ERRORS: dict[str, ErrorKind] = {
    "BAD_REQUEST": ErrorKind.AT_FAULT,
    "BAD_VALUE": ErrorKind.AT_FAULT,
    "UNAUTHORIZED": ErrorKind.NOT_EXECUTED,
    "REJECTED": ErrorKind.DECLINED,
    "PAYMENT_METHOD_FAILED": ErrorKind.DECLINED,
    "UNAVAILABLE_PAYMENT_METHOD": ErrorKind.DECLINED,
    "TOKEN_SUSPENDED": ErrorKind.DECLINED,
    "TOKEN_CANCELLED": ErrorKind.DECLINED,
    "TOKEN_FORBIDDEN": ErrorKind.AT_FAULT,
    "TOKEN_NOT_FOUND": ErrorKind.NOT_FOUND,
    "PAYMENT_METHOD_CURRENCY_MISMATCH": ErrorKind.AT_FAULT,
    "CAPTURE_NOT_ALLOWED": ErrorKind.WRONG_STATE,
    "REFUND_NOT_ALLOWED": ErrorKind.WRONG_STATE,
    "CANCEL_NOT_ALLOWED": ErrorKind.WRONG_STATE,
    "NOT_ALLOWED": ErrorKind.WRONG_STATE,
    "INVALID_OPERATION": ErrorKind.WRONG_STATE,
    "MERCHANT_INACTIVE": ErrorKind.AT_FAULT,
    "NO_SUCH_ORDER": ErrorKind.NOT_FOUND,
    "NO_SUCH_CAPTURE": ErrorKind.NOT_FOUND,
    "NOT_FOUND": ErrorKind.NOT_FOUND,
    "SESSION_COMPLETED": ErrorKind.WRONG_STATE,
    "CONFLICT": ErrorKind.WRONG_STATE,
    "REQUEST_TOO_LARGE": ErrorKind.AT_FAULT,
    "UNPROCESSABLE_ENTITY": ErrorKind.AT_FAULT,
    "INVALID_ADDRESS": ErrorKind.AT_FAULT,
    "TOO_MANY_REQUESTS": ErrorKind.NOT_EXECUTED,
    "INTERNAL_SERVER_ERROR": ErrorKind.UNKNOWN,
    "UNEXPECTED_ERROR": ErrorKind.UNKNOWN,
    "TEMPORARILY_UNAVAILABLE": ErrorKind.UNKNOWN,
}
# These statuses decide before the code: BAD_VALUE with 409 means data that differ from those of the session.
_STATUSES = {
    401: ErrorKind.NOT_EXECUTED,
    404: ErrorKind.NOT_FOUND,
    409: ErrorKind.WRONG_STATE,
    429: ErrorKind.NOT_EXECUTED,
}
# Error responses without a code, as Klarna's OpenAPI files declare them.
_STATUSES_WITHOUT_CODE = {
    400: ErrorKind.AT_FAULT,
    403: ErrorKind.WRONG_STATE,
    413: ErrorKind.AT_FAULT,
    422: ErrorKind.AT_FAULT,
}
_FAILURE_KINDS = {ErrorKind.NOT_EXECUTED: FailureKind.NOT_EXECUTED, ErrorKind.AT_FAULT: FailureKind.AT_FAULT}


class ErrorResponse(CallFailed):
    """A response other than 2xx. `correlation_id`: Klarna's support finds the call by it."""

    def __init__(self, error_kind: ErrorKind, reason: str, correlation_id: str | None = None) -> None:
        super().__init__(reason, _FAILURE_KINDS.get(error_kind, FailureKind.UNKNOWN))
        self.error_kind = error_kind
        self.correlation_id = correlation_id

    def outcome(self, reference: str | None = None) -> Outcome:
        """Return the outcome of a call that may have moved money."""
        if self.error_kind is ErrorKind.DECLINED:
            return Declined(reference, decline_by("klarna", self.reason))
        return super().outcome(reference)


def error_response(response: ProviderResponse) -> ErrorResponse:
    """Return what a response other than 2xx means."""
    status, code = response.status, response.fields.get("error_code")
    code = code if isinstance(code, str) and _CODE.fullmatch(code) else None
    header = response.headers.get("klarna-correlation-id", "")
    correlation_id = header if _CORRELATION_ID.fullmatch(header) else None
    kind = _error_kind(status, code)
    if kind is ErrorKind.NOT_FOUND and correlation_id is None:
        # Klarna sets the header on every response. Without it another server, which has no such path, may have
        # responded, and its 404 proves nothing about Klarna's object.
        kind = ErrorKind.UNKNOWN
    return ErrorResponse(kind, code.lower() if code else f"http_{status}", correlation_id)


def _error_kind(status: int, code: str | None) -> ErrorKind:
    if status in _STATUSES:
        return _STATUSES[status]
    if not 400 <= status < 500:
        return ErrorKind.UNKNOWN
    if code is None:
        return _STATUSES_WITHOUT_CODE.get(status, ErrorKind.UNKNOWN)
    return ERRORS.get(code, ErrorKind.UNKNOWN)
