"""Builds what is sent to PayPal: orders, payments of them, captures and refunds, with amounts as PayPal writes them.

Source: PayPal's OpenAPI of Orders v2 and Payments v2, read 2026-11-23."""

from __future__ import annotations

from datetime import UTC, datetime
from html import unescape
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from domain.money import Money, decimals
from domain.payment import Verb
from gateways.base import AttemptRequest

# developer.paypal.com/reference/currency-codes, read 2026-11-23: PayPal takes no decimals of these.
_WHOLE = frozenset({"HUF", "JPY", "TWD"})


# The document names no largest page; others read pages of a hundred (found in public code, 2026-11-28).
_EVENTS_A_PAGE = 100


class DecimalsNotSupported(Exception):
    """An amount with decimals in a currency of which PayPal takes none."""


def to_paypal(money: Money) -> dict[str, str]:
    """Return an amount as PayPal takes it. Raises DecimalsNotSupported.

    >>> to_paypal(Money(1050, "EUR"))["value"], to_paypal(Money(200_000, "HUF"))["value"]
    ('10.50', '2000')
    """
    if money.currency not in _WHOLE:
        return {"currency_code": money.currency, "value": str(money)}
    whole, fraction = divmod(money.minor, 10 ** decimals(money.currency))
    if fraction:
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


def setup_request(address: str) -> dict[str, Any]:
    """Return the request for a setup token, with which a buyer lets us charge their account while they are away.
    `address`: where the buyer comes back to.

    Several tokens for a payer: two users may share an account, and each removes their own."""
    experience = {
        "return_url": address,
        "cancel_url": f"{address}?canceled=1",
        "shipping_preference": "NO_SHIPPING",
        "vault_instruction": "ON_CREATE_PAYMENT_TOKENS",
    }
    wallet = {
        "usage_type": "MERCHANT",
        "customer_type": "CONSUMER",
        "permit_multiple_payment_tokens": True,
        "experience_context": experience,
    }
    return {"payment_source": {"paypal": wallet}}


def token_request(setup_token: str) -> dict[str, Any]:
    """Return the request for the payment token of an approved setup token."""
    return {"payment_source": {"token": {"id": setup_token, "type": "SETUP_TOKEN"}}}


def capture_request(attempt: AttemptRequest) -> dict[str, Any]:
    """Return the request of the only capture of an authorization: PayPal releases what it leaves."""
    return {"amount": to_paypal(attempt.money), "invoice_id": attempt.attempt_id, "final_capture": True}


def refund_request(attempt: AttemptRequest) -> dict[str, Any]:
    """Return the request of a refund. Our attempt is in both fields: this tells our refunds from the dashboard's."""
    return {"amount": to_paypal(attempt.money), "custom_id": attempt.attempt_id, "invoice_id": attempt.attempt_id}


def events_query(after: datetime, until: datetime) -> dict[str, str]:
    """Return the query of the first page of the events that were created within a time.

    >>> events_query(datetime(2026, 11, 28, 9, tzinfo=UTC), datetime(2026, 11, 28, 10, tzinfo=UTC))["end_time"]
    '2026-11-28T10:00:00Z'
    """
    times = {"start_time": _instant(after), "end_time": _instant(until)}
    return times | {"page_size": str(_EVENTS_A_PAGE)}


def next_query(link: str | None) -> dict[str, str] | None:
    """Return the query of the page that a link names; None without one. The link's host is not followed: our token goes
    to PayPal's only. The documented sample of it writes `&amp;` for `&`.

    >>> next_query("https://api-m.paypal.com/v1/notifications/webhooks-events/?page_size=2&amp;move_to=next")
    {'page_size': '2', 'move_to': 'next'}
    """
    return dict(parse_qsl(urlsplit(unescape(link)).query)) if link else None


def _instant(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
