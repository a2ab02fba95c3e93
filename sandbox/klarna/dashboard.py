"""Klarna's merchant portal: an operation there has no idempotency key and no reference of ours."""

from __future__ import annotations

from collections.abc import Mapping

from sandbox.dashboard import Action
from sandbox.klarna.orders import Orders


def actions(orders: Orders) -> Mapping[str, Action]:
    """Return what the portal does with an order. A capture of a part leaves the remainder held."""

    def refund(id: str, amount: int | None) -> str | None:
        order = orders.find(id)
        return orders.refund(
            order, {"refunded_amount": order.captured - order.refunded if amount is None else amount}, None
        )

    def capture(id: str, amount: int | None) -> str | None:
        order = orders.find(id)
        return orders.capture(order, {"captured_amount": order.remaining if amount is None else amount}, None)

    def void(id: str, amount: int | None) -> str | None:
        orders.cancel(orders.find(id), None)
        return None

    return {"refund": refund, "capture": capture, "void": void}
