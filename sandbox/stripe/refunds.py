"""Refunds: the refundable amount, and the test cards whose refunds are pending or fail later.

https://docs.stripe.com/refunds, https://docs.stripe.com/api/refunds and, for those of a cash balance,
https://docs.stripe.com/payments/customer-balance/refunding. Partial refunds add up. Refusals [run]: more
than the remaining amount with param `amount` and no code; a second full refund with `charge_already_refunded`; an
uncaptured authorization without code or param.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from sandbox.stripe import cash_balances, fraud_warnings, objects
from sandbox.stripe.account import Account, Intent
from sandbox.stripe.bank_transfers import KINDS
from sandbox.stripe.currencies import check_step
from sandbox.stripe.errors import InvalidParameter, InvalidRequest, Json, missing
from sandbox.stripe.events import NO_REQUEST, Cause
from sandbox.stripe.ids import new_id
from sandbox.stripe.instruments import RefundScenario
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
    "origin": one_of("customer_balance"),
    "payment_intent": text,
    "reason": one_of("duplicate", "fraudulent", "requested_by_customer"),
    "refund_application_fee": opaque,
    "reverse_transfer": opaque,
}
UPDATE_FIELDS: Schema = {"expand": expansion, "metadata": metadata}

# "Some time later" in the documentation of the two test cards; banks need a day or more.
REFUND_DURATION = timedelta(days=1)


def create(account: Account, params: Mapping[str, Any], cause: Cause) -> Json:
    """Refund a part of a captured charge, or without an amount all that remains of it; or from a cash balance."""
    if "origin" in params:
        return _create_from_balance(account, params, cause)
    intent = _refunded_intent(account, params)
    charge = intent.charge
    amount = _refundable_amount(
        charge,
        params.get("amount"),
        is_refundable=all(dispute["is_charge_refundable"] for dispute in intent.disputes),
    )
    scenario = _refund_scenario(account, charge, params)
    refund = objects.refund(
        new_id("re_"),
        account.now,
        charge,
        amount=amount,
        reason=params.get("reason"),
        metadata=merge_metadata({}, params.get("metadata", {})),
        balance_transaction=new_id("txn_"),
        status="pending" if scenario == "pending" else "succeeded",
        destination_details=_destination(charge),
    )
    if scenario == "pending":
        refund["pending_reason"] = "processing"
    account.refunds[refund["id"]] = refund
    intent.refunds.append(refund)
    _add_refunded(charge, amount)
    account.record("refund", intent, amount, cause, refund=refund)
    account.emit("refund.created", refund, cause)
    account.emit("charge.refunded", charge, cause)
    fraud_warnings.note_change(account, charge)
    if scenario != "succeeds":
        _finish_later(account, refund, is_success=scenario == "pending")
    return refund


def _create_from_balance(account: Account, params: Mapping[str, Any], cause: Cause) -> Json:
    """Pay a part of a customer's cash balance out to their bank account."""
    for name in ("customer", "amount", "currency"):
        if name not in params:
            raise InvalidParameter(f"Missing required param: {name}.", code="parameter_missing", param=name)
    customer, amount, currency = params["customer"], params["amount"], params["currency"]
    email = account.customer(customer).get("email")
    _require_email(params.get("instructions_email") or email)
    if amount > cash_balances.available(account, customer, currency):
        raise InvalidRequest("The amount is more than what the customer's cash balance holds.", param="amount")
    no_charge = {"id": None, "currency": currency, "customer": customer, "payment_intent": None, "payment_method": None}
    refund = objects.refund(
        new_id("re_"),
        account.now,
        no_charge,
        amount=amount,
        metadata=merge_metadata({}, params.get("metadata", {})),
        status="pending",
        destination_details={KINDS[currency]: {}, "type": KINDS[currency]},
    )
    account.refunds[refund["id"]] = refund
    cash_balances.refund(account, customer, amount, currency, cause)
    account.emit("refund.created", refund, cause)
    _finish_later(account, refund, is_success=True)
    return refund


def retrieve(account: Account, id: str) -> Json:
    """Return a refund; raise InvalidRequest for an unknown id."""
    if id not in account.refunds:
        raise missing("refund", id, status=404)
    return account.refunds[id]


def update(account: Account, id: str, params: Mapping[str, Any], cause: Cause) -> Json:
    """Update the metadata of a refund; Stripe allows no other change."""
    refund = retrieve(account, id)
    previous = {"metadata": refund["metadata"]}
    refund["metadata"] = merge_metadata(refund["metadata"], params.get("metadata", {}))
    account.emit("refund.updated", refund, cause, previous=previous)
    return refund


def finish(account: Account, refund: Json, *, is_success: bool) -> None:
    """Finish a pending refund, or fail one that has succeeded."""
    previous = {"status": refund["status"]}
    refund.pop("pending_reason", None)
    if is_success:
        refund["status"] = "succeeded"
        account.emit("refund.updated", refund, NO_REQUEST, previous=previous)
        return
    refund.update(
        status="failed", failure_reason="expired_or_canceled_card", failure_balance_transaction=new_id("txn_")
    )
    if refund["payment_intent"] is None:
        cash_balances.return_refund(account, refund["customer"], refund["amount"], refund["currency"], NO_REQUEST)
        account.emit("refund.failed", refund, NO_REQUEST, previous=previous)
        return
    intent = account.intents[refund["payment_intent"]]
    _add_refunded(account.charges[refund["charge"]], -refund["amount"])
    account.record("refund_failed", intent, refund["amount"], NO_REQUEST, refund=refund)
    account.emit("refund.failed", refund, NO_REQUEST, previous=previous)


def _refunded_intent(account: Account, params: Mapping[str, Any]) -> Intent:
    if "payment_intent" in params:
        intent = account.intent(params["payment_intent"], param="payment_intent", status=400)
    elif "charge" in params:
        if params["charge"] not in account.charges:
            raise missing("charge", params["charge"], param="charge")
        intent = account.intents[account.charges[params["charge"]]["payment_intent"]]
    else:
        raise InvalidParameter(
            "One of the following params should be provided for this request: payment_intent or charge.",
            code="parameter_missing",
        )
    if not intent.charges or intent.charge["status"] != "succeeded":
        raise InvalidRequest(f"This PaymentIntent ({intent.body['id']}) does not have a successful charge to refund.")
    return intent


def _refundable_amount(charge: Json, amount: int | None, *, is_refundable: bool) -> int:
    if not charge["captured"]:
        raise InvalidRequest(f"Charge {charge['id']} has not been captured; cancel its PaymentIntent instead.")
    remaining: int = charge["amount_captured"] - charge["amount_refunded"]
    if charge["disputed"] and not is_refundable:
        raise InvalidRequest(
            f"Charge {charge['id']} has been charged back; cannot issue a refund.", code="charge_disputed"
        )
    if remaining == 0:
        raise InvalidRequest(f"Charge {charge['id']} has already been refunded.", code="charge_already_refunded")
    if amount is not None and amount > remaining:
        raise InvalidRequest(
            f"Refund amount ({amount}) is greater than unrefunded amount on charge ({remaining})", param="amount"
        )
    if amount is not None:
        check_step(amount, charge["currency"], "amount")
    return remaining if amount is None else amount


def _refund_scenario(account: Account, charge: Json, params: Mapping[str, Any]) -> RefundScenario:
    if charge["payment_method_details"]["type"] != "customer_balance":
        return account.methods[charge["payment_method"]].behaviour.refund
    # The refund of a bank transfer goes to the customer's bank account, for which Stripe asks by e-mail
    # (https://docs.stripe.com/payments/customer-balance/refunding).
    _require_email(params.get("instructions_email") or account.customers[charge["customer"]].get("email"))
    return "pending"


def _require_email(email: str | None) -> None:
    if not email:
        raise InvalidRequest(
            "The customer has no email address, which is needed to refund a bank transfer.", param="instructions_email"
        )


def _add_refunded(charge: Json, amount: int) -> None:
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


def _finish_later(account: Account, refund: Json, *, is_success: bool) -> None:
    override = account.sandbox.settings.async_settle_seconds
    seconds = REFUND_DURATION.total_seconds() if override is None else override
    expected = refund["status"]

    def finish_if_pending() -> None:
        # The control API may have finished the refund before.
        if refund["status"] == expected:
            finish(account, refund, is_success=is_success)

    account.sandbox.scheduler.run_at(account.sandbox.clock.now() + seconds, finish_if_pending)
