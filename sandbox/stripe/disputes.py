"""Disputes: opened by a cardholder or a bank, contested with evidence, won or lost.

https://docs.stripe.com/api/disputes and https://docs.stripe.com/testing#disputes. An inquiry withdraws no money. A
returned debit is a dispute that is lost from the start (https://docs.stripe.com/payments/sepa-debit). The ledger counts
charges and refunds and does not record disputed money.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from sandbox.stripe import fraud_warnings
from sandbox.stripe.account import Account, Intent
from sandbox.stripe.errors import InvalidRequest, Json, missing
from sandbox.stripe.events import NO_REQUEST, Cause
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

# https://docs.stripe.com/api/disputes/object
REASONS = """
    bank_cannot_process check_returned credit_not_processed customer_initiated debit_not_authorized duplicate fraudulent
    general incorrect_account_details insufficient_funds noncompliant product_not_received product_unacceptable
    subscription_canceled unrecognized
""".split()
# The networks allow one to three weeks; `due_by` in the evidence details is the end.
RESPOND_WITHIN = timedelta(days=9)
DEBITS = ("sepa_debit", "us_bank_account")
# With one of these texts as `uncategorized_text` a test dispute ends immediately.
VERDICTS = {"winning_evidence": "won", "losing_evidence": "lost"}
OPEN = ("needs_response", "under_review", "warning_needs_response", "warning_under_review")


def open_dispute(account: Account, intent: Intent, reason: str, *, is_inquiry: bool = False) -> Json:
    """Dispute the charge of an intent in full; the dispute of a bank debit is lost immediately."""
    charge = intent.charge
    if charge["status"] != "succeeded" or not charge["captured"] or charge["disputed"]:
        raise InvalidRequest(f"Charge {charge['id']} cannot be disputed.")
    is_debit = charge["payment_method_details"]["type"] in DEBITS
    status = "lost" if is_debit else "warning_needs_response" if is_inquiry else "needs_response"
    dispute = _new_dispute(account, charge, reason, status)
    account.disputes[dispute["id"]] = dispute
    intent.disputes.append(dispute)
    charge["disputed"] = True
    account.emit("charge.dispute.created", dispute, NO_REQUEST)
    fraud_warnings.note_change(account, charge)
    if not is_inquiry:
        _move(account, dispute, -dispute["amount"], "funds_withdrawn", NO_REQUEST)
    if is_debit:
        account.emit("charge.dispute.closed", dispute, NO_REQUEST)
    return dispute


def retrieve(account: Account, id: str) -> Json:
    """Return a dispute; raise InvalidRequest for an unknown id."""
    if id not in account.disputes:
        raise missing("dispute", id, status=404)
    return account.disputes[id]


def update(account: Account, id: str, params: Mapping[str, Any], cause: Cause) -> Json:
    """Add evidence; after its submission the network reviews the dispute."""
    dispute = _open(account, id)
    evidence = params.get("evidence", {})
    dispute["metadata"] = merge_metadata(dispute["metadata"], params.get("metadata", {}))
    dispute["evidence"] |= evidence
    details = dispute["evidence_details"]
    details["has_evidence"] = any(dispute["evidence"][name] for name in EVIDENCE)
    if evidence and params.get("submit", True):
        details["submission_count"] += 1
        dispute["status"] = dispute["status"].replace("needs_response", "under_review")
    account.emit("charge.dispute.updated", dispute, cause)
    verdict = VERDICTS.get(dispute["evidence"]["uncategorized_text"] or "")
    return end(account, id, is_won=verdict == "won", cause=cause) if verdict else dispute


def end(account: Account, id: str, *, is_won: bool, cause: Cause = NO_REQUEST) -> Json:
    """Close a dispute: a won one returns the money, and a lost inquiry withdraws it."""
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
            "fee": 0,
            "fee_details": [],
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
    public = {"brand": brand, "case_type": case_type, "network": brand, "network_reason_code": "10.4"}
    return {"type": type, type: public}
