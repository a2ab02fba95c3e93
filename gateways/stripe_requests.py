"""What Stripe is asked: the parameters of its calls and their idempotency keys. It sends nothing."""

from __future__ import annotations

from typing import Any

from domain.methods import PaymentMethod
from domain.payment import Verb
from gateways.base import Order
from gateways.stripe_money import to_stripe

_METHOD_TYPES = {
    PaymentMethod.SEPA_DEBIT: "sepa_debit",
    PaymentMethod.ACH_DEBIT: "us_bank_account",
}


def base_params(order: Order) -> dict[str, Any]:
    """Return what every intent is created with."""
    params: dict[str, Any] = {
        "amount": to_stripe(order.money),
        "currency": order.money.currency.lower(),
        "metadata": metadata(order),
    }
    if order.customer_token:
        params["customer"] = order.customer_token
    return params


def create_params(order: Order) -> dict[str, Any]:
    """Return what the intent of an order is created with."""
    return base_params(order) | {
        "payment_method": order.method_token,
        "allowed_payment_method_types": [_METHOD_TYPES.get(order.method, "card")],
        "capture_method": "manual" if order.verb is Verb.AUTHORIZE else "automatic",
    }


def confirm_params(order: Order) -> Any:
    """Return what its confirm adds: how the customer takes part, and his consent to a debit."""
    params: dict[str, Any] = {}
    if order.is_off_session:
        params["off_session"] = True
    elif order.return_url:
        params["return_url"] = order.return_url
    if order.method in _METHOD_TYPES:
        # The application has shown the mandate text and taken the customer's consent.
        params["mandate_data"] = {"customer_acceptance": {"type": "offline"}}
    elif order.wants_authentication:
        params["payment_method_options"] = {"card": {"request_three_d_secure": "any"}}
    if order.verb is Verb.AUTHORIZE:
        params["expand"] = ["latest_charge"]
    return params


def metadata(order: Order) -> dict[str, str]:
    """Return how the provider's objects name ours."""
    return {"payment_id": order.payment_id, "attempt_id": order.attempt_id}


def key(order: Order, call: str) -> Any:
    """Return the options of a call that must happen once."""
    # Never another key for the same call: while the first is still running at Stripe, the second is refused.
    return {"idempotency_key": f"{order.attempt_id}-{call}"}


def charge_reference(order: Order) -> str:
    """Return the intent that holds the money of an operation."""
    if order.charge_reference is None:
        raise AssertionError(f"bug: {order.verb} of a payment that never reached Stripe")
    return order.charge_reference
