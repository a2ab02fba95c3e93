"""Afterpay's amounts, `{"amount": "37.00", "currency": "AUD"}`, always in the account's one currency."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from sandbox.afterpay.errors import invalid
from sandbox.amounts import decimal_text, minor_units
from sandbox.service import Json, Refusal

_AMOUNT = re.compile(r"\d{1,8}(?:\.\d{1,2})?", re.ASCII)


@dataclass(frozen=True)
class Region:
    """The currency and the limits of an account, in minor units. Each real merchant has limits of its own."""

    currency: str
    minimum: int
    maximum: int


REGIONS = {
    "au": Region("AUD", 100, 200_000),
    "ca": Region("CAD", 100, 200_000),
    "nz": Region("NZD", 100, 200_000),
    "uk": Region("GBP", 100, 100_000),
    "us": Region("USD", 100, 200_000),
}


def money(minor: int, currency: str) -> Json:
    """Return an amount in Afterpay's format.

    >>> money(3705, "AUD")
    {'amount': '37.05', 'currency': 'AUD'}
    """
    return {"amount": decimal_text(minor), "currency": currency}


def minor(amount: Any, currency: str, *, wrong_currency: Refusal | None = None) -> int:
    """Parse an amount of this currency into minor units; `wrong_currency` is the refusal for another currency."""
    if not isinstance(amount, dict) or not isinstance(amount.get("amount"), str):
        raise invalid("amount must be an object with amount and currency")
    if not _AMOUNT.fullmatch(amount["amount"]):
        raise invalid("amount must be a decimal number with two places")
    if amount.get("currency") != currency:
        raise wrong_currency or invalid(f"currency must be {currency}")
    return minor_units(amount["amount"])
