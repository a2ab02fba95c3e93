"""Validation of a purchase: the fields that a payment session shares with an order by customer token.

Rules of the fields: Payments v1 [spec]. The currency of each country: purchase countries, currencies and locales
[docs].
"""

from __future__ import annotations

import json
import re
from typing import Any

from sandbox.klarna.errors import bad_value
from sandbox.service import Json

MOST = 100_000_000
_EURO = dict.fromkeys("AT BE DE ES FI FR GR IE IT NL PT SK".split(), "EUR")
CURRENCIES = _EURO | {
    "AU": "AUD",
    "CA": "CAD",
    "CH": "CHF",
    "CZ": "CZK",
    "DK": "DKK",
    "GB": "GBP",
    "HU": "HUF",
    "MX": "MXN",
    "NO": "NOK",
    "NZ": "NZD",
    "PL": "PLN",
    "RO": "RON",
    "SE": "SEK",
    "US": "USD",
}
_LOCALE = re.compile(r"[A-Za-z]{2}(?:-[A-Za-z]{2})*")
_TEXTS = {"merchant_reference1": 255, "merchant_reference2": 255, "merchant_data": 6000}


def check(body: Json, *, has_country: bool) -> None:
    """Raise a Refusal for an invalid purchase. `has_country`: a session must name one, an order by token does not."""
    wrong = [*_wrong_texts(body), *_wrong_amounts(body)]
    currency = body.get("purchase_currency")
    if currency not in CURRENCIES.values():
        wrong.append("Bad value: purchase_currency")
    if has_country:
        wrong.extend(_wrong_country(body, currency))
    if wrong:
        raise bad_value(*wrong)


def metadata(body: Json) -> dict[str, str]:
    """Return the merchant's own references, and the merchant data if they are a JSON object."""
    references = {"payment_id": body.get("merchant_reference1"), "attempt_id": body.get("merchant_reference2")}
    return _data(body) | {name: text for name, text in references.items() if text}


def is_amount(value: Any, *, least: int = 0) -> bool:
    """Tell whether a value is an amount in minor units."""
    # In Python a boolean is an integer too.
    return isinstance(value, int) and not isinstance(value, bool) and least <= value <= MOST


def _data(body: Json) -> dict[str, str]:
    try:
        data = json.loads(body.get("merchant_data", ""))
    except (TypeError, ValueError):
        return {}
    return {name: str(value) for name, value in data.items()} if isinstance(data, dict) else {}


def _wrong_country(body: Json, currency: Any) -> list[str]:
    country = body.get("purchase_country")
    wrong = []
    if not isinstance(country, str) or country.upper() not in CURRENCIES:
        wrong.append("Bad value: purchase_country")
    elif CURRENCIES[country.upper()] != currency:
        wrong.append("Bad value: purchase_currency does not match purchase_country")
    if "locale" in body and not _LOCALE.fullmatch(str(body["locale"])):
        wrong.append("Bad value: locale")
    return wrong


def _wrong_texts(body: Json) -> list[str]:
    texts = {name: body[name] for name in _TEXTS if name in body}
    return [
        f"Bad value: {name}" for name, text in texts.items() if not isinstance(text, str) or len(text) > _TEXTS[name]
    ]


def _wrong_amounts(body: Json) -> list[str]:
    amount, lines = body.get("order_amount"), body.get("order_lines")
    if not is_amount(amount):
        return ["Bad value: order_amount"]
    if not isinstance(lines, list) or not 1 <= len(lines) <= 1000:
        return ["Bad value: order_lines"]
    if not all(isinstance(line, dict) and _is_line(line) for line in lines):
        return ["Bad value: order_lines"]
    if sum(line["total_amount"] for line in lines) != amount:
        return ["Bad value: order_amount is not the sum of the order lines"]
    return []


def _is_line(line: Json) -> bool:
    amounts = ("quantity", "unit_price", "total_amount")
    if not all(is_amount(line.get(name)) for name in amounts) or not isinstance(line.get("name"), str):
        return False
    discount = line.get("total_discount_amount", 0)
    return bool(line["total_amount"] == line["quantity"] * line["unit_price"] - discount)
