"""Capture, cancel and expiry of an intent.

https://docs.stripe.com/payments/place-a-hold-on-a-payment-method. A partial capture releases the remaining amount. A
cancel is possible only from requires_payment_method, requires_confirmation, requires_action and requires_capture [run].
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sandbox.stripe import cash_balances, disputes, fraud_warnings
from sandbox.stripe.account import Account, Intent
from sandbox.stripe.currencies import check_step
from sandbox.stripe.errors import InvalidRequest
from sandbox.stripe.events import NO_REQUEST, Cause
from sandbox.stripe.params import merge_metadata

CANCELABLE = ("requires_payment_method", "requires_capture", "requires_confirmation", "requires_action")


def unexpected_state(intent: Intent, done: str, allowed: tuple[str, ...]) -> InvalidRequest:
    """Return the refusal for an operation that the intent's status does not allow; it carries the intent."""
    return InvalidRequest(
        f"This PaymentIntent could not be {done} because it has a status of {intent.body['status']}. Only a "
        f"PaymentIntent with one of the following statuses may be {done}: {', '.join(allowed)}.",
        code="payment_intent_unexpected_state",
        payment_intent=intent.body,
    )


def capture(account: Account, intent: Intent, params: Mapping[str, Any], cause: Cause) -> None:
    """Capture the authorised amount or a part of it; the remaining amount is released."""
    body = intent.body
    if body["status"] != "requires_capture":
        raise unexpected_state(intent, "captured", ("requires_capture",))
    if params.get("final_capture") is False:
        raise InvalidRequest("This PaymentIntent does not support multicapture.", param="final_capture")
    amount = params.get("amount_to_capture", body["amount_capturable"])
    if amount > body["amount_capturable"]:
        raise InvalidRequest(
            "The amount to capture is greater than the amount that can be captured.",
            code="amount_too_large",
            param="amount_to_capture",
        )
    check_step(amount, body["currency"], "amount_to_capture")
    body["metadata"] = merge_metadata(body["metadata"], params.get("metadata", {}))
    released = body["amount_capturable"] - amount
    body.update(status="succeeded", amount_received=amount, amount_capturable=0)
    intent.charge.update(
        captured=True, amount_captured=amount, balance_transaction=account.balance(intent.charge, amount)
    )
    account.record("capture", intent, amount, cause)
    if released:
        account.record("void", intent, released, cause)
    account.emit("charge.captured", intent.charge, cause)
    account.emit("payment_intent.succeeded", body, cause)
    follow_script(account, intent)


def follow_script(account: Account, intent: Intent) -> None:
    """Open the dispute or send the fraud warning that the test instrument stands for, if it stands for one."""
    behaviour = account.methods[intent.charge["payment_method"]].behaviour
    if behaviour.has_fraud_warning:
        fraud_warnings.warn(account, intent.charge)
    scripted_dispute = behaviour.scripted_dispute
    if scripted_dispute is not None:
        disputes.open_dispute(account, intent, scripted_dispute.reason, is_inquiry=scripted_dispute.is_inquiry)


def cancel(account: Account, intent: Intent, reason: str | None, cause: Cause) -> None:
    """Cancel an open intent and release its authorization."""
    if intent.body["status"] not in CANCELABLE:
        raise unexpected_state(intent, "canceled", CANCELABLE)
    _close(account, intent, reason, cause, charge_event="charge.refunded")


def expire(account: Account, intent: Intent) -> None:
    """Cancel an intent whose authorization has expired; do nothing after a capture or a cancel."""
    if intent.body["status"] == "requires_capture":
        _close(account, intent, "automatic", NO_REQUEST, charge_event="charge.expired")


def _close(account: Account, intent: Intent, reason: str | None, cause: Cause, *, charge_event: str) -> None:
    body = intent.body
    if body["status"] == "requires_capture":
        intent.charge.update(refunded=True, amount_refunded=intent.charge["amount"])
        account.record("void", intent, body["amount_capturable"], cause)
        account.emit(charge_event, intent.charge, cause)
    cash_balances.unapply(account, intent, cause)
    # Ends the wait for the customer or the bank, so that a later decision finds no attempt and does nothing.
    intent.attempt = None
    body.update(
        status="canceled",
        amount_capturable=0,
        canceled_at=account.now,
        cancellation_reason=reason,
        next_action=None,
    )
    account.emit("payment_intent.canceled", body, cause)
