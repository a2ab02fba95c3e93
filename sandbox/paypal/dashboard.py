"""PayPal's website: an operation there has no request id, and a refund repeats the references of its capture."""

from __future__ import annotations

from collections.abc import Mapping

from sandbox.dashboard import Action, ActionRefused
from sandbox.paypal.account import REFUNDABLE, Account
from sandbox.paypal.money import money
from sandbox.paypal.objects import Json, Order, Payment


def actions(account: Account) -> Mapping[str, Action]:
    """Return what the website does with an order. A capture of a part leaves the remainder held."""

    def refund(id: str, amount: int | None) -> str | None:
        order = _order(account, id)
        captured = _newest(order, "captures", REFUNDABLE)
        return account.refund(order, captured, _amount(order, amount), "").id

    def capture(id: str, amount: int | None) -> str | None:
        order = _order(account, id)
        held = _newest(order, "authorizations", ("CREATED", "PARTIALLY_CAPTURED"))
        return account.capture(order, held, _amount(order, amount), "").id

    def void(id: str, amount: int | None) -> str | None:
        order = _order(account, id)
        account.void(order, _newest(order, "authorizations", ("CREATED",)), None)
        return None

    return {"refund": refund, "capture": capture, "void": void}


def _order(account: Account, id: str) -> Order:
    if id not in account.orders:
        raise ActionRefused(f"there is no order {id}")
    return account.orders[id]


def _newest(order: Order, kind: str, statuses: tuple[str, ...]) -> Payment:
    matching = [payment for payment in order.of(kind) if payment.status in statuses]
    if not matching:
        raise ActionRefused(f"order {order.id} has no such {kind}")
    return matching[-1]


def _amount(order: Order, amount: int | None) -> Json:
    return {} if amount is None else {"amount": money(amount, order.currency)}
