"""What is sent to Stripe: the parameters of its calls and their idempotency keys. It sends nothing."""

from __future__ import annotations

import hashlib
from typing import Any

from domain.allowed_operations import OVERPAID
from domain.payment import Verb
from domain.payment_methods import PaymentMethod
from gateways.base import AttemptRequest
from gateways.idempotency import key_suffix
from gateways.stripe.money import to_stripe
from gateways.stripe.payer import billing_details, shipping

# Debits collect with a mandate; redirects send the customer to another site; transfers wait for the customer's bank.
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


RETURN_URL_MISSING = "return_url_missing"


def fault_of(attempt: AttemptRequest, return_url: str | None) -> str | None:
    """Return why Stripe cannot take the charge at all, before anything is created there; None if it can."""
    if attempt.is_off_session and (attempt.method in _REDIRECTS or attempt.method in _TRANSFERS):
        return "not_supported"
    if attempt.method in _REDIRECTS and not return_url:
        return RETURN_URL_MISSING
    if attempt.method in _TRANSFERS:
        is_possible = attempt.money.currency in _TRANSFER_KINDS and attempt.verb is not Verb.AUTHORIZE
        return None if is_possible else "not_supported"
    return None


def is_transfer(method: PaymentMethod) -> bool:
    """Tell whether Stripe assigns the money of this method to a Customer before it is applied to an intent."""
    return method in _TRANSFERS


def default_type(attempt: AttemptRequest) -> str | None:
    """Return the type of the default method that has to be charged because the attempt names none; None otherwise."""
    if attempt.method_token is not None or attempt.method in _TRANSFERS or attempt.method in _REDIRECTS:
        return None
    return _METHOD_TYPES.get(attempt.method, "card")


def create_params(attempt: AttemptRequest) -> dict[str, Any]:
    """Return what the intent of a charge is created with."""
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
        # Afterpay refuses a purchase without a shipping address.
        goods = {"shipping": shipping(attempt.payer)} if attempt.method is PaymentMethod.AFTERPAY else {}
        return {"payment_method_data": data, **goods}
    return {"payment_method": attempt.method_token}


def _bank_transfer(attempt: AttemptRequest) -> dict[str, Any]:
    kind = _TRANSFER_KINDS[attempt.money.currency]
    if kind != "eu_bank_transfer":
        return {"type": kind}
    home = billing_details(attempt.payer).get("address", {}).get("country")
    return {"type": kind, kind: {"country": home if home in _EURO_COUNTRIES else _EURO_COUNTRIES[0]}}


# Asks for 3-D Secure wherever the card can do it.
AUTHENTICATION: dict[str, Any] = {"payment_method_options": {"card": {"request_three_d_secure": "any"}}}


def confirm_params(attempt: AttemptRequest, return_url: str | None) -> dict[str, Any]:
    """Return what the confirm adds: how the customer takes part, and their consent to a debit. The response shows
    the charge, which has the times."""
    params: dict[str, Any] = {"expand": ["latest_charge"]}
    if attempt.is_off_session:
        params["off_session"] = True
    elif return_url:
        # Without it Stripe leaves an authentication to its own library in the customer's browser.
        params["return_url"] = return_url
    if attempt.method in _DEBITS:
        # The application has shown the mandate text and taken the customer's consent.
        params["mandate_data"] = {"customer_acceptance": {"type": "offline"}}
    elif attempt.wants_authentication and attempt.method not in _METHOD_TYPES:
        params |= AUTHENTICATION
    return params


def cancel_params(attempt: AttemptRequest) -> dict[str, str]:
    """Return why an intent is canceled, in Stripe's words."""
    return {"cancellation_reason": "abandoned" if attempt.reason == "expired" else "requested_by_customer"}


def refund_params(attempt: AttemptRequest) -> dict[str, Any]:
    """Return what a refund is created with."""
    params = {
        "payment_intent": attempt.charged_reference,
        "amount": to_stripe(attempt.money),
        "metadata": metadata(attempt),
    }
    # In Stripe's words, who has paid an invoice twice has made a duplicate payment.
    reason = "duplicate" if attempt.reason == OVERPAID else attempt.reason
    return params | ({"reason": reason} if reason else {})


def metadata(attempt: AttemptRequest) -> dict[str, str]:
    """Return Celeriac's identifiers, which Stripe stores with its object."""
    return {"payment_id": attempt.payment_id, "attempt_id": attempt.attempt_id}


def creation_key(attempt: AttemptRequest) -> str:
    """Return the idempotency key of the creation of an intent, which moves no money.

    It changes with each retry: Stripe replays a stored 500 for a day, and a second unconfirmed intent does no harm. It
    changes with the customer too: Stripe keeps the refusal of one that it has lost."""
    customer = hashlib.sha256(attempt.customer_token.encode()).hexdigest()[:16] if attempt.customer_token else ""
    return f"{attempt.attempt_id}-create-{attempt.retries}{customer and '-'}{customer}"


def key(attempt: AttemptRequest, call: str) -> str:
    """Return the idempotency key of a call that must happen once.

    It stays the same until the calls under it are proven to be over: while the first is still running at Stripe, the
    second is refused."""
    return f"{attempt.attempt_id}-{call}{key_suffix(attempt, '-')}"


def refund_key(attempt: AttemptRequest) -> str:
    """Return the idempotency key of a refund, which stays the same as that of `key` does."""
    return f"{attempt.attempt_id}{key_suffix(attempt, '-')}"
