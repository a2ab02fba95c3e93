"""What Stripe is asked: the parameters of its calls and their idempotency keys. It sends nothing."""

from __future__ import annotations

from typing import Any

from domain.payment import Verb
from domain.payment_methods import PaymentMethod
from gateways.base import AttemptRequest
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


def base_params(attempt: AttemptRequest) -> dict[str, Any]:
    """Return what every intent is created with."""
    params: dict[str, Any] = {
        "amount": to_stripe(attempt.money),
        "currency": attempt.money.currency.lower(),
        "metadata": metadata(attempt),
    }
    if attempt.customer_token:
        params["customer"] = attempt.customer_token
    return params


def fault_of(attempt: AttemptRequest) -> str | None:
    """Return why Stripe cannot take the order at all, before anything is created there; None if it can."""
    if attempt.is_off_session and (attempt.method in _REDIRECTS or attempt.method in _TRANSFERS):
        return "not_supported"
    if attempt.method in _REDIRECTS and not attempt.return_url:
        return "return_url_missing"
    if attempt.method in _TRANSFERS:
        is_possible = attempt.money.currency in _TRANSFER_KINDS and attempt.verb is not Verb.AUTHORIZE
        return None if is_possible else "not_supported"
    return None


def needs_new_customer(attempt: AttemptRequest) -> bool:
    """Whether the payment needs a Customer whom Stripe does not know yet: transfers are kept in his name."""
    return attempt.method in _TRANSFERS and attempt.customer_token is None


def create_params(attempt: AttemptRequest) -> dict[str, Any]:
    """Return what the intent of an order is created with."""
    return base_params(attempt) | {
        **_instrument(attempt),
        "allowed_payment_method_types": [_METHOD_TYPES.get(attempt.method, "card")],
        "capture_method": "manual" if attempt.verb is Verb.AUTHORIZE else "automatic",
    }


def _instrument(attempt: AttemptRequest) -> dict[str, Any]:
    if attempt.method in _TRANSFERS:
        options = {"funding_type": "bank_transfer", "bank_transfer": _bank_transfer(attempt)}
        type = _TRANSFERS[attempt.method]
        return {"payment_method_data": {"type": type}, "payment_method_options": {type: options}}
    if attempt.method in _REDIRECTS:
        data = {"type": _REDIRECTS[attempt.method], "billing_details": billing_details(attempt.payer)}
        # Afterpay refuses orders without a shipping address.
        goods = {"shipping": shipping(attempt.payer)} if attempt.method is PaymentMethod.AFTERPAY else {}
        return {"payment_method_data": data, **goods}
    return {"payment_method": attempt.method_token}


def _bank_transfer(attempt: AttemptRequest) -> dict[str, Any]:
    kind = _TRANSFER_KINDS[attempt.money.currency]
    if kind != "eu_bank_transfer":
        return {"type": kind}
    home = billing_details(attempt.payer).get("address", {}).get("country")
    return {"type": kind, kind: {"country": home if home in _EURO_COUNTRIES else _EURO_COUNTRIES[0]}}


def confirm_params(attempt: AttemptRequest) -> Any:
    """Return what its confirm adds: how the customer takes part, and his consent to a debit."""
    params: dict[str, Any] = {}
    if attempt.is_off_session:
        params["off_session"] = True
    elif attempt.return_url:
        params["return_url"] = attempt.return_url
    if attempt.method in _DEBITS:
        # The application has shown the mandate text and taken the customer's consent.
        params["mandate_data"] = {"customer_acceptance": {"type": "offline"}}
    elif attempt.wants_authentication and attempt.method not in _METHOD_TYPES:
        params["payment_method_options"] = {"card": {"request_three_d_secure": "any"}}
    if attempt.verb is Verb.AUTHORIZE:
        params["expand"] = ["latest_charge"]
    return params


def metadata(attempt: AttemptRequest) -> dict[str, str]:
    """Return how the provider's objects name ours."""
    return {"payment_id": attempt.payment_id, "attempt_id": attempt.attempt_id}


def create_key(attempt: AttemptRequest, call: str = "create") -> Any:
    """Return the options of a call that moves nothing.

    A stored 500 is replayed for a day. An unconfirmed intent moves nothing, so a second one does no harm."""
    return {"idempotency_key": f"{attempt.attempt_id}-{call}-{attempt.retries}"}


def key(attempt: AttemptRequest, call: str) -> Any:
    """Return the options of a call that must happen once."""
    # Never another key for the same call: while the first is still running at Stripe, the second is refused.
    return {"idempotency_key": f"{attempt.attempt_id}-{call}"}
