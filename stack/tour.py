"""The demo's tour: a payment of every method to its rest, each provider once with a decline and a refund.

Webhooks are held back while it lasts, so that every provider's come late."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from stack.client import Json
from stack.scenario import Case, World, order, refund_part, settle

US_ACCOUNT = "pm_usBankAccount_success"
ADDRESS = {"given_name": "Ada", "family_name": "Example", "line1": "1 High Street", "city": "Springfield"}


def cases() -> list[Case]:
    """Return a payment of every method that the other cases do not show, and what else providers do with them."""
    return [
        Case("debit card", "captured", order(payment_method="debit_card")),
        Case("Apple Pay", "captured", order(payment_method="apple_pay")),
        Case("Google Pay", "captured", order(payment_method="google_pay")),
        Case("Stripe, by any name", "captured", order(payment_method="stripe")),
        Case("ACH debit", "captured", order(US_ACCOUNT, currency="USD", payment_method="ach_debit"), settle),
        Case("wire, in two transfers", "captured", transferred("wire_transfer", "USD"), send_in_two_parts),
        Case("bank transfer", "captured", transferred("bank_transfer", "EUR"), send_in_two_parts),
        *hosted_cases("PayPal", "paypal", "USD", "US", can_refund=True),
        *hosted_cases("Klarna", "klarna", "EUR", "DE", can_refund=True),
        *hosted_cases("Afterpay", "afterpay", "USD", "US", can_refund=True),
        *hosted_cases("Coinbase", "cryptocurrency", "EUR", "DE", can_refund=True),
        *hosted_cases("Bitcoin", "bitcoin", "USD", "US", can_refund=False),
        Case("Ethereum", "captured", approved("ethereum", "USD", "US"), decide("approve")),
        Case("USDT, too little: accepted", "captured", approved("usdt", "USD", "US"), pay_too_little),
        Case("Klarna through Stripe", "captured", approved("klarna", "USD", "US"), decide("approve")),
        Case("invoice, paid by bank", "captured", transferred("invoice", "EUR"), record),
    ]


def hosted_cases(name: str, method: str, currency: str, country: str, *, can_refund: bool) -> list[Case]:
    """Return payments that the customer approves at the provider: one that goes well, one that does not."""
    paid = decide("approve", then=refund_part if can_refund else None)
    rests = "partially_refunded" if can_refund else "captured"
    return [
        Case(f"{name}{', part refunded' if can_refund else ''}", rests, approved(method, currency, country), paid),
        Case(f"{name}, declined", "declined", approved(method, currency, country), decide("decline")),
    ]


def approved(method: str, currency: str, country: str) -> Json:
    """Return an order whose customer approves it at the provider, for which he has no token."""
    address = ADDRESS | {"postal_code": "12345", "country": country}
    thanks = "https://shop.example/thanks"
    given = order(currency=currency, payment_method=method, billing_address=address, return_url=thanks)
    return without_token(given)


def transferred(method: str, currency: str) -> Json:
    """Return an order that is paid by transfer."""
    return without_token(order(amount="120.00", currency=currency, payment_method=method))


def without_token(given: Json) -> Json:
    """Return an order without what only cards and debits have."""
    return {name: value for name, value in given.items() if name != "payment_method_token"}


def decide(decision: str, then: Callable[[World, Case], None] | None = None) -> Callable[[World, Case], None]:
    """Return what a customer does on the provider's page, and what follows when he has paid."""

    def go(world: World, case: Case) -> None:
        payment: Any = world.merchant.wait_status(case.id, "requires_action")
        world.provider.visit(payment["next_action"]["redirect_url"], decision)
        if then is not None:
            then(world, case)

    return go


def pay_too_little(world: World, case: Case) -> None:
    """Send less than was asked for; an operator accepts it."""
    decide("pay_too_little")(world, case)
    world.merchant.wait_status(case.id, "amount_mismatch")
    world.operator.review(case.id, "approve")


def send_in_two_parts(world: World, case: Case) -> None:
    """Send a part of it, then what is still missing."""
    payment = world.merchant.wait_status(case.id, "requires_action")
    world.provider.fund(payment, 5000)
    world.provider.fund(payment)


def record(world: World, case: Case) -> None:
    """See the money on the bank statement."""
    world.merchant.wait_status(case.id, "requires_action")
    world.operator.record(case.id, "statement 7, line 12")
