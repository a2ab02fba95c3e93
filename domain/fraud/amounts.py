"""Amounts of all currencies made comparable, roughly: enough to ask whether one is large, never to convert money."""

from __future__ import annotations

from domain.money import Money, decimals

# Units of a currency that are about one US dollar, by order of magnitude (central banks' reference rates,
# November 2026).
_UNITS_PER_DOLLAR = {
    "USD": 1, "EUR": 1, "GBP": 1, "CHF": 1, "CAD": 1, "AUD": 2, "NZD": 2, "SGD": 1, "KWD": 1, "BHD": 1,
    "OMR": 1, "JOD": 1, "TND": 3, "PLN": 4, "BRL": 5, "ILS": 4, "AED": 4, "SAR": 4, "DKK": 7, "CNY": 7,
    "HKD": 8, "SEK": 10, "NOK": 10, "MXN": 20, "CZK": 22, "ZAR": 18, "TRY": 40, "TWD": 30, "THB": 33,
    "PHP": 57, "INR": 85, "ISK": 130, "JPY": 150, "HUF": 370, "KRW": 1400, "CLP": 950, "IDR": 16000,
    "VND": 25000,
}  # fmt: skip
CURRENCIES_WITH_RATE = frozenset(_UNITS_PER_DOLLAR)


def in_base(money: Money, base: str) -> int | None:
    """Return an amount in hundredths of the base currency; None for a currency without a rate.

    >>> in_base(Money(15_000, "JPY"), "USD"), in_base(Money(1234, "EUR"), "EUR"), in_base(Money(1, "XOF"), "EUR")
    (10000, 1234, None)
    """
    units, of_base = _UNITS_PER_DOLLAR.get(money.currency), _UNITS_PER_DOLLAR.get(base)
    if units is None or of_base is None:
        return None
    of_currency: int = 10 ** decimals(money.currency) * units
    return money.minor * 100 * of_base // of_currency
