"""Owns disputes: opened by a cardholder or a bank, answered with evidence, won or lost.

https://docs.stripe.com/api/disputes and https://docs.stripe.com/testing#disputes. An inquiry takes no money. A debit
that comes back is a dispute that is lost from the start (https://docs.stripe.com/payments/sepa-debit). The ledger
counts what was charged and refunded: disputed money is not written there.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from sandbox.stripe.account import Account, Intent
from sandbox.stripe.errors import InvalidRequest, Json, missing
from sandbox.stripe.events import BY_ITSELF, Cause
from sandbox.stripe.ids import new_id
from sandbox.stripe.listing import expansion
from sandbox.stripe.params import Schema, boolean, mapping, merge_metadata, metadata, unsettable_text

EVIDENCE = """
    access_activity_log billing_address cancellation_policy cancellation_policy_disclosure cancellation_rebuttal
    customer_communication customer_email_address customer_name customer_purchase_ip customer_signature
    duplicate_charge_documentation duplicate_charge_explanation duplicate_charge_id product_description receipt
    refund_policy refund_policy_disclosure refund_refusal_explanation service_date service_documentation
    shipping_address shipping_carrier shipping_date shipping_documentation shipping_tracking_number
    uncategorized_file uncategorized_text
""".split()
UPDATE_FIELDS: Schema = {
    "evidence": mapping(dict.fromkeys(EVIDENCE, unsettable_text)),
    "expand": expansion,
    "metadata": metadata,
    "submit": boolean,
}

# Networks give about a week to three; Stripe shows the day.
RESPOND_WITHIN = timedelta(days=9)
DEBITS = ("sepa_debit", "us_bank_account")
# This text as `uncategorized_text` ends a test dispute at once.
VERDICTS = {"winning_evidence": "won", "losing_evidence": "lost"}
OPEN = ("needs_response", "under_review", "warning_needs_response", "warning_under_review")


def open_dispute(account: Account, intent: Intent, reason: str, *, is_inquiry: bool = False) -> Json:
    """Dispute the charge of an intent in full; that of a bank debit is lost at once."""
    charge = intent.charge
    if charge["status"] != "succeeded" or not charge["captured"] or charge["disputed"]:
        raise InvalidRequest(f"Charge {charge['id']} cannot be disputed.")
    is_debit = charge["payment_method_details"]["type"] in DEBITS
    status = "lost" if is_debit else "warning_needs_response" if is_inquiry else "needs_response"
    dispute = _new_dispute(account, charge, reason, status)
    account.disputes[dispute["id"]] = dispute
    intent.disputes.append(dispute)
    charge["disputed"] = True
    account.emit("charge.dispute.created", dispute, BY_ITSELF)
    if not is_inquiry:
        _move(account, dispute, -dispute["amount"], "funds_withdrawn", BY_ITSELF)
    if is_debit:
        account.emit("charge.dispute.closed", dispute, BY_ITSELF)
    return dispute


def retrieve(account: Account, id: str) -> Json:
    """Return a dispute or refuse."""
    if id not in account.disputes:
        raise missing("dispute", id, status=404)
    return account.disputes[id]


def update(account: Account, id: str, given: Mapping[str, Any], cause: Cause) -> Json:
    """Take in evidence; once it is submitted the network reviews it."""
    dispute = _open(account, id)
    evidence = given.get("evidence", {})
    dispute["metadata"] = merge_metadata(dispute["metadata"], given.get("metadata", {}))
    dispute["evidence"] |= evidence
    details = dispute["evidence_details"]
    details["has_evidence"] = any(dispute["evidence"][name] for name in EVIDENCE)
    if evidence and given.get("submit", True):
        details["submission_count"] += 1
        dispute["status"] = dispute["status"].replace("needs_response", "under_review")
    account.emit("charge.dispute.updated", dispute, cause)
    verdict = VERDICTS.get(dispute["evidence"]["uncategorized_text"] or "")
    return end(account, id, is_won=verdict == "won", cause=cause) if verdict else dispute


def end(account: Account, id: str, *, is_won: bool, cause: Cause = BY_ITSELF) -> Json:
    """Close a dispute; what is won comes back, and an inquiry that is won just ends."""
    dispute = _open(account, id)
    is_inquiry = dispute["status"].startswith("warning_")
    dispute["status"] = "lost" if not is_won else "warning_closed" if is_inquiry else "won"
    if is_won and not is_inquiry:
        _move(account, dispute, dispute["amount"], "funds_reinstated", cause)
    if is_inquiry and not is_won:
        _move(account, dispute, -dispute["amount"], "funds_withdrawn", cause)
    account.emit("charge.dispute.closed", dispute, cause)
    return dispute


def _open(account: Account, id: str) -> Json:
    dispute = retrieve(account, id)
    if dispute["status"] not in OPEN:
        raise InvalidRequest("This dispute is already closed.")
    return dispute


def _move(account: Account, dispute: Json, amount: int, event: str, cause: Cause) -> None:
    dispute["balance_transactions"].append(
        {
            "id": new_id("txn_"),
            "object": "balance_transaction",
            "amount": amount,
            "created": account.now,
            "currency": dispute["currency"],
            "net": amount,
            "source": dispute["id"],
            "type": "adjustment",
        }
    )
    dispute["is_charge_refundable"] = False
    account.emit(f"charge.dispute.{event}", dispute, cause)


def _new_dispute(account: Account, charge: Json, reason: str, status: str) -> Json:
    is_inquiry = status.startswith("warning_")
    due_at = account.sandbox.clock.now() + RESPOND_WITHIN.total_seconds()
    return {
        "id": new_id("dp_"),
        "object": "dispute",
        "amount": charge["amount_captured"],
        "balance_transactions": [],
        "charge": charge["id"],
        "created": account.now,
        "currency": charge["currency"],
        "enhanced_eligibility_types": [],
        "evidence": dict.fromkeys(EVIDENCE) | {"enhanced_evidence": {}},
        "evidence_details": {
            "due_by": 0 if status == "lost" else int(due_at),
            "enhanced_eligibility": {},
            "has_evidence": False,
            "past_due": False,
            "submission_count": 0,
        },
        "is_charge_refundable": is_inquiry,
        "livemode": False,
        "metadata": {},
        "payment_intent": charge["payment_intent"],
        "payment_method_details": _method_details(charge["payment_method_details"], is_inquiry),
        "reason": reason,
        "status": status,
    }


def _method_details(details: Json, is_inquiry: bool) -> Json:
    type = details["type"]
    if type != "card":
        return {"type": type, type: {}}
    brand = details["card"]["brand"]
    case_type = "inquiry" if is_inquiry else "chargeback"
    shown = {"brand": brand, "case_type": case_type, "network": brand, "network_reason_code": "10.4"}
    return {"type": type, type: shown}
