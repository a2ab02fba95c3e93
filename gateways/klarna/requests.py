"""What Klarna is asked for: payment sessions, hosted pages, orders of a customer token. Pure.

Sources: Klarna's Payments API v1, Hosted Payment Page API 1.1 and Customer Token API v1, read 2026-11-23."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from gateways.base import AttemptRequest

# The language that a country's customers are shown first (docs.klarna.com, purchase countries, currencies, locales);
# everywhere else English, which Klarna offers in all of its countries.
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
# Our name of an address line, and Klarna's.
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
    """Return the customer's country in capitals; None when the order does not bring a code of two letters."""
    country = (attempt.payer.get("billing_address") or {}).get("country")
    if not isinstance(country, str) or not _COUNTRY.fullmatch(country):
        return None
    return country.upper()


def locale_of(country: str) -> str:
    """Return the language and country in which a customer is addressed.

    >>> locale_of("SE"), locale_of("US")
    ('sv-SE', 'en-US')
    """
    return f"{_LANGUAGES.get(country, 'en')}-{country}"


def payment_session(attempt: AttemptRequest, country: str, return_url: str, callback_url: str | None) -> dict[str, Any]:
    """Return the session that a hosted page is made for."""
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
    """Return the page. Klarna places the order as soon as the customer agrees: so that it can always be looked up
    by the page, which with another mode would end with a token that only the answer carries."""
    urls = dict.fromkeys(("success", "cancel", "back", "failure", "error"), return_url)
    if callback_url is not None:
        urls["status_update"] = callback_url
    return {
        "payment_session_url": session_url,
        "merchant_urls": urls,
        "options": {"place_order_mode": "PLACE_ORDER", "purchase_type": "BUY"},
    }


def token_order(attempt: AttemptRequest, callback_url: str | None) -> dict[str, Any]:
    """Return the order of a customer who is away. It only holds the money, so that it can be remembered before."""
    urls = {} if callback_url is None else {"merchant_urls": {"notification": callback_url}}
    return _purchase(attempt) | {"auto_capture": False} | urls


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
        # For whoever looks at the order at Klarna: whether the hold is about to be captured or waits for somebody.
        "merchant_data": json.dumps({"verb": attempt.verb}),
    }


def _billing_address(payer: Mapping[str, Any], country: str) -> dict[str, str]:
    given = payer.get("billing_address") or {}
    address = {theirs: given[ours] for ours, theirs in _ADDRESS.items() if given.get(ours)}
    email = {"email": payer["email"]} if payer.get("email") else {}
    return address | email | {"country": country}
