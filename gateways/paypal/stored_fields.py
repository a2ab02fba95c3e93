"""Allow-list of the webhook fields that we store; personal data and tokens that can be charged are dropped."""

from __future__ import annotations

from typing import Any

from gateways.signatures import Shape, picked

_AMOUNT = {"value": None, "currency_code": None, "total": None, "currency": None}
_RESOURCE: Shape = {
    "id": None,
    "status": None,
    # orders and payments
    "order_id": None,
    "invoice_id": None,
    "custom_id": None,
    "amount": _AMOUNT,
    "purchase_units": {"invoice_id": None},
    "supplementary_data": {"related_ids": {"order_id": None}},
    "status_details": {"reason": None},
    "links": {"rel": None, "href": None},
    # disputes
    "dispute_id": None,
    "reason": None,
    "dispute_life_cycle_stage": None,
    "dispute_outcome": {"outcome_code": None},
    "disputed_transactions": {"seller_transaction_id": None, "invoice_number": None, "custom": None},
    "seller_response_due_date": None,
    "dispute_amount": _AMOUNT,
    # subscriptions and their sales
    "billing_info": {
        "last_failed_payment": {
            "reason_code": None,
            "next_payment_retry_time": None,
            "next_payment_retry_date": None,
            "amount": _AMOUNT,
        }
    },
    "billing_agreement_id": None,
    "sale_id": None,
    "state": None,
    "reason_code": None,
}
# The id of a saved account can be charged, and its links repeat it: neither is stored.
_SAVED_ACCOUNT: Shape = {"customer": {"id": None}, "metadata": {"order_id": None}}
_SHAPES: dict[str, Shape] = {
    "CHECKOUT.": _RESOURCE,
    "PAYMENT.": _RESOURCE,
    "CUSTOMER.DISPUTE.": _RESOURCE,
    "BILLING.SUBSCRIPTION.": _RESOURCE,
    "VAULT.": _SAVED_ACCOUNT,
}


def stored_fields(event: Any) -> Any:
    """Return what may be stored of an event, of any JSON. Only ids of an event whose type is not in the table."""
    type = str(event.get("event_type")) if isinstance(event, dict) else ""
    shape = next((shape for start, shape in _SHAPES.items() if type.startswith(start)), {})
    return picked(event, {"id": None, "event_type": None, "resource": shape})
