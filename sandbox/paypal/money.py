"""PayPal's amounts: decimal strings and their validation.

https://developer.paypal.com/api/rest/reference/currency-codes: HUF, JPY and TWD take no decimals [docs].
"""

from __future__ import annotations

import re
from typing import Any

from sandbox.amounts import decimal_text, minor_units
from sandbox.paypal.errors import refused, unprocessable

CURRENCIES = frozenset(
    "AUD BRL CAD CHF CNY CZK DKK EUR GBP HKD HUF ILS JPY MXN MYR NOK NZD PHP PLN SEK SGD THB TWD USD".split()
)
WHOLE = frozenset({"HUF", "JPY", "TWD"})
# Of these, only the yen has no minor unit in ISO 4217, in whose units the ledger counts.
WITHOUT_MINOR_UNIT = frozenset({"JPY"})
VALUE = re.compile(r"-?\d{1,15}(\.\d+)?", re.ASCII)


def minor_of(amount: Any, *, whole_issue: str = "DECIMAL_PRECISION") -> int:
    """Parse an amount into minor units of ISO 4217; raise a Refusal as PayPal does.

    `whole_issue`: the issue for decimals in a currency that takes none, which differs between the APIs.
    """
    if not isinstance(amount, dict) or not isinstance(amount.get("value"), str):
        raise refused(400, "MISSING_REQUIRED_PARAMETER", "amount/value")
    currency, value = amount.get("currency_code"), amount["value"]
    if currency not in CURRENCIES:
        raise unprocessable("INVALID_CURRENCY_CODE")
    if not VALUE.fullmatch(value):
        raise refused(400, "INVALID_PARAMETER_SYNTAX", "amount/value")
    fraction = value.partition(".")[2]
    if currency in WHOLE and fraction:
        raise unprocessable(whole_issue)
    if len(fraction) > 2:
        raise unprocessable("DECIMAL_PRECISION")
    digits = 0 if currency in WITHOUT_MINOR_UNIT else 2
    minor = minor_units(value, digits)
    if minor <= 0:
        raise unprocessable("CANNOT_BE_ZERO_OR_NEGATIVE")
    return minor


def money(minor: int, currency: str) -> dict[str, str]:
    """Return an amount in PayPal's format.

    >>> money(1050, "EUR")["value"], money(500, "JPY")["value"], money(200000, "HUF")["value"]
    ('10.50', '500', '2000')
    """
    value = decimal_text(minor, 0 if currency in WITHOUT_MINOR_UNIT else 2)
    return {"currency_code": currency, "value": value.partition(".")[0] if currency in WHOLE else value}
