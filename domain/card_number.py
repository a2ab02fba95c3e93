"""Recognises card numbers, so that a request that holds one is refused before anything is stored."""

from __future__ import annotations

import re
from collections.abc import Iterator

# 13 to 19 digits as card schemes issue them (ISO/IEC 7812), written with single blanks or dashes.
_RUN = re.compile(r"(?<!\d)\d(?:[ -]?\d){12,18}(?!\d)", re.ASCII)
# First digits of Visa, Mastercard, Amex, Discover, Diners, JCB, UnionPay and Maestro: one random
# 16-digit number in ten passes Luhn, so the prefix keeps order numbers from being refused.
_PREFIX = re.compile(r"4|5[0-8]|2[2-7]|3[0-9]|6", re.ASCII)
# One random UUID in a thousand holds a run of digits that passes: ids in hexadecimal are no card numbers.
_HEX_ID = re.compile(
    r"(?<![0-9a-z])(?:[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|(?=\d*[a-f])[0-9a-f]{20,})(?![0-9a-z])",
    re.ASCII | re.IGNORECASE,
)


def contains_card_number(text: str) -> bool:
    """Tell whether the text holds a number with a card prefix that passes Luhn.

    >>> contains_card_number("pay with 4242 4242-4242 4242 please")
    True
    >>> contains_card_number("order 4242424242424241")
    False
    """
    if len(text) < 13:
        return False
    return any(
        _PREFIX.match(digits) and _passes_luhn(digits)
        for digits in (re.sub(r"\D", "", run) for run in _RUN.findall(_HEX_ID.sub("#", text)))
    )


def strings_of(value: object) -> Iterator[str]:
    """Yield every string, key and number of a JSON value, as text."""
    # No recursion: how deep a request is nested is up to its sender.
    left = [value]
    while left:
        item = left.pop()
        if isinstance(item, dict):
            yield from map(str, item)
            left.extend(item.values())
        elif isinstance(item, list):
            left.extend(item)
        elif item is not None and not isinstance(item, bool):
            yield str(item)


def _passes_luhn(digits: str) -> bool:
    doubled = (sum(divmod(2 * int(digit), 10)) for digit in digits[-2::-2])
    return (sum(map(int, digits[-1::-2])) + sum(doubled)) % 10 == 0
