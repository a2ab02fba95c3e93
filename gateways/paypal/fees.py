"""PayPal's fees, which each capture of an order shows. Source: Payments v2 (OpenAPI, seller_receivable_breakdown), read
2026-11-28."""

from __future__ import annotations

from domain.comparison import ShownFee
from domain.money import Money
from gateways.paypal.responses import Amount
from gateways.provider_model import End, ProviderModel, Text


class _Breakdown(ProviderModel):
    paypal_fee: Amount | None = None


class _Capture(ProviderModel):
    id: Text
    create_time: End = None
    # Missing while the capture is pending.
    seller_receivable_breakdown: _Breakdown | None = None


class _Payments(ProviderModel):
    captures: list[_Capture] | None = None


class _Unit(ProviderModel):
    payments: _Payments | None = None


class OrderWithFees(ProviderModel):
    """An order, as far as fees are concerned."""

    purchase_units: list[_Unit]


def shown_fees(order: OrderWithFees) -> list[ShownFee]:
    """Return the fee of each capture that shows one which is not nothing. Raises MalformedResponse."""
    captures = [made for unit in order.purchase_units if unit.payments for made in unit.payments.captures or ()]
    found = ((made, _fee(made)) for made in captures)
    return [ShownFee(made.id, fee, made.create_time) for made, fee in found if fee is not None]


def _fee(capture: _Capture) -> Money | None:
    shown = (capture.seller_receivable_breakdown or _Breakdown()).paypal_fee
    return shown.money if shown is not None and shown.value.strip("0.") else None
