"""Owns Afterpay's amounts: `{"amount": "37.00", "currency": "AUD"}`, in the one currency of an account."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from sandbox.afterpay.errors import invalid
from sandbox.amounts import minor_units, written
from sandbox.service import Json, Refusal

_AMOUNT = re.compile(r"\d{1,8}(?:\.\d{1,2})?", re.ASCII)


@dataclass(frozen=True)
class Region:
    """What an account may sell for, in minor units; the real limits are each merchant's own."""

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
    """Return minor units as Afterpay writes them.

    >>> money(3705, "AUD")
    {'amount': '37.05', 'currency': 'AUD'}
    """
    return {"amount": written(minor), "currency": currency}


def minor(given: Any, currency: str, *, otherwise: Refusal | None = None) -> int:
    """Read an amount in that currency; `otherwise` is the refusal of another one."""
    if not isinstance(given, dict) or not isinstance(given.get("amount"), str):
        raise invalid("amount must be an object with amount and currency")
    if not _AMOUNT.fullmatch(given["amount"]):
        raise invalid("amount must be a decimal number with two places")
    if given.get("currency") != currency:
        raise otherwise or invalid(f"currency must be {currency}")
    return minor_units(given["amount"])
