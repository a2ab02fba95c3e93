"""Compares our amounts with the provider's own books, payment by payment, in minor units."""

from __future__ import annotations

from collections import Counter
from decimal import Decimal

from iso4217 import Currency

from stack.client import Json

Sums = dict[str, int]


def minor_units(amount: str, currency: str) -> int:
    """Return an amount in the currency's smallest unit.

    >>> minor_units("12.34", "EUR"), minor_units("4200", "JPY")
    (1234, 4200)
    """
    return int(Decimal(amount).scaleb(Currency(currency).exponent or 0))


def our_sums(payment: Json) -> Sums:
    """Return what we say was moved for a payment."""
    currency = payment["currency"]
    return {
        "captured": minor_units(payment["captured_amount"], currency),
        "refunded": minor_units(payment["refunded_amount"], currency),
    }


def provider_sums(books: list[Json], payment_id: str) -> Sums:
    """Return what the provider moved for a payment, over all its objects."""
    sums = Counter(captured=0, refunded=0)
    for book in books:
        if book["metadata"].get("payment_id") == payment_id:
            sums.update(captured=book["captured"], refunded=book["refunded"])
    return dict(sums)


def strangers(books: list[Json], payment_ids: set[str]) -> list[str]:
    """Return the provider's objects that moved money for none of our payments."""
    return [b["object"] for b in books if b["captured"] and b["metadata"].get("payment_id") not in payment_ids]
