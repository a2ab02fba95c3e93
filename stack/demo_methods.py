"""The demo's cases of all other payment methods. Each provider also has a declined payment, and a refund if it can."""

from __future__ import annotations

from collections.abc import Callable

from stack.client import Json
from stack.demo_cases import RETURN_URL, Actors, Case, finish_debit, payment_request, refund_part

US_ACCOUNT = "pm_usBankAccount_success"
ADDRESS = {"given_name": "Ada", "family_name": "Example", "line1": "1 High Street", "city": "Springfield"}


def payment_method_cases() -> list[Case]:
    """Return a payment of every payment method that stack/demo_cases.py does not have."""
    ach = payment_request(US_ACCOUNT, currency="USD", payment_method="ach_debit")
    return [
        Case("debit card", "captured", payment_request(payment_method="debit_card")),
        Case("Apple Pay", "captured", payment_request(payment_method="apple_pay")),
        Case("Google Pay", "captured", payment_request(payment_method="google_pay")),
        Case("method 'stripe'", "captured", payment_request(payment_method="stripe")),
        Case("ACH debit", "captured", ach, finish_debit),
        Case("wire, in two transfers", "captured", transfer_request("wire_transfer", "USD"), send_two_transfers),
        Case("bank transfer, in two", "captured", transfer_request("bank_transfer", "EUR"), send_two_transfers),
        *hosted_cases("PayPal", "paypal", "USD", "US", can_refund=True),
        *hosted_cases("Klarna", "klarna", "EUR", "DE", can_refund=True),
        *hosted_cases("Afterpay", "afterpay", "USD", "US", can_refund=True),
        *hosted_cases("Coinbase", "cryptocurrency", "EUR", "DE", can_refund=True),
        *hosted_cases("Bitcoin", "bitcoin", "USD", "US", can_refund=False),
        Case("Ethereum", "captured", hosted_request("ethereum", "USD", "US"), submit("approve")),
        Case("USDT, too little: accepted", "captured", hosted_request("usdt", "USD", "US"), pay_too_little),
        Case("Klarna through Stripe", "captured", hosted_request("klarna", "USD", "US"), submit("approve")),
        Case("invoice, paid by bank", "captured", transfer_request("invoice", "EUR"), record),
    ]


def hosted_cases(name: str, method: str, currency: str, country: str, *, can_refund: bool) -> list[Case]:
    """Return a payment that the customer approves on the provider's page, and one that the provider declines."""
    paid = submit("approve", then=refund_part if can_refund else None)
    expected = "partially_refunded" if can_refund else "captured"
    title = f"{name}, part refunded" if can_refund else name
    return [
        Case(title, expected, hosted_request(method, currency, country), paid),
        Case(f"{name}, declined", "declined", hosted_request(method, currency, country), submit("decline")),
    ]


def hosted_request(method: str, currency: str, country: str) -> Json:
    """Return a request for a payment that the customer approves on the provider's page."""
    address = ADDRESS | {"postal_code": "12345", "country": country}
    request = payment_request(currency=currency, payment_method=method, billing_address=address, return_url=RETURN_URL)
    return without_token(request)


def transfer_request(method: str, currency: str) -> Json:
    """Return a request for a payment by transfer."""
    return without_token(payment_request(amount="120.00", currency=currency, payment_method=method))


def without_token(request: Json) -> Json:
    """Return a request without the token, which only cards and debits have."""
    return {name: value for name, value in request.items() if name != "payment_method_token"}


def submit(decision: str, then: Callable[[Actors, Case], None] | None = None) -> Callable[[Actors, Case], None]:
    """Return an action: the customer submits this decision on the provider's page, and `then` follows."""

    def act(actors: Actors, case: Case) -> None:
        payment = actors.merchant.wait_for_status(case.id, "requires_action")
        actors.provider.submit_page(payment["next_action"]["redirect_url"], decision)
        if then is not None:
            then(actors, case)

    return act


def pay_too_little(actors: Actors, case: Case) -> None:
    """Let the customer pay less than the amount; an operator accepts it."""
    submit("pay_too_little")(actors, case)
    actors.merchant.wait_for_status(case.id, "amount_mismatch")
    actors.operator.review(case.id, "approve")


def send_two_transfers(actors: Actors, case: Case) -> None:
    """Send a part of the amount, then the outstanding part."""
    payment = actors.merchant.wait_for_status(case.id, "requires_action")
    actors.provider.send_transfer(payment, 5000)
    actors.provider.send_transfer(payment)


def record(actors: Actors, case: Case) -> None:
    """Record as an operator that the money is on the bank statement."""
    actors.merchant.wait_for_status(case.id, "requires_action")
    actors.operator.record(case.id, "statement 7, line 12")
