"""The bodies of disputes. Only tests open and resolve them, and say when PayPal moves the merchant's money.

https://developer.paypal.com/docs/api/customer-disputes/v1 [docs]. Captured events show disputes with and without the
merchant's references of the payment.
"""

from __future__ import annotations

import secrets
from datetime import timedelta

from sandbox.clock import iso_seconds
from sandbox.paypal.money import money
from sandbox.paypal.objects import PAYER, Json, Order, Payment

NAMES = ("CUSTOMER.DISPUTE.CREATED", "CUSTOMER.DISPUTE.UPDATED", "CUSTOMER.DISPUTE.RESOLVED")
REASONS = (
    *("MERCHANDISE_OR_SERVICE_NOT_RECEIVED", "MERCHANDISE_OR_SERVICE_NOT_AS_DESCRIBED", "UNAUTHORISED"),
    *("CREDIT_NOT_PROCESSED", "DUPLICATE_TRANSACTION", "INCORRECT_AMOUNT", "PAYMENT_BY_OTHER_MEANS"),
    *("CANCELED_RECURRING_BILLING", "PROBLEM_WITH_REMITTANCE", "OTHER"),
)
STATUSES = ("OPEN", "WAITING_FOR_BUYER_RESPONSE", "WAITING_FOR_SELLER_RESPONSE", "UNDER_REVIEW", "OTHER")
OUTCOMES = (
    *("RESOLVED_BUYER_FAVOUR", "RESOLVED_SELLER_FAVOUR", "RESOLVED_WITH_PAYOUT"),
    *("CANCELED_BY_BUYER", "ACCEPTED", "DENIED", "NONE"),
)
DIRECTIONS = ("debit", "credit")
RESPOND_WITHIN = timedelta(days=10)


def new_dispute(order: Order, captured: Payment, reason: str, amount: int, now: float, *, is_anonymous: bool) -> Json:
    """Return a new dispute about so much of a capture; an anonymous one leaves out the merchant's references."""
    references = {
        "invoice_number": captured.references.get("invoice_id"),
        "custom": captured.references.get("custom_id"),
    }
    id = f"PP-D-{secrets.randbelow(90_000) + 10_000}"
    return {
        "dispute_id": id,
        "create_time": iso_seconds(now),
        "update_time": iso_seconds(now),
        "disputed_transactions": [
            {
                "seller_transaction_id": captured.id,
                "create_time": captured.body["create_time"],
                "transaction_status": captured.status,
                "gross_amount": captured.body["amount"],
                **({} if is_anonymous else {name: text for name, text in references.items() if text}),
                "buyer": {"email": PAYER["email_address"], "name": "John Doe"},
                "seller": {"merchant_id": "RD465XN5VS364", "name": "Test Store"},
                "items": [],
                "seller_protection_eligible": True,
            }
        ],
        "reason": reason,
        "status": "OPEN",
        "dispute_amount": money(amount, order.currency),
        "dispute_state": "REQUIRED_ACTION",
        "dispute_life_cycle_stage": "INQUIRY",
        "dispute_channel": "INTERNAL",
        "seller_response_due_date": iso_seconds(now + RESPOND_WITHIN.total_seconds()),
        "messages": [{"posted_by": "BUYER", "time_posted": iso_seconds(now), "content": "It never came."}],
        "links": [{"href": f"{order.base_url}/v1/customer/disputes/{id}", "rel": "self", "method": "GET"}],
    }


def resolve(dispute: Json, outcome: str, now: float) -> None:
    """Resolve a dispute with this outcome."""
    outcome_body: Json = {"outcome_code": outcome}
    if outcome in ("RESOLVED_BUYER_FAVOUR", "RESOLVED_WITH_PAYOUT"):
        outcome_body["amount_refunded"] = dispute["dispute_amount"]
    dispute |= {
        "status": "RESOLVED",
        "dispute_state": "RESOLVED",
        "dispute_outcome": outcome_body,
        "update_time": iso_seconds(now),
    }
    dispute.pop("seller_response_due_date", None)


def move(dispute: Json, direction: str, now: float) -> None:
    """Add the movement with which PayPal takes the disputed amount from the merchant, or gives it back."""
    dispute.setdefault("money_movements", []).append(
        {
            "affected_party": "SELLER",
            "amount": dispute["dispute_amount"],
            "initiated_time": iso_seconds(now),
            "type": direction.upper(),
            "reason": "DISPUTE_SETTLEMENT",
        }
    )


def summary(dispute: Json) -> Json:
    """Return a dispute as a list shows it [docs]."""
    names = ("dispute_id", "create_time", "update_time", "reason", "status", "dispute_state", "dispute_amount")
    return {name: dispute[name] for name in (*names, "dispute_life_cycle_stage", "dispute_channel", "links")}
