"""What Stripe is asked: the parameters of its calls and their idempotency keys. It sends nothing."""

from __future__ import annotations

from typing import Any

from domain.payment import Verb
from domain.payment_methods import PaymentMethod
from gateways.base import Order
from gateways.stripe.money import to_stripe
from gateways.stripe.payer import billing_details, shipping

# Debits collect with a mandate; redirects send the customer to another site; transfers wait for his bank to send.
_DEBITS = {PaymentMethod.SEPA_DEBIT: "sepa_debit", PaymentMethod.ACH_DEBIT: "us_bank_account"}
_REDIRECTS = {PaymentMethod.KLARNA: "klarna", PaymentMethod.AFTERPAY: "afterpay_clearpay"}
_TRANSFERS = dict.fromkeys((PaymentMethod.WIRE_TRANSFER, PaymentMethod.BANK_TRANSFER), "customer_balance")
# Everything else is a card, wallets included: those hand over a card's token.
_METHOD_TYPES = _DEBITS | _REDIRECTS | _TRANSFERS

# docs.stripe.com/payments/bank-transfers: one kind a currency, and for euros the countries of the account number.
_TRANSFER_KINDS = {
    "EUR": "eu_bank_transfer",
    "GBP": "gb_bank_transfer",
    "JPY": "jp_bank_transfer",
    "MXN": "mx_bank_transfer",
    "USD": "us_bank_transfer",
}
_EURO_COUNTRIES = ("DE", "FR", "IE", "NL")


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


def fault_of(order: Order) -> str | None:
    """Return why Stripe cannot take the order at all, before anything is created there; None if it can."""
    if order.is_off_session and (order.method in _REDIRECTS or order.method in _TRANSFERS):
        return "not_supported"
    if order.method in _REDIRECTS and not order.return_url:
        return "return_url_missing"
    if order.method in _TRANSFERS:
        is_possible = order.money.currency in _TRANSFER_KINDS and order.verb is not Verb.AUTHORIZE
        return None if is_possible else "not_supported"
    return None


def needs_new_customer(order: Order) -> bool:
    """Whether the payment needs a Customer whom Stripe does not know yet: transfers are kept in his name."""
    return order.method in _TRANSFERS and order.customer_token is None


def create_params(order: Order) -> dict[str, Any]:
    """Return what the intent of an order is created with."""
    return base_params(order) | {
        **_instrument(order),
        "allowed_payment_method_types": [_METHOD_TYPES.get(order.method, "card")],
        "capture_method": "manual" if order.verb is Verb.AUTHORIZE else "automatic",
    }


def _instrument(order: Order) -> dict[str, Any]:
    if order.method in _TRANSFERS:
        options = {"funding_type": "bank_transfer", "bank_transfer": _bank_transfer(order)}
        type = _TRANSFERS[order.method]
        return {"payment_method_data": {"type": type}, "payment_method_options": {type: options}}
    if order.method in _REDIRECTS:
        data = {"type": _REDIRECTS[order.method], "billing_details": billing_details(order.payer)}
        # Afterpay refuses orders without a shipping address.
        goods = {"shipping": shipping(order.payer)} if order.method is PaymentMethod.AFTERPAY else {}
        return {"payment_method_data": data, **goods}
    return {"payment_method": order.method_token}


def _bank_transfer(order: Order) -> dict[str, Any]:
    kind = _TRANSFER_KINDS[order.money.currency]
    if kind != "eu_bank_transfer":
        return {"type": kind}
    home = billing_details(order.payer).get("address", {}).get("country")
    return {"type": kind, kind: {"country": home if home in _EURO_COUNTRIES else _EURO_COUNTRIES[0]}}


def confirm_params(order: Order) -> Any:
    """Return what its confirm adds: how the customer takes part, and his consent to a debit."""
    params: dict[str, Any] = {}
    if order.is_off_session:
        params["off_session"] = True
    elif order.return_url:
        params["return_url"] = order.return_url
    if order.method in _DEBITS:
        # The application has shown the mandate text and taken the customer's consent.
        params["mandate_data"] = {"customer_acceptance": {"type": "offline"}}
    elif order.wants_authentication and order.method not in _METHOD_TYPES:
        params["payment_method_options"] = {"card": {"request_three_d_secure": "any"}}
    if order.verb is Verb.AUTHORIZE:
        params["expand"] = ["latest_charge"]
    return params


def metadata(order: Order) -> dict[str, str]:
    """Return how the provider's objects name ours."""
    return {"payment_id": order.payment_id, "attempt_id": order.attempt_id}


def create_key(order: Order, call: str = "create") -> Any:
    """Return the options of a call that moves nothing.

    A stored 500 is replayed for a day. An unconfirmed intent moves nothing, so a second one does no harm."""
    return {"idempotency_key": f"{order.attempt_id}-{call}-{order.retries}"}


def key(order: Order, call: str) -> Any:
    """Return the options of a call that must happen once."""
    # Never another key for the same call: while the first is still running at Stripe, the second is refused.
    return {"idempotency_key": f"{order.attempt_id}-{call}"}
