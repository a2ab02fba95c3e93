"""What the error responses of Coinbase Business prove about the request; both products share the rule for changes."""

from __future__ import annotations

from domain.outcome import InDoubt, NotSent, Outcome
from gateways.failures import CallFailed, FailureKind, reason_word
from gateways.json_api import ProviderResponse

# The documented statuses, and 409 for a key whose first request is still running. Any other proves nothing.
# Source: docs.cdp.coinbase.com (coinbase-business/checkout-apis), read 2026-11-23.
STATUSES: dict[int, FailureKind] = {
    400: FailureKind.AT_FAULT,
    401: FailureKind.NOT_EXECUTED,
    403: FailureKind.NOT_EXECUTED,
    404: FailureKind.AT_FAULT,
    409: FailureKind.NOT_EXECUTED,
    429: FailureKind.NOT_EXECUTED,
    500: FailureKind.UNKNOWN,
}
_NOT_FOUND = "not_found"


class NoSuchObject(CallFailed):
    """Coinbase has no object with the id of a path."""


def failure_of(response: ProviderResponse) -> CallFailed:
    """Return the failure that an error response stands for. Only the status decides; the error type is the reason."""
    reason = reason_word(response.fields.get("errorType"), f"http_{response.status}")
    # Only with Coinbase's own word: the 404 of another server proves nothing.
    is_missing = response.status == 404 and reason == _NOT_FOUND
    return (NoSuchObject if is_missing else CallFailed)(reason, STATUSES.get(response.status, FailureKind.UNKNOWN))


def outcome_of_change(failure: CallFailed, reference: str) -> Outcome:
    """Return the outcome of a failed call that changes the state of an object.

    A refusal is doubt too: Coinbase refuses a change because the object has moved on, perhaps by this very call, whose
    first response was lost. Only a look-up shows which."""
    if failure.kind is FailureKind.NOT_EXECUTED:
        return NotSent(failure.reason, reference=reference)
    return InDoubt(failure.reason, reference)
