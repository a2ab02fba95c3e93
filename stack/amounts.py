"""Amounts as the API writes them (decimals) and as the sandbox's ledger writes them (minor units)."""

from __future__ import annotations

from decimal import Decimal

from iso4217 import Currency


def minor_units(amount: str, currency: str) -> int:
    """Return an amount in the currency's smallest unit.

    >>> minor_units("12.34", "EUR"), minor_units("4200", "JPY")
    (1234, 4200)
    """
    return int(Decimal(amount).scaleb(_exponent(currency)))


def decimal_text(minor: int, currency: str) -> str:
    """Return minor units as the decimals that the API takes.

    >>> decimal_text(1205, "EUR"), decimal_text(4200, "JPY")
    ('12.05', '4200')
    """
    return f"{Decimal(minor).scaleb(-_exponent(currency)):f}"


def _exponent(currency: str) -> int:
    return Currency(currency).exponent or 0
