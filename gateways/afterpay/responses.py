"""What Afterpay's answers mean: payments, refunds and refusals to outcomes. Pure; nothing is asked here.

Sources: Afterpay's OpenAPI documents (checkouts, payments) and developers.cash.app, read 2026-11-23."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from domain.decline import Decline, DeclineClass
from domain.money import Money
from domain.outcome import ActionRequired, Approved, Declined, InDoubt, NotSent, Outcome
from gateways.failures import CallFailed, FailureKind
from gateways.json_api import ProviderResponse
from gateways.signatures import is_name

# Money is held, so that it can be captured or voided.
OPEN = frozenset({"AUTH_APPROVED", "PARTIALLY_CAPTURED"})
DECLINED = frozenset({"AUTH_DECLINED", "CAPTURE_DECLINED"})
_CAPTURED = frozenset({"CAPTURED", "PARTIALLY_CAPTURED"})
# EXPIRED is documented as the type of an event; as a state it could mean nothing else.
_RELEASED = frozenset({"VOIDED", "EXPIRED"})


# --- answers ----------------------------------------------------------------------------------------


def is_payment(response: ProviderResponse) -> bool:
    """Tell whether an answer carries a payment: a decline may come with 201 and with 402."""
    return response.status in (200, 201, 402) and "paymentState" in response.fields


def outcome_of_checkout(response: ProviderResponse) -> ActionRequired | None:
    """Return where the shopper approves; None when the answer does not say."""
    token, address = response.fields.get("token"), response.fields.get("redirectCheckoutUrl")
    if not is_name(token) or not isinstance(address, str) or not address.startswith(("https://", "http://")):
        return None
    return ActionRequired(str(token), {"type": "redirect", "redirect_url": address})


def outcome_of_charge(payment: Any, token: str, money: Money) -> Outcome:
    """Return what a payment says of the charge of `money`. Raises MALFORMED."""
    if minor_units(payment["originalAmount"], money.currency) != money.minor:
        return InDoubt("amount_mismatch", token)
    return outcome_of_payment(payment, token, money.currency)


def outcome_of_payment(payment: Any, token: str, currency: str) -> Outcome:
    """Return how a payment stands, in minor units of `currency`. Raises MALFORMED."""
    state, is_declined = payment["paymentState"], payment["status"] == "DECLINED"
    if payment["token"] != token or is_declined != (state in DECLINED):
        return InDoubt("contradicting_answer", token)
    if state in DECLINED:
        # There are no reasons: the order is refused, and the shopper may try another one.
        return Declined(token, Decline(state, DeclineClass.HARD))
    if state in _RELEASED:
        return Approved(token, voided=True)
    if state == "AUTH_APPROVED":
        held = minor_units(payment["openToCaptureAmount"], currency)
        return Approved(token, authorized=held, authorization_expires_at=_expiry(payment))
    if state in _CAPTURED:
        captured = sum(minor_units(event["amount"], currency) for event in _events(payment, "CAPTURED"))
        original = minor_units(payment["originalAmount"], currency)
        return Approved(token, authorized=original, captured=captured) if captured else InDoubt("no_capture", token)
    return InDoubt("unknown_state", token)


def was_captured_by(payment: Any, attempt_id: str) -> bool:
    """Tell whether a payment shows the capture of an attempt. Raises MALFORMED."""
    return any(event.get("paymentEventMerchantReference") == attempt_id for event in _events(payment, "CAPTURED"))


def find_refund(payment: Any, attempt_id: str, refund_id: str | None) -> Any:
    """Return the refund of an attempt, by our reference or by Afterpay's id; None if there is none. Raises MALFORMED.

    A void is listed among the refunds too, without references."""
    for refund in payment["refunds"] or []:
        is_named = refund_id is not None and str(refund.get("refundId")) == refund_id
        if is_named or refund.get("refundMerchantReference") == attempt_id:
            return refund
    return None


def outcome_of_refund(refund: Any, money: Money) -> Outcome:
    """Return what a refund says of itself, None if there is none; Afterpay makes it at once. Raises MALFORMED."""
    if refund is None:
        return NotSent("not_created")
    reference = str(refund["refundId"])
    if minor_units(refund["amount"], money.currency) != money.minor:
        return InDoubt("amount_mismatch", reference)
    return Approved(reference, refunded=money.minor)


def _events(payment: Any, kind: str) -> list[Any]:
    return [event for event in payment["events"] if event["type"] == kind]


def _expiry(payment: Any) -> datetime:
    expires_at = datetime.fromisoformat(_events(payment, "AUTH_APPROVED")[-1]["expires"])
    if expires_at.tzinfo is None:
        raise ValueError("an instant without its zone")
    return expires_at


def minor_units(amount: Any, currency: str) -> int:
    """Return an amount, which may be zero, in minor units; another currency is no answer. Raises MALFORMED.

    >>> [minor_units({"amount": text, "currency": "AUD"}, "AUD") for text in ("37.00", "0.00")]
    [3700, 0]
    """
    if amount["currency"] != currency or not isinstance(amount["amount"], str):
        raise ValueError("not an amount of ours")
    is_zero = not amount["amount"].strip("0.") and "0" in amount["amount"]
    return 0 if is_zero else Money.parse(amount["amount"], currency).minor


# --- errors -----------------------------------------------------------------------------------------

# Closed: a test walks the codes of the OpenAPI documents and fails when one is not decided here. What is unknown:
# somebody was faster, or an answer of ours was lost.
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
# What a refusal without a known code means. 409: the first request with this id is still running.
_STATUSES: dict[int, FailureKind] = {
    **dict.fromkeys((400, 405, 406, 413, 415, 422), FailureKind.AT_FAULT),
    **dict.fromkeys((401, 403, 429), FailureKind.NOT_EXECUTED),
}
# In words of ours: what an application has to be told apart.
_REASONS = {"unsupported_payment_type": "amount_outside_limits"}


def code_of(response: ProviderResponse) -> str | None:
    """Return the errorCode of a refusal; None of every other answer."""
    code = response.fields.get("errorCode")
    return code if isinstance(code, str) and 400 <= response.status < 500 else None


def failure_of(response: ProviderResponse) -> CallFailed:
    """Return what an answer that is no success means; one that the tables do not know leaves the attempt in doubt."""
    kind = _STATUSES.get(response.status, FailureKind.UNKNOWN)
    if response.status not in (409, 429):
        kind = ERRORS.get(code_of(response) or "", kind)
    return CallFailed(reason_of(response), kind)


def reason_of(response: ProviderResponse) -> str:
    """Return a short word for a refusal; nothing that Afterpay wrote, unless it is a word of the table."""
    code = code_of(response)
    return _REASONS.get(code, code) if code in ERRORS else f"http_{response.status}"


def outcome_of_reversal(response: ProviderResponse, token: str) -> Outcome | None:
    """Return what came of asking for a reversal; None when it is refused, because it is too late for one.

    All refusals have one code and differ by their message."""
    message = str(response.fields.get("message", "")).lower()
    if response.status == 412 and "previously processed" in message:
        return Approved(token, voided=True)
    if response.status == 204 or (response.status == 412 and "pending reversal" in message):
        return InDoubt("reversal_pending", token)
    if code_of(response) in ("invalid_token", "precondition_failed"):
        return None
    return InDoubt(reason_of(response), token)
