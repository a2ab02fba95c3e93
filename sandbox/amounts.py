"""Owns amounts as decimal text, for providers that write them so; what they refuse is their own."""

from __future__ import annotations


def written(minor: int, digits: int = 2) -> str:
    """Return minor units as a decimal number with so many places.

    >>> written(3705), written(500, 0), written(5)
    ('37.05', '500', '0.05')
    """
    text = str(minor).rjust(digits + 1, "0")
    return f"{text[:-digits]}.{text[-digits:]}" if digits else text


def minor_units(text: str, digits: int = 2) -> int:
    """Return a plain decimal number in minor units; places beyond those are dropped.

    >>> minor_units("37.05"), minor_units("37.5"), minor_units("500", 0)
    (3705, 3750, 500)
    """
    whole, _, fraction = text.partition(".")
    return int(whole + fraction.ljust(digits, "0")[:digits])
