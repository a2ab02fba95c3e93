"""Afterpay's merchant portal: an operation there has no request id and no reference of ours."""

from __future__ import annotations

from collections.abc import Mapping

from sandbox.afterpay.amounts import money
from sandbox.afterpay.payments import Payment, Payments
from sandbox.dashboard import Action, ActionRefused
from sandbox.service import Json


def actions(operations: Payments, by_token: Mapping[str, Payment]) -> Mapping[str, Action]:
    """Return what the portal does with the payment of a token. A capture of a part leaves the remainder held."""

    def find(token: str) -> Payment:
        if token not in by_token:
            raise ActionRefused(f"there is no payment of the token {token}")
        return by_token[token]

    def refund(token: str, amount: int | None) -> str | None:
        payment = find(token)
        left = payment.captured - payment.refunded
        return str(operations.refund(payment, _amount(payment, left if amount is None else amount))["refundId"])

    def capture(token: str, amount: int | None) -> str | None:
        payment = find(token)
        operations.capture(payment, _amount(payment, payment.open_amount if amount is None else amount))
        return None

    def void(token: str, amount: int | None) -> str | None:
        operations.void(find(token), {})
        return None

    return {"refund": refund, "capture": capture, "void": void}


def _amount(payment: Payment, minor: int) -> Json:
    return {"amount": money(minor, payment.currency)}
