"""Owns what happens to an authorization after it was given: capture, cancel, expiry.

https://docs.stripe.com/payments/place-a-hold-on-a-payment-method. A partial capture releases the rest; a
cancel is possible from requires_payment_method, requires_confirmation, requires_action and requires_capture
only [run].
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sandbox.stripe import cash_balances, disputes
from sandbox.stripe.account import Account, Intent
from sandbox.stripe.errors import InvalidRequest
from sandbox.stripe.events import BY_ITSELF, Cause
from sandbox.stripe.ids import new_id
from sandbox.stripe.params import merge_metadata

CANCELABLE = ("requires_payment_method", "requires_capture", "requires_confirmation", "requires_action")


def unexpected_state(intent: Intent, done: str, allowed: tuple[str, ...]) -> InvalidRequest:
    """Return the refusal of a step that the intent's status does not allow; it carries the intent."""
    return InvalidRequest(
        f"This PaymentIntent could not be {done} because it has a status of {intent.body['status']}. Only a "
        f"PaymentIntent with one of the following statuses may be {done}: {', '.join(allowed)}.",
        code="payment_intent_unexpected_state",
        payment_intent=intent.body,
    )


def capture(account: Account, intent: Intent, given: Mapping[str, Any], cause: Cause) -> None:
    """Take the authorised money, all or a part of it; the rest is released."""
    body = intent.body
    if body["status"] != "requires_capture":
        raise unexpected_state(intent, "captured", ("requires_capture",))
    if given.get("final_capture") is False:
        raise InvalidRequest("This PaymentIntent does not support multicapture.", param="final_capture")
    amount = given.get("amount_to_capture", body["amount_capturable"])
    if amount > body["amount_capturable"]:
        raise InvalidRequest(
            "The amount to capture is greater than the amount that can be captured.",
            code="amount_too_large",
            param="amount_to_capture",
        )
    body["metadata"] = merge_metadata(body["metadata"], given.get("metadata", {}))
    released = body["amount_capturable"] - amount
    body.update(status="succeeded", amount_received=amount, amount_capturable=0)
    intent.charge.update(captured=True, amount_captured=amount, balance_transaction=new_id("txn_"))
    account.record("capture", intent, amount, cause)
    if released:
        account.record("void", intent, released, cause)
    account.emit("charge.captured", intent.charge, cause)
    account.emit("payment_intent.succeeded", body, cause)
    complain(account, intent)


def complain(account: Account, intent: Intent) -> None:
    """Open the dispute that the instrument is made for, once its money was taken."""
    complaint = account.methods[intent.charge["payment_method"]].behaviour.complaint
    if complaint is not None:
        disputes.open_dispute(account, intent, complaint.reason, is_inquiry=complaint.is_inquiry)


def cancel(account: Account, intent: Intent, reason: str | None, cause: Cause) -> None:
    """Close an open intent; an authorization is given back."""
    if intent.body["status"] not in CANCELABLE:
        raise unexpected_state(intent, "canceled", CANCELABLE)
    _close(account, intent, reason, cause, told_as="charge.refunded")


def expire(account: Account, intent: Intent) -> None:
    """Close an intent whose authorization ran out; does nothing if it was captured or canceled in time."""
    if intent.body["status"] == "requires_capture":
        _close(account, intent, "automatic", BY_ITSELF, told_as="charge.expired")


def _close(account: Account, intent: Intent, reason: str | None, cause: Cause, *, told_as: str) -> None:
    body = intent.body
    if body["status"] == "requires_capture":
        intent.charge.update(refunded=True, amount_refunded=intent.charge["amount"])
        account.record("void", intent, body["amount_capturable"], cause)
        account.emit(told_as, intent.charge, cause)
    cash_balances.give_back(account, intent, cause)
    intent.trial = None
    body.update(
        status="canceled",
        amount_capturable=0,
        canceled_at=account.now,
        cancellation_reason=reason,
        next_action=None,
    )
    account.emit("payment_intent.canceled", body, cause)
