"""Afterpay's error codes: what each of them says about the call. Closed tables; an unknown code is doubt.

Sources: Afterpay's OpenAPI documents (checkouts, payments) and developers.cash.app, read 2026-11-23."""

from __future__ import annotations

from gateways.failures import CallFailed, FailureKind
from gateways.json_api import ProviderResponse

# Every code of the OpenAPI documents. UNKNOWN: the object is in another state than the call needs, perhaps because an
# earlier response of this very call was lost.
ERRORS: dict[str, FailureKind] = {
    "invalid_json": FailureKind.AT_FAULT,
    "invalid_object": FailureKind.AT_FAULT,
    "invalid_amount": FailureKind.AT_FAULT,
    "unsupported_payment_type": FailureKind.AT_FAULT,
    "unsupported_currency": FailureKind.AT_FAULT,
    "refund_timelimit_exceeded": FailureKind.AT_FAULT,
    "unauthorized": FailureKind.NOT_EXECUTED,
    "invalid_token": FailureKind.UNKNOWN,
    "invalid_order_transaction_status": FailureKind.UNKNOWN,
    "not_found": FailureKind.UNKNOWN,
    "precondition_failed": FailureKind.UNKNOWN,
    "error": FailureKind.UNKNOWN,
    "invalid_state": FailureKind.UNKNOWN,
    "payment_captured": FailureKind.UNKNOWN,
    "payment_voided": FailureKind.UNKNOWN,
    "payment_expired": FailureKind.UNKNOWN,
}
# Error responses without a code of the table.
_STATUSES: dict[int, FailureKind] = {
    **dict.fromkeys((400, 405, 406, 413, 415, 422), FailureKind.AT_FAULT),
    **dict.fromkeys((401, 403, 429), FailureKind.NOT_EXECUTED),
}
# These statuses decide whatever the code. 409: the first request with this id is still running.
_STATUSES_WITHOUT_CODE = (409, 429)
# Our own word where Afterpay's would mislead an application.
_REASONS = {"unsupported_payment_type": "amount_outside_limits"}


class ErrorResponse(CallFailed):
    """A response without success. `code`: Afterpay's errorCode; None outside of 4xx."""

    def __init__(self, reason: str, kind: FailureKind, code: str | None) -> None:
        super().__init__(reason, kind)
        self.code = code


def code_of(response: ProviderResponse) -> str | None:
    """Return the errorCode of a 4xx response; None for all others: in a 5xx it proves nothing."""
    code = response.fields.get("errorCode")
    return code if isinstance(code, str) and 400 <= response.status < 500 else None


def error_response(response: ProviderResponse) -> ErrorResponse:
    """Return what a response without success means. Its reason is a word of the table: a message may be personal."""
    code = code_of(response)
    kind = _STATUSES.get(response.status, FailureKind.UNKNOWN)
    if code in ERRORS and response.status not in _STATUSES_WITHOUT_CODE:
        kind = ERRORS[code]
    reason = _REASONS.get(code, code) if code in ERRORS else f"http_{response.status}"
    return ErrorResponse(reason, kind, code)
