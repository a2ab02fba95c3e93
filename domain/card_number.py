"""Recognises card numbers and security codes, so that a request that contains one is refused before it is stored."""

from __future__ import annotations

import re
from collections.abc import Iterator

# Groups of digits, as people write card numbers, separated by blanks, dashes, dots or slashes.
_RUN = re.compile(r"\d+(?:[\s.\-/]{1,2}\d+)*", re.ASCII)
_GROUP = re.compile(r"\d+", re.ASCII)
# Card schemes issue 13 to 19 digits (ISO/IEC 7812).
_LENGTHS = range(13, 20)
# First digits of Visa, Mastercard, Amex, Discover, Diners, JCB, UnionPay and Maestro: one random
# 16-digit number in ten passes the Luhn check, so without the prefix too many order numbers would be refused.
_PREFIX = re.compile(r"4|5[0-8]|2[2-7]|3[0-9]|6", re.ASCII)
# One random UUID in a thousand contains digits that pass the check, so hexadecimal ids are left out.
_HEX_ID = re.compile(
    r"(?<![0-9a-z])(?:[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|(?=\d*[a-f])[0-9a-f]{20,})(?![0-9a-z])",
    re.ASCII | re.IGNORECASE,
)
_SECURITY_CODES = frozenset({"cvc", "cvc2", "cvv", "cvv2", "cid", "csc", "cvn", "pin", "securitycode"})


def contains_card_number(text: str) -> bool:
    """Tell whether the text contains a number with a card prefix that passes the Luhn check.

    >>> contains_card_number("pay with 4242 4242-4242 4242 12/27 please")
    True
    >>> contains_card_number("order 4242424242424241")
    False
    """
    runs = _RUN.findall(_HEX_ID.sub("#", text))
    return any(_PREFIX.match(digits) and _passes_luhn(digits) for run in runs for digits in _candidates(run))


def names_security_code(key: str) -> bool:
    """Tell whether a field is meant for a security code, which must never be stored, even encrypted (PCI DSS 3.3.1).

    >>> names_security_code("card_cvc"), names_security_code("invoice")
    (True, False)
    """
    return any(part in _SECURITY_CODES for part in re.split(r"[\W_]+", key.lower()))


def strings_of(value: object) -> Iterator[str]:
    """Yield every string, key and number of a JSON value, as text."""
    for item in _parts_of(value):
        if isinstance(item, dict):
            yield from map(str, item)
        elif not isinstance(item, list | bool) and item is not None:
            yield str(item)


def keys_of(value: object) -> Iterator[str]:
    """Yield every key of a JSON value."""
    for item in _parts_of(value):
        if isinstance(item, dict):
            yield from map(str, item)


def _parts_of(value: object) -> Iterator[object]:
    """Yield the value and everything in it. Without recursion: the sender decides how deep a request is nested."""
    left = [value]
    while left:
        item = left.pop()
        yield item
        if isinstance(item, dict | list):
            left.extend(item.values() if isinstance(item, dict) else item)


def _candidates(run: str) -> Iterator[str]:
    """Yield the digits of all neighbouring groups that together are as long as a card number."""
    groups = _GROUP.findall(run) if len(run) >= _LENGTHS.start else []
    for start in range(len(groups)):
        digits = ""
        for group in groups[start:]:
            digits += group
            if len(digits) >= _LENGTHS.stop:
                break
            if len(digits) in _LENGTHS:
                yield digits


def _passes_luhn(digits: str) -> bool:
    doubled = (sum(divmod(2 * int(digit), 10)) for digit in digits[-2::-2])
    return (sum(map(int, digits[-1::-2])) + sum(doubled)) % 10 == 0
