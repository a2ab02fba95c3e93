"""What Stripe's objects say: intents and refunds read as outcomes. It asks nothing."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from domain.decline import Decline, classify
from domain.outcome import (
    ActionRequired,
    Approved,
    AuthenticationRequired,
    Declined,
    InDoubt,
    NotSent,
    Outcome,
    Pending,
)
from gateways.stripe.money import from_stripe
from gateways.stripe.next_actions import field, next_action

# Card authorizations last seven days when the charge does not say (docs: place a hold on a payment method).
_AUTHORIZATION_WINDOW = timedelta(days=7)


def outcome_of_requested(intent: Any, reference: str, currency: str) -> Outcome:
    """Return what the PaymentIntent that was asked for says; another one, or other money, is not believed."""
    if intent["id"] != reference:
        return InDoubt("another_object", reference)
    if intent["currency"].upper() != currency:
        return InDoubt("another_currency", reference)
    return outcome_of_intent(intent)


def outcome_of_intent(intent: Any) -> Outcome:
    """Return what a PaymentIntent, as object or as JSON, says about its attempt."""
    reference, status, currency = intent["id"], intent["status"], intent["currency"]
    match status:
        case "succeeded":
            received = from_stripe(intent["amount_received"], currency)
            return Approved(reference, authorized=from_stripe(intent["amount"], currency), captured=received)
        case "requires_capture":
            capturable = from_stripe(intent["amount_capturable"], currency)
            return Approved(reference, authorized=capturable, authorization_expires_at=_capture_before(intent))
        case "canceled":
            return Approved(reference, voided=True)
        case "processing":
            return Pending(reference)
        case "requires_action":
            return ActionRequired(reference, next_action(field(intent, "next_action")))
        case "requires_payment_method" if field(intent, "last_payment_error"):
            return decline_of(reference, intent["last_payment_error"])
        case "requires_payment_method" | "requires_confirmation":
            return NotSent("not_confirmed", reference=reference)
    return InDoubt(f"unknown intent status {status}", reference)


def _capture_before(intent: Any) -> datetime:
    fallback = datetime.fromtimestamp(intent["created"], UTC) + _AUTHORIZATION_WINDOW
    charge = field(intent, "latest_charge")
    if charge is None or isinstance(charge, str):
        return fallback
    details = field(charge, "payment_method_details")
    stamp = field(field(details, "card"), "capture_before")
    return datetime.fromtimestamp(stamp, UTC) if stamp else fallback


def outcome_of_refund(refund: Any) -> Outcome:
    """Return what a Refund says about its attempt."""
    status = refund["status"]
    if status == "succeeded":
        return Approved(refund["id"], refunded=from_stripe(refund["amount"], refund["currency"]))
    if status in ("pending", "requires_action"):
        return Pending(refund["id"])
    code = field(refund, "failure_reason") or f"refund_{status}"
    return Declined(refund["id"], Decline(code, classify(code)))


def decline_of(reference: str | None, error: Any) -> Outcome:
    """Return what a card error or `last_payment_error` says, with its codes as they came."""
    codes = {
        name: field(error, name)
        for name in ("code", "decline_code", "advice_code", "network_advice_code", "network_decline_code")
    }
    code = codes.pop("code") or "card_declined"
    decline_class = classify(code, codes["decline_code"], codes["advice_code"], codes["network_advice_code"])
    decline = Decline(code, decline_class, **codes)
    if code == "authentication_required":
        return AuthenticationRequired(reference, decline)
    return Declined(reference, decline)
