"""Compares the amounts that we show for a payment with the amounts in the provider's ledger."""

from __future__ import annotations

from dataclasses import dataclass

from stack.amounts import decimal_text, minor_units
from stack.client import Json

_TAKEN = ("charge", "capture", "duplicate")
_GIVEN = ("refund", "refund_failure", "duplicate_refund", "duplicate_refund_failure")


@dataclass(frozen=True)
class Totals:
    """The sums of all captures and refunds of one payment, in minor units."""

    captured: int
    refunded: int
    currency: str

    def __str__(self) -> str:
        captured, refunded = (decimal_text(minor, self.currency) for minor in (self.captured, self.refunded))
        return f"captured {captured} {self.currency}, refunded {refunded} {self.currency}"


def our_totals(payment: Json) -> Totals:
    """Return the totals of the movements that our API shows for a payment, of duplicates as well."""
    currency = payment["currency"]
    captured = sum(minor_units(each["amount"], currency) for each in payment["movements"] if each["kind"] in _TAKEN)
    given = sum(minor_units(each["amount"], currency) for each in payment["movements"] if each["kind"] in _GIVEN)
    return Totals(captured, -given, currency)


def provider_totals(rows: list[Json], payment: Json) -> Totals:
    """Return the totals of a payment in the provider's ledger, over all provider objects that name the payment."""
    named = [row for row in rows if row["metadata"].get("payment_id") == payment["id"]]
    captured = sum(row["captured"] for row in named)
    return Totals(captured, sum(row["refunded"] for row in named), payment["currency"])


def unknown_objects(rows: list[Json], payment_ids: set[str]) -> list[str]:
    """Return the provider's objects that captured money and name none of these payments."""
    return [row["object"] for row in rows if row["captured"] and row["metadata"].get("payment_id") not in payment_ids]
