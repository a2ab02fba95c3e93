"""Amounts of both Coinbase products: decimal text in their responses, minor units in outcomes."""

from __future__ import annotations

from domain.errors import InvalidAmount, UnknownCurrency
from domain.money import Money
from gateways.failures import MalformedResponse


def minor_units(amount: str, currency: str, field: str) -> int:
    """Return an amount above zero in minor units.

    Raises MalformedResponse, which names `field`, for any other text or for more decimals than the currency has."""
    try:
        return Money.parse(amount, currency).minor
    except (InvalidAmount, UnknownCurrency):
        raise MalformedResponse(field) from None
