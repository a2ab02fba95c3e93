"""The demo's cases: a payment request each, what happens to the payment, and the status that it must end in.

This file has the cases by card and debit; stack/demo_methods.py has the other payment methods, and
stack/demo_dunning.py the subscriptions whose payments fail.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass, field

from stack.client import Json, Merchant, Provider, UnexpectedResult

INSUFFICIENT = "pm_card_visa_chargeDeclinedInsufficientFunds"
SEPA_TEST_IBAN = "DE89370400440532013000"
RETURN_URL = "https://shop.example/thanks"


@dataclass
class Actors:
    """The clients that act in a case. `show` displays what the demo waits for."""

    merchant: Merchant
    operator: Merchant
    provider: Provider
    advance_days: Callable[[int], None]
    show: Callable[[str | Callable[[], str]], None]


@dataclass
class Case:
    """One payment of the demo. `act` is what happens after the request; `id` is empty before the request."""

    title: str
    expected: str
    request: Json
    act: Callable[[Actors, Case], None] = lambda actors, case: None
    id: str = ""
    payment: Json = field(default_factory=dict)
    problem: str = ""


def payment_request(token: str = "pm_card_visa", amount: str = "24.90", currency: str = "EUR", **more: object) -> Json:
    """Return the body of one `POST /process`, for a new invoice and a new user."""
    unique = secrets.token_hex(6)
    return {
        "invoice_id": f"inv-{unique}",
        "user_id": f"user-{unique}",
        "amount": amount,
        "currency": currency,
        "payment_method": "credit_card",
        "payment_method_token": token,
        "email": f"user-{unique}@example.com",
        **more,
    }


def lost_response() -> Case:
    """Return the case in which the provider charges and its response is lost. No other payment may run meanwhile:
    the fault hits the next payment, whichever it is."""
    return Case("provider's response lost", "captured", payment_request(amount="61.00"))


def card_and_debit_cases(provider: Provider) -> list[Case]:
    """Return the cases by card and debit that need no other date."""
    sepa_token = provider.create_bank_account(SEPA_TEST_IBAN)
    sepa = payment_request(sepa_token, "49.00", payment_method="sepa_debit")
    returned = payment_request(provider.create_bank_account(SEPA_TEST_IBAN), "38.00", payment_method="sepa_debit")
    three_d_secure = payment_request("pm_card_authenticationRequired", return_url=RETURN_URL)
    return [
        Case("card", "captured", payment_request()),
        Case("card in yen, without cents", "captured", payment_request(amount="4200", currency="JPY")),
        Case("card, declined", "declined", payment_request("pm_card_chargeDeclined")),
        Case("card, insufficient funds", "declined", payment_request(INSUFFICIENT)),
        Case("card, 3-D Secure passed", "captured", three_d_secure, pass_3d_secure),
        Case("authorized, part captured", "captured", payment_request(amount="80.00", capture=False), capture_part),
        Case("authorized, canceled", "voided", payment_request(amount="75.00", capture=False), cancel),
        Case("captured, part refunded", "partially_refunded", payment_request(amount="30.00"), refund_part),
        Case("captured, all refunded", "refunded", payment_request(amount="19.99"), refund_all),
        Case("SEPA debit, paid later", "captured", sepa, finish_debit),
        Case("SEPA debit, returned later", "in_grace", returned, return_debit),
        Case("card, dispute lost", "reversed", payment_request(amount="44.00"), lose_dispute),
        Case("card, high amount: review", "review", payment_request(amount="25000.00")),
    ]


def pass_3d_secure(actors: Actors, case: Case) -> None:
    actors.provider.authenticate(actors.merchant.wait_for_status(case.id, "requires_action"))


def capture_part(actors: Actors, case: Case) -> None:
    actors.merchant.wait_for_status(case.id, "authorized")
    actors.merchant.capture(case.id, "55.00")


def cancel(actors: Actors, case: Case) -> None:
    actors.merchant.wait_for_status(case.id, "authorized")
    actors.merchant.cancel(case.id)


def refund_part(actors: Actors, case: Case) -> None:
    actors.merchant.wait_for_status(case.id, "captured")
    actors.merchant.refund(case.id, "5.00")


def refund_all(actors: Actors, case: Case) -> None:
    actors.merchant.wait_for_status(case.id, "captured")
    actors.merchant.refund(case.id, case.request["amount"])


def finish_debit(actors: Actors, case: Case) -> None:
    actors.provider.finish_debit(actors.merchant.wait_for_status(case.id, "pending"))


def return_debit(actors: Actors, case: Case) -> None:
    """Let the customer's bank take a debit back after it had paid, and expect its invoice to be open again."""
    finish_debit(actors, case)
    actors.provider.dispute(actors.merchant.wait_for_status(case.id, "captured"), "incorrect_account_details")
    expect_open_invoice(actors, case)


def lose_dispute(actors: Actors, case: Case) -> None:
    """Let a cardholder dispute a payment and win."""
    dispute = actors.provider.dispute(actors.merchant.wait_for_status(case.id, "captured"), "fraudulent")
    actors.provider.close_dispute(dispute, "lost")
    expect_open_invoice(actors, case)


def expect_open_invoice(actors: Actors, case: Case) -> None:
    """Wait until a payment is taken back; raise UnexpectedResult unless its invoice is open again."""
    actors.merchant.wait_for_status(case.id, case.expected)
    left = actors.merchant.invoice(case.request["invoice_id"])["open_amount"]
    if left != case.request["amount"]:
        raise UnexpectedResult(f"{left} of the invoice is open instead of {case.request['amount']}")


def give_duplicate_back(actors: Actors, case: Case) -> None:
    """Let the customer pay the first, declined charge of a subscription as well, after a retry has succeeded; then
    give the second charge back, as an operator does from the attention list."""
    actors.show(f"waiting for '{case.title}' to be paid twice, and given back")
    actors.provider.pay_first_charge(actors.merchant.payment(case.id))

    def is_booked(payment: Json) -> bool:
        return any(moved["kind"] == "duplicate" for moved in payment["movements"])

    actors.merchant.wait_for(case.id, is_booked, "charged twice")
    [entry] = open_entries(actors, case)
    actors.operator.resolve(entry["id"], "give_back")

    def is_given_back(payment: Json) -> bool:
        return any(moved["kind"] == "duplicate_refund" for moved in payment["movements"])

    actors.merchant.wait_for(case.id, is_given_back, "charged once")
    if open_entries(actors, case):
        raise UnexpectedResult("the attention list still asks for a charge that is given back")
    case.payment = actors.merchant.payment(case.id)


def open_entries(actors: Actors, case: Case) -> list[Json]:
    """Return what the attention list asks about a payment."""
    listed = actors.operator.attention()
    return [entry for entry in listed if entry["payment_id"] == case.id and entry["closed_at"] is None]
