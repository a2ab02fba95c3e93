"""Allow-list of the webhook fields that we store; personal data and tokens that can be charged are dropped."""

from __future__ import annotations

from typing import Any

from domain.saved_method import token_hash
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
        },
        "failed_payments_count": None,
    },
    "billing_agreement_id": None,
    "sale_id": None,
    "state": None,
    "reason_code": None,
}
# The id of a saved account can be charged, and its links repeat it: neither is stored, only a hash of the id.
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
    stored = picked(event, {"id": None, "event_type": None, "create_time": None, "resource": shape})
    return _with_hash(event, stored) if type.startswith("VAULT.") else stored


def _with_hash(event: Any, stored: Any) -> Any:
    """Add the hash by which a saved account is found."""
    resource = event.get("resource")
    token = resource.get("id") if isinstance(resource, dict) else None
    if not isinstance(token, str):
        return stored
    return stored | {"resource": stored["resource"] | {"token_hash": token_hash(token)}}
