"""What Afterpay's answers mean: payments, refunds and refusals to outcomes. Pure; nothing is asked here.

Sources: Afterpay's OpenAPI documents (checkouts, payments) and developers.cash.app, read 2026-11-23."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from domain.decline import Decline, DeclineClass
from domain.errors import InvalidAmount
from domain.money import Money
from domain.outcome import ActionRequired, Approved, Declined, InDoubt, NotSent, Outcome
from gateways.afterpay_api import Reply, Unanswered

# What reading an answer raises that is not what Afterpay documents: nothing can be concluded from it.
MALFORMED = (LookupError, TypeError, ValueError, AttributeError, InvalidAmount)

# Money is held, so that it can be captured or voided.
OPEN = frozenset({"AUTH_APPROVED", "PARTIALLY_CAPTURED"})
DECLINED = frozenset({"AUTH_DECLINED", "CAPTURE_DECLINED"})
_CAPTURED = frozenset({"CAPTURED", "PARTIALLY_CAPTURED"})
# EXPIRED is documented as the type of an event; as a state it could mean nothing else.
_RELEASED = frozenset({"VOIDED", "EXPIRED"})


# --- answers ----------------------------------------------------------------------------------------


def outcome_of_checkout(reply: Reply) -> ActionRequired | None:
    """Return where the shopper approves; None when the answer does not say."""
    token, address = reply.body.get("token"), reply.body.get("redirectCheckoutUrl")
    if not isinstance(token, str) or not isinstance(address, str):
        return None
    is_usable = 0 < len(token) <= 255 and token.isascii() and token.isprintable()
    if not is_usable or not address.startswith(("https://", "http://")):
        return None
    return ActionRequired(token, {"type": "redirect", "redirect_url": address})


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

_Decide = Callable[[str, str | None], Outcome]


def _at_fault(reason: str, reference: str | None) -> Outcome:
    return NotSent(reason, is_retryable=False, reference=reference)


def _before_execution(reason: str, reference: str | None) -> Outcome:
    return NotSent(reason, reference=reference)


def _look_up(reason: str, reference: str | None) -> Outcome:
    """Somebody was faster, or an answer of ours was lost: how it stands has to be read."""
    return InDoubt(reason, reference)


# Closed: a test walks the codes of the OpenAPI documents and fails when one is not decided here.
ERRORS: dict[str, _Decide] = {
    "invalid_json": _at_fault,
    "invalid_object": _at_fault,
    "invalid_amount": _at_fault,
    "unsupported_payment_type": _at_fault,
    "unsupported_currency": _at_fault,
    "refund_timelimit_exceeded": _at_fault,
    "unauthorized": _before_execution,
    "invalid_token": _look_up,
    "invalid_order_transaction_status": _look_up,
    "not_found": _look_up,
    "precondition_failed": _look_up,
    "error": _look_up,
    "invalid_state": _look_up,
    "payment_captured": _look_up,
    "payment_voided": _look_up,
    "payment_expired": _look_up,
}
# What a refusal without a known code means. 409: the first request with this id is still running.
_STATUSES: dict[int, _Decide] = {
    **dict.fromkeys((400, 405, 406, 413, 415, 422), _at_fault),
    **dict.fromkeys((401, 403, 429), _before_execution),
}
# In words of ours: what an application has to be told apart.
_REASONS = {"unsupported_payment_type": "amount_outside_limits"}


def outcome_of_refusal(reply: Reply, reference: str | None) -> Outcome:
    """Map every answer that is no success; one that the tables do not know leaves the attempt in doubt."""
    decide = _STATUSES.get(reply.status, _look_up)
    if reply.code in ERRORS and reply.status not in (409, 429):
        decide = ERRORS[reply.code]
    return decide(reason_of(reply), reference)


def reason_of(reply: Reply) -> str:
    """Return a short word for a refusal; nothing that Afterpay wrote, unless it is a word of the table."""
    if reply.code in ERRORS:
        return _REASONS.get(reply.code, reply.code)
    return f"http_{reply.status}"


def outcome_of_silence(error: Unanswered, reference: str | None) -> Outcome:
    """Return what follows when no usable answer came to a call that moves money."""
    if error.is_sent:
        return InDoubt(error.reason, reference)
    return NotSent(error.reason, reference=reference)


def outcome_of_reversal(reply: Reply, token: str) -> Outcome | None:
    """Return what came of asking for a reversal; None when it is refused, because it is too late for one.

    All refusals have one code and differ by their message."""
    message = str(reply.body.get("message", "")).lower()
    if reply.status == 412 and "previously processed" in message:
        return Approved(token, voided=True)
    if reply.status == 204 or (reply.status == 412 and "pending reversal" in message):
        return InDoubt("reversal_pending", token)
    if reply.code in ("invalid_token", "precondition_failed"):
        return None
    return InDoubt(reason_of(reply), token)
