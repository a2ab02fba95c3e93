"""Stripe's fees, which the balance transactions of charges, refunds and disputes show.

Source: docs.stripe.com/api/balance_transactions/object, read 2026-11-28."""

from __future__ import annotations

from domain.money import Money
from domain.movement import ShownFee
from gateways.provider_model import ProviderModel, Text, UnixTime, from_unix
from gateways.stripe.money import from_stripe


class FeeTransaction(ProviderModel):
    """A balance transaction, as far as its fee is concerned: negative where Stripe gives one back."""

    id: Text
    fee: int = 0
    currency: Text
    created: UnixTime


class _Moved(ProviderModel):
    # An id where it is not expanded, null until the money has moved.
    balance_transaction: FeeTransaction | str | None = None


class _RefundPage(ProviderModel):
    data: list[_Moved]


class _Charge(_Moved):
    refunds: _RefundPage | None = None


class IntentWithFee(ProviderModel):
    """A PaymentIntent with the balance transactions of its charge and of its newest refunds."""

    latest_charge: _Charge | str | None = None


# What has to be expanded in an intent, so that it shows them.
EXPANDED = ["latest_charge.balance_transaction", "latest_charge.refunds.data.balance_transaction"]


def shown_fees(intent: IntentWithFee) -> list[ShownFee]:
    """Return the fees of the intent's charge and of its newest refunds that are known and not nothing."""
    charge = intent.latest_charge
    if not isinstance(charge, _Charge):
        return []
    refunds = charge.refunds.data if charge.refunds else []
    return [fee for moved in (charge, *refunds) for fee in shown_fee(moved.balance_transaction)]


def shown_fee(moved: FeeTransaction | str | None) -> list[ShownFee]:
    """Return the fee of a balance transaction, if it is known and not nothing."""
    if not isinstance(moved, FeeTransaction) or not moved.fee:
        return []
    currency = moved.currency.upper()
    return [ShownFee(moved.id, Money(from_stripe(moved.fee, currency), currency), from_unix(moved.created))]
