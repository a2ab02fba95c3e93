"""PayPal's fees, which each capture and refund of an order shows.

Source: Payments v2 (OpenAPI, seller_receivable_breakdown and seller_payable_breakdown), read 2026-11-28."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from domain.money import Money
from domain.movement import ShownFee
from gateways.failures import MalformedResponse
from gateways.paypal.responses import Amount
from gateways.provider_model import End, ProviderModel, Text


class _Breakdown(ProviderModel):
    paypal_fee: Amount | None = None


class _Capture(ProviderModel):
    id: Text
    create_time: End = None
    # Missing while the capture is pending.
    seller_receivable_breakdown: _Breakdown | None = None


class _Refund(ProviderModel):
    id: Text
    create_time: End = None
    # What PayPal gives back of its fee.
    seller_payable_breakdown: _Breakdown | None = None


class _Payments(ProviderModel):
    captures: list[_Capture] | None = None
    refunds: list[_Refund] | None = None


class _Unit(ProviderModel):
    payments: _Payments | None = None


class _Order(ProviderModel):
    purchase_units: list[_Unit]


def shown_fees(order: Any) -> list[ShownFee]:
    """Return the fee of each capture and refund that shows one which is not nothing. `order`: as PayPal shows it. What
    cannot be read is logged and left out: it stops nothing else."""
    try:
        return list(_fees(_Order.parse(order)))
    except MalformedResponse:
        return []


def _fees(order: _Order) -> Iterator[ShownFee]:
    for payments in (unit.payments for unit in order.purchase_units if unit.payments):
        for made in payments.captures or ():
            if (kept := _fee(made.seller_receivable_breakdown)) is not None:
                yield ShownFee(made.id, kept, made.create_time)
        for given in payments.refunds or ():
            if (back := _fee(given.seller_payable_breakdown)) is not None:
                yield ShownFee(given.id, Money(-back.minor, back.currency), given.create_time)


def _fee(breakdown: _Breakdown | None) -> Money | None:
    shown = breakdown.paypal_fee if breakdown else None
    return shown.money if shown is not None and shown.value.strip("0.") else None
