"""How an attempt stands at Afterpay, read from the payment of its token.

A look-up also ends what a capture or a void has begun: the worker that should have ended it may have died."""

from __future__ import annotations

from domain.booking import EXPIRED, NOT_SENT, REFUSED
from domain.outcome import Approved, CustomerApproved, Declined, Outcome
from domain.payment import Verb
from gateways.afterpay import requests as bodies
from gateways.afterpay.client import AfterpayClient
from gateways.afterpay.responses import (
    Payment,
    find_refund,
    outcome_of_charge,
    outcome_of_payment,
    outcome_of_refund,
    outcome_of_reversal,
)
from gateways.base import AttemptRequest
from gateways.failures import CallFailed, FailureKind

# Why a charge is voided although it may have been made: nothing more is expected of it. See `_reverse`.
_ABANDONED = frozenset({NOT_SENT, REFUSED, EXPIRED})


def outcome_of_attempt(client: AfterpayClient, attempt: AttemptRequest, token: str, payment: Payment | None) -> Outcome:
    """Return how an attempt stands, by the payment of its token. Raises CallFailed."""
    match attempt.verb:
        case Verb.REFUND:
            return outcome_of_refund(find_refund(existing(payment), attempt), attempt.money)
        case Verb.VOID:
            return outcome_of_void(client, attempt, token, payment)
        case Verb.CAPTURE:
            captured = existing(payment)
            is_own = captured.has_capture_of(attempt)
            return outcome_of_capture(client, attempt, token, captured, is_own=is_own)
    # Without a payment only a charge shows whether the customer has approved.
    return CustomerApproved(token) if payment is None else outcome_of_charge(payment, token, attempt)


def outcome_of_capture(
    client: AfterpayClient, attempt: AttemptRequest, token: str, payment: Payment, *, is_own: bool
) -> Outcome:
    """Return how a capture stands. If the attempt itself has captured (`is_own`), the remainder is released first."""
    if is_own and payment.payment_state == "PARTIALLY_CAPTURED":
        payment = _release_remainder(client, payment)
    return outcome_of_payment(payment, token, attempt.money.currency)


def outcome_of_void(client: AfterpayClient, attempt: AttemptRequest, token: str, payment: Payment | None) -> Outcome:
    """Return how a void stands. A charge that was made although it was abandoned is reversed."""
    if payment is None:
        return unpaid(token)
    outcome = outcome_of_payment(payment, token, attempt.money.currency)
    if isinstance(outcome, Declined):
        return Approved(token, voided=True)
    is_captured = isinstance(outcome, Approved) and payment.payment_state == "CAPTURED"
    return _reverse(client, token, outcome) if is_captured and is_abandoned(attempt) else outcome


def is_abandoned(attempt: AttemptRequest) -> bool:
    """Tell whether a void ends a charge from which nothing more is expected."""
    return attempt.reason in _ABANDONED


def unpaid(token: str) -> Outcome:
    """Return the outcome of a token without a payment: nothing is held, but a charge that still runs may come."""
    return Approved(token, voided=True, may_still_charge=True)


def existing(payment: Payment | None) -> Payment:
    """Return the payment of a charge that was made. Raises CallFailed: Afterpay contradicts its earlier responses."""
    if payment is None:
        raise CallFailed("no_payment", FailureKind.UNKNOWN)
    return payment


def _release_remainder(client: AfterpayClient, payment: Payment) -> Payment:
    try:
        return client.void(payment, bodies.release_remainder(payment.open_to_capture_amount))
    except CallFailed as failure:
        # The capture is made. A kind other than UNKNOWN would say of the whole attempt that it was not executed.
        raise CallFailed(failure.reason, FailureKind.UNKNOWN) from None


def _reverse(client: AfterpayClient, token: str, captured: Outcome) -> Outcome:
    """Take back a charge that was made although it was abandoned: its response was lost, and the debt has ended.

    Afterpay reverses by token, within ten minutes of the charge and some time after its response. Until the payment
    shows the reversal, the void is in doubt and looked up again. If it is too late for a reversal, the money is booked
    as `captured`."""
    outcome = outcome_of_reversal(client.reverse(token), token)
    return captured if outcome is None else outcome
