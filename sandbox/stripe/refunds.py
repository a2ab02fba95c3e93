"""Owns refunds: how much may go back, and the test cards whose refunds are pending or fail later.

https://docs.stripe.com/refunds and https://docs.stripe.com/api/refunds. Partial refunds add up; more than
remains is refused with param `amount` and no code; a second full refund with `charge_already_refunded`; an
authorization that was not captured without code or param [run].
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from sandbox.stripe import objects
from sandbox.stripe.account import Account, Intent
from sandbox.stripe.bank_transfers import KINDS
from sandbox.stripe.errors import InvalidParameter, InvalidRequest, Json, missing
from sandbox.stripe.events import BY_ITSELF, Cause
from sandbox.stripe.ids import new_id
from sandbox.stripe.instruments import RefundCourse
from sandbox.stripe.listing import expansion
from sandbox.stripe.params import Schema, merge_metadata, metadata, one_of, opaque, positive, text
from sandbox.stripe.payment_methods import REDIRECT_TYPES

CREATE_FIELDS: Schema = {
    "amount": positive,
    "charge": text,
    "currency": text,
    "customer": text,
    "expand": expansion,
    "instructions_email": text,
    "metadata": metadata,
    "origin": text,
    "payment_intent": text,
    "reason": one_of("duplicate", "fraudulent", "requested_by_customer"),
    "refund_application_fee": opaque,
    "reverse_transfer": opaque,
}
UPDATE_FIELDS: Schema = {"expand": expansion, "metadata": metadata}

# "Some time later" in the documentation of the two test cards; a day is within what banks need.
SETTLE_AFTER = timedelta(days=1)


def create(account: Account, given: Mapping[str, Any], cause: Cause) -> Json:
    """Give back the rest of a captured charge, or the given part of it."""
    intent = _refunded_intent(account, given)
    charge = intent.charge
    amount = _refundable_amount(
        charge,
        given.get("amount"),
        is_refundable=all(dispute["is_charge_refundable"] for dispute in intent.disputes),
    )
    course = _course(account, charge, given)
    refund = objects.refund(
        new_id("re_"),
        account.now,
        charge,
        amount=amount,
        reason=given.get("reason"),
        metadata=merge_metadata({}, given.get("metadata", {})),
        balance_transaction=new_id("txn_"),
        status="pending" if course == "pending" else "succeeded",
        destination_details=_destination(charge),
    )
    if course == "pending":
        refund["pending_reason"] = "processing"
    account.refunds[refund["id"]] = refund
    intent.refunds.append(refund)
    charge["refunds"]["data"].insert(0, refund)
    _count(charge, amount)
    account.record("refund", intent, amount, cause, refund=refund)
    account.emit("refund.created", refund, cause)
    account.emit("charge.refunded", charge, cause)
    if course != "succeeds":
        _settle_later(account, refund, is_success=course == "pending")
    return refund


def retrieve(account: Account, id: str) -> Json:
    """Return a refund or refuse."""
    if id not in account.refunds:
        raise missing("refund", id, status=404)
    return account.refunds[id]


def update(account: Account, id: str, given: Mapping[str, Any], cause: Cause) -> Json:
    """Change a refund's metadata, the only thing that can be changed."""
    refund = retrieve(account, id)
    previous = {"metadata": refund["metadata"]}
    refund["metadata"] = merge_metadata(refund["metadata"], given.get("metadata", {}))
    account.emit("refund.updated", refund, cause, previous=previous)
    return refund


def settle(account: Account, refund: Json, *, is_success: bool) -> None:
    """Let the bank answer: a pending refund ends well or badly, and a succeeded one may still fail."""
    previous = {"status": refund["status"]}
    refund.pop("pending_reason", None)
    if is_success:
        refund["status"] = "succeeded"
        account.emit("refund.updated", refund, BY_ITSELF, previous=previous)
        return
    intent = account.intents[refund["payment_intent"]]
    refund.update(
        status="failed", failure_reason="expired_or_canceled_card", failure_balance_transaction=new_id("txn_")
    )
    _count(account.charges[refund["charge"]], -refund["amount"])
    account.record("refund_failed", intent, refund["amount"], BY_ITSELF, refund=refund)
    account.emit("refund.failed", refund, BY_ITSELF, previous=previous)


def _refunded_intent(account: Account, given: Mapping[str, Any]) -> Intent:
    if "payment_intent" in given:
        intent = account.intent(given["payment_intent"], param="payment_intent", status=400)
    elif "charge" in given:
        if given["charge"] not in account.charges:
            raise missing("charge", given["charge"], param="charge")
        intent = account.intents[account.charges[given["charge"]]["payment_intent"]]
    else:
        raise InvalidParameter(
            "One of the following params should be provided for this request: payment_intent or charge.",
            code="parameter_missing",
        )
    if not intent.charges or intent.charge["status"] != "succeeded":
        raise InvalidRequest(f"This PaymentIntent ({intent.body['id']}) does not have a successful charge to refund.")
    return intent


def _refundable_amount(charge: Json, asked: int | None, *, is_refundable: bool) -> int:
    if not charge["captured"]:
        raise InvalidRequest(f"Charge {charge['id']} has not been captured; cancel its PaymentIntent instead.")
    rest: int = charge["amount_captured"] - charge["amount_refunded"]
    if charge["disputed"] and not is_refundable:
        raise InvalidRequest(
            f"Charge {charge['id']} has been charged back; cannot issue a refund.", code="charge_disputed"
        )
    if rest == 0:
        raise InvalidRequest(f"Charge {charge['id']} has already been refunded.", code="charge_already_refunded")
    if asked is not None and asked > rest:
        raise InvalidRequest(
            f"Refund amount ({asked}) is greater than unrefunded amount on charge ({rest})", param="amount"
        )
    return rest if asked is None else asked


def _course(account: Account, charge: Json, given: Mapping[str, Any]) -> RefundCourse:
    if charge["payment_method_details"]["type"] != "customer_balance":
        return account.methods[charge["payment_method"]].behaviour.refund
    # Money that came by transfer is sent to the customer's bank, and he is told so by e-mail
    # (https://docs.stripe.com/payments/customer-balance/refunding).
    if not (given.get("instructions_email") or account.customers[charge["customer"]].get("email")):
        raise InvalidRequest(
            "The customer has no email address, which is needed to refund a bank transfer.", param="instructions_email"
        )
    return "pending"


def _count(charge: Json, amount: int) -> None:
    charge["amount_refunded"] += amount
    charge["refunded"] = charge["amount_refunded"] == charge["amount_captured"]


def _destination(charge: Json) -> Json | None:
    """Return `destination_details`: a card, a redirect method or a bank transfer. A debit has none in the SDK [sdk]."""
    type = charge["payment_method_details"]["type"]
    if type == "card":
        card = {"reference_status": "pending", "reference_type": "acquirer_reference_number", "type": "refund"}
        return {type: card, "type": type}
    if type == "customer_balance":
        type = KINDS[charge["currency"]]
    elif type not in REDIRECT_TYPES:
        return None
    return {type: {}, "type": type}


def _settle_later(account: Account, refund: Json, *, is_success: bool) -> None:
    override = account.sandbox.settings.async_settle_seconds
    seconds = SETTLE_AFTER.total_seconds() if override is None else override
    expected = refund["status"]

    def answer() -> None:
        # The control API may have let the bank answer earlier.
        if refund["status"] == expected:
            settle(account, refund, is_success=is_success)

    account.sandbox.scheduler.run_at(account.sandbox.clock.now() + seconds, answer)
