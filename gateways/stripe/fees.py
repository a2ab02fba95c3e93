"""Stripe's fees, which the balance transaction of a charge shows.

Source: docs.stripe.com/api/balance_transactions/object, read 2026-11-28."""

from __future__ import annotations

from domain.comparison import ShownFee
from domain.money import Money
from gateways.provider_model import ProviderModel, Text, UnixTime, from_unix
from gateways.stripe.money import from_stripe


class _BalanceTransaction(ProviderModel):
    id: Text
    fee: int
    currency: Text
    created: UnixTime


class _Charge(ProviderModel):
    # An id where it is not expanded, null until the money has moved.
    balance_transaction: _BalanceTransaction | str | None = None


class IntentWithFee(ProviderModel):
    """A PaymentIntent with the balance transaction of its charge."""

    latest_charge: _Charge | str | None = None


def shown_fees(intent: IntentWithFee) -> list[ShownFee]:
    """Return the fee of the intent's charge, if it is known and not nothing."""
    charge = intent.latest_charge
    moved = charge.balance_transaction if isinstance(charge, _Charge) else None
    if not isinstance(moved, _BalanceTransaction) or moved.fee <= 0:
        return []
    currency = moved.currency.upper()
    return [ShownFee(moved.id, Money(from_stripe(moved.fee, currency), currency), from_unix(moved.created))]
