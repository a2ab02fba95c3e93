"""Owns decimal amounts and made-up exchange rates: exact, rounded only where a coin or a currency ends."""

from __future__ import annotations

import re
from decimal import ROUND_HALF_UP, Decimal

# US dollars for one of each.
DOLLARS = {
    "USD": Decimal(1),
    "USDC": Decimal(1),
    "USDT": Decimal(1),
    "EUR": Decimal("1.15"),
    "GBP": Decimal("1.30"),
    "SGD": Decimal("0.77"),
    "JPY": Decimal("0.0065"),
    "BTC": Decimal(90000),
    "ETH": Decimal(3000),
}
# Decimals of a currency, where they are not two.
_DECIMALS = {
    "BTC": 8,
    "ETH": 9,
    "USDT": 6,
    **dict.fromkeys("BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX VND VUV XAF XOF XPF".split(), 0),
    **dict.fromkeys("BHD IQD JOD KWD LYD OMR TND".split(), 3),
}
_PLAIN = re.compile(r"\d{1,12}(\.\d{1,8})?", re.ASCII)


def read(text: object) -> Decimal | None:
    """Return a positive decimal that was written plainly, None for anything else.

    >>> read("12.30"), read("0"), read("-1"), read("1e3"), read(12)
    (Decimal('12.30'), None, None, None, None)
    """
    if not isinstance(text, str) or not _PLAIN.fullmatch(text):
        return None
    return Decimal(text) or None


def decimals(currency: str) -> int:
    """Return how many decimals the currency is written with."""
    return _DECIMALS.get(currency, 2)


def write(amount: Decimal, currency: str) -> str:
    """Write an amount with the decimals of its currency.

    >>> write(Decimal("8.7"), "USD"), write(Decimal("1000"), "JPY"), write(Decimal(1) / 3, "BTC")
    ('8.70', '1000', '0.33333333')
    """
    return str(amount.quantize(Decimal(1).scaleb(-decimals(currency)), ROUND_HALF_UP))


def minor_units(amount: Decimal, currency: str) -> int:
    """Return an amount in the smallest unit of its currency, as the books have it.

    >>> minor_units(Decimal("8.70"), "USD"), minor_units(Decimal("1000"), "JPY")
    (870, 1000)
    """
    return int(amount.scaleb(decimals(currency)).to_integral_value(ROUND_HALF_UP))


def convert(amount: Decimal, currency: str, into: str) -> Decimal:
    """Return the amount in another currency, unrounded; one that no rate is known for counts as a dollar."""
    return amount * DOLLARS.get(currency, Decimal(1)) / DOLLARS.get(into, Decimal(1))
