"""Conversion between minor units and decimal text. Each provider validates amounts by its own rules."""

from __future__ import annotations


def decimal_text(minor: int, digits: int = 2) -> str:
    """Return minor units as a decimal number with this many decimal places.

    >>> decimal_text(3705), decimal_text(500, 0), decimal_text(5)
    ('37.05', '500', '0.05')
    """
    text = str(minor).rjust(digits + 1, "0")
    return f"{text[:-digits]}.{text[-digits:]}" if digits else text


def minor_units(text: str, digits: int = 2) -> int:
    """Return a plain decimal number in minor units; further decimal places are dropped.

    >>> minor_units("37.05"), minor_units("37.5"), minor_units("500", 0)
    (3705, 3750, 500)
    """
    whole, _, fraction = text.partition(".")
    return int(whole + fraction.ljust(digits, "0")[:digits])
