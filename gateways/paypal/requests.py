"""Builds what is sent to PayPal: orders, payments of them, captures and refunds, with amounts as PayPal writes them.

Source: PayPal's OpenAPI of Orders v2 and Payments v2, read 2026-11-23."""

from __future__ import annotations

from typing import Any

from domain.money import Money, exponent
from domain.payment import Verb
from gateways.base import AttemptRequest

# developer.paypal.com/reference/currency-codes, read 2026-11-23: PayPal takes no decimals of these.
_WHOLE = frozenset({"HUF", "JPY", "TWD"})


class DecimalsNotSupported(Exception):
    """An amount with decimals in a currency of which PayPal takes none."""


def to_paypal(money: Money) -> dict[str, str]:
    """Return an amount as PayPal takes it. Raises DecimalsNotSupported.

    >>> to_paypal(Money(1050, "EUR"))["value"], to_paypal(Money(200_000, "HUF"))["value"]
    ('10.50', '2000')
    """
    if money.currency not in _WHOLE:
        return {"currency_code": money.currency, "value": str(money)}
    whole, decimals = divmod(money.minor, 10 ** exponent(money.currency))
    if decimals:
        raise DecimalsNotSupported(money.currency)
    return {"currency_code": money.currency, "value": str(whole)}


def order_request(attempt: AttemptRequest, api_url: str) -> dict[str, Any]:
    """Return the request that creates an order. Raises DecimalsNotSupported."""
    request: dict[str, Any] = {
        "intent": "AUTHORIZE" if attempt.verb is Verb.AUTHORIZE else "CAPTURE",
        "purchase_units": [
            {
                "amount": to_paypal(attempt.money),
                "custom_id": attempt.payment_id,
                # PayPal refuses a second payment with the same invoice id, also after it has dropped the request id.
                "invoice_id": attempt.attempt_id,
            }
        ],
    }
    if attempt.method_token is None:
        address = attempt.return_address(api_url)
        experience = {
            "return_url": address,
            "cancel_url": f"{address}?canceled=1",
            "user_action": "PAY_NOW",
            "shipping_preference": "NO_SHIPPING",
        }
        request["payment_source"] = {"paypal": {"experience_context": experience}}
    return request


def pay_request(attempt: AttemptRequest) -> dict[str, Any]:
    """Return the request that captures or authorizes an order: empty, or with the buyer's saved account.

    The account is named only here: with it in the order, PayPal would move the money before the id is stored."""
    if attempt.method_token is None:
        return {}
    initiator = "MERCHANT" if attempt.is_off_session else "CUSTOMER"
    stored = {"payment_initiator": initiator, "usage": "SUBSEQUENT"}
    return {"payment_source": {"paypal": {"vault_id": attempt.method_token, "stored_credential": stored}}}


def capture_request(attempt: AttemptRequest) -> dict[str, Any]:
    """Return the request of the only capture of an authorization: PayPal releases what it leaves."""
    return {"amount": to_paypal(attempt.money), "invoice_id": attempt.attempt_id, "final_capture": True}


def refund_request(attempt: AttemptRequest) -> dict[str, Any]:
    """Return the request of a refund. Our attempt is in both fields: this tells our refunds from the dashboard's."""
    return {"amount": to_paypal(attempt.money), "custom_id": attempt.attempt_id, "invoice_id": attempt.attempt_id}
