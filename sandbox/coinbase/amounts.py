"""Decimal amounts and invented exchange rates: exact, rounded only to the decimals of the target currency."""

from __future__ import annotations

import re
from decimal import ROUND_HALF_UP, Decimal

# US dollars for one unit.
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
# The number of decimals of each currency that does not have two.
_DECIMALS = {
    "BTC": 8,
    "ETH": 9,
    "USDT": 6,
    **dict.fromkeys("BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX VND VUV XAF XOF XPF".split(), 0),
    **dict.fromkeys("BHD IQD JOD KWD LYD OMR TND".split(), 3),
}
_PLAIN = re.compile(r"\d{1,12}(\.\d{1,8})?", re.ASCII)


def parse(text: object) -> Decimal | None:
    """Return a positive decimal in plain notation, None for anything else.

    >>> parse("12.30"), parse("0"), parse("-1"), parse("1e3"), parse(12)
    (Decimal('12.30'), None, None, None, None)
    """
    if not isinstance(text, str) or not _PLAIN.fullmatch(text):
        return None
    return Decimal(text) or None


def decimals(currency: str) -> int:
    """Return the number of decimals of a currency."""
    return _DECIMALS.get(currency, 2)


def decimal_text(amount: Decimal, currency: str) -> str:
    """Return an amount as text with the decimals of its currency.

    >>> decimal_text(Decimal("8.7"), "USD"), decimal_text(Decimal("1000"), "JPY"), decimal_text(Decimal(1) / 3, "BTC")
    ('8.70', '1000', '0.33333333')
    """
    return str(amount.quantize(Decimal(1).scaleb(-decimals(currency)), ROUND_HALF_UP))


def minor_units(amount: Decimal, currency: str) -> int:
    """Return an amount in the smallest unit of its currency, for the ledger.

    >>> minor_units(Decimal("8.70"), "USD"), minor_units(Decimal("1000"), "JPY")
    (870, 1000)
    """
    return int(amount.scaleb(decimals(currency)).to_integral_value(ROUND_HALF_UP))


def convert(amount: Decimal, currency: str, into: str) -> Decimal:
    """Return the amount in another currency, unrounded; a currency without a rate counts as a dollar."""
    return amount * DOLLARS.get(currency, Decimal(1)) / DOLLARS.get(into, Decimal(1))
