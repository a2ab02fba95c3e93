"""The bodies of the requests to Klarna: sessions, hosted pages, token orders, captures, refunds. Pure.

Sources: Klarna's Payments API v1, Hosted Payment Page API 1.1, Customer Token API v1 and Order Management API v1, read
2026-11-23."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from gateways.base import AttemptRequest

# The first language of each country (docs.klarna.com, purchase countries, currencies, locales, read 2026-11-23).
# Other countries get English, which Klarna offers everywhere.
_LANGUAGES = {
    "AT": "de",
    "BE": "nl",
    "CH": "de",
    "CZ": "cs",
    "DE": "de",
    "DK": "da",
    "ES": "es",
    "FI": "fi",
    "FR": "fr",
    "GR": "el",
    "HU": "hu",
    "IT": "it",
    "MX": "es",
    "NL": "nl",
    "NO": "nb",
    "PL": "pl",
    "PT": "pt",
    "RO": "ro",
    "SE": "sv",
    "SK": "sk",
}
_COUNTRY = re.compile("[A-Za-z]{2}", re.ASCII)
# The payer's address fields, and Klarna's names for them.
_ADDRESS = {
    "given_name": "given_name",
    "family_name": "family_name",
    "line1": "street_address",
    "line2": "street_address2",
    "city": "city",
    "postal_code": "postal_code",
    "state": "region",
    "region": "region",
    "phone": "phone",
}


def country_of(attempt: AttemptRequest) -> str | None:
    """Return the customer's country in capitals; None if the billing address has no code of two letters."""
    country = (attempt.payer.get("billing_address") or {}).get("country")
    if not isinstance(country, str) or not _COUNTRY.fullmatch(country):
        return None
    return country.upper()


def locale_of(country: str) -> str:
    """Return the locale in which Klarna addresses a customer.

    >>> locale_of("SE"), locale_of("US")
    ('sv-SE', 'en-US')
    """
    return f"{_LANGUAGES.get(country, 'en')}-{country}"


def payment_session(attempt: AttemptRequest, country: str, return_url: str, callback_url: str | None) -> dict[str, Any]:
    """Return the body of a payment session, which the hosted page needs."""
    urls = {"confirmation": return_url}
    if callback_url is not None:
        urls["notification"] = callback_url
    return _purchase(attempt) | {
        "intent": "buy",
        "purchase_country": country,
        "locale": locale_of(country),
        "billing_address": _billing_address(attempt.payer, country),
        "merchant_urls": urls,
    }


def hosted_page(session_url: str, return_url: str, callback_url: str | None) -> dict[str, Any]:
    """Return the body of a hosted page, on which Klarna places the order as soon as the customer approves.

    The page then shows the order's id, so that a lost response can be looked up. In the other modes the page ends with
    an authorization token, and an order that is placed with it cannot be found if that response is lost."""
    urls = dict.fromkeys(("success", "cancel", "back", "failure", "error"), return_url)
    if callback_url is not None:
        urls["status_update"] = callback_url
    return {
        "payment_session_url": session_url,
        "merchant_urls": urls,
        "options": {"place_order_mode": "PLACE_ORDER", "purchase_type": "BUY"},
    }


def token_order(attempt: AttemptRequest, callback_url: str | None) -> dict[str, Any]:
    """Return the body of an off-session order. It only holds the money: the order's id is saved before the capture."""
    urls = {} if callback_url is None else {"merchant_urls": {"notification": callback_url}}
    return _purchase(attempt) | {"auto_capture": False} | urls


def capture(attempt: AttemptRequest) -> dict[str, Any]:
    """Return the body of a capture. Its reference shows later that this attempt made it."""
    return {"captured_amount": attempt.money.minor, "reference": attempt.attempt_id}


def refund(attempt: AttemptRequest) -> dict[str, Any]:
    """Return the body of a refund. Its reference shows later that this attempt made it."""
    return {"refunded_amount": attempt.money.minor, "reference": attempt.attempt_id}


def _purchase(attempt: AttemptRequest) -> dict[str, Any]:
    minor = attempt.money.minor
    line = {
        "reference": attempt.payment_id,
        "name": attempt.payment_id,
        "quantity": 1,
        "unit_price": minor,
        "tax_rate": 0,
        "total_amount": minor,
        "total_tax_amount": 0,
    }
    return {
        "purchase_currency": attempt.money.currency,
        "order_amount": minor,
        "order_tax_amount": 0,
        "order_lines": [line],
        "merchant_reference1": attempt.payment_id,
        "merchant_reference2": attempt.attempt_id,
        # Shown with the order at Klarna: a charge is captured at once, an authorization waits for a capture.
        "merchant_data": json.dumps({"verb": attempt.verb}),
    }


def _billing_address(payer: Mapping[str, Any], country: str) -> dict[str, str]:
    given = payer.get("billing_address") or {}
    address = {klarna_name: given[name] for name, klarna_name in _ADDRESS.items() if given.get(name)}
    email = {"email": payer["email"]} if payer.get("email") else {}
    return address | email | {"country": country}
