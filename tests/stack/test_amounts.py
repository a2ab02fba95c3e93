"""Decimals and minor units."""

from __future__ import annotations

import pytest

from stack.amounts import decimal_text, minor_units


@pytest.mark.parametrize(
    ("text", "currency", "minor"),
    [("24.90", "EUR", 2490), ("0.05", "EUR", 5), ("4200", "JPY", 4200), ("1.250", "KWD", 1250), ("0.00", "USD", 0)],
)
def test_an_amount_is_the_same_in_both_forms(text: str, currency: str, minor: int) -> None:
    assert minor_units(text, currency) == minor
    assert decimal_text(minor, currency) == text
