"""What the error responses of Coinbase Commerce prove about the request."""

from __future__ import annotations

from gateways.failures import CallFailed, FailureKind, reason_word
from gateways.json_api import ProviderResponse

# The error types of the official package coinbase-commerce, read 2026-11-23.
ERRORS: dict[str, FailureKind] = {
    "not_found": FailureKind.AT_FAULT,
    "param_required": FailureKind.AT_FAULT,
    "validation_error": FailureKind.AT_FAULT,
    "invalid_request": FailureKind.AT_FAULT,
    "authentication_error": FailureKind.NOT_EXECUTED,
    "rate_limit_exceeded": FailureKind.NOT_EXECUTED,
    "internal_server_error": FailureKind.UNKNOWN,
}
# For a response without a known type. 410: Coinbase has switched the API off. Any other status proves nothing.
STATUSES: dict[int, FailureKind] = {
    400: FailureKind.AT_FAULT,
    401: FailureKind.NOT_EXECUTED,
    403: FailureKind.NOT_EXECUTED,
    404: FailureKind.AT_FAULT,
    410: FailureKind.AT_FAULT,
    429: FailureKind.NOT_EXECUTED,
    500: FailureKind.UNKNOWN,
    503: FailureKind.UNKNOWN,
}


def failure_of(response: ProviderResponse) -> CallFailed:
    """Return the failure that an error response stands for: by its type, or else by its status."""
    error = response.fields.get("error")
    error_type = error.get("type") if isinstance(error, dict) else None
    by_status = STATUSES.get(response.status, FailureKind.UNKNOWN)
    return CallFailed(reason_word(error_type, f"http_{response.status}"), ERRORS.get(str(error_type), by_status))
