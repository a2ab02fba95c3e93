"""Simulated customers: a random payment each, by every method, with random operations after it.

Every payment goes through the public API and the providers' pages. A seed decides the choices.
"""

from __future__ import annotations

import contextlib
import random
import secrets
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from stack.amounts import decimal_text, minor_units
from stack.client import Json, Merchant, Provider, UnexpectedResult
from stack.process import wait_until

# In these statuses nothing happens to a payment before somebody acts, or days pass.
IDLE = (
    "captured",
    "declined",
    "authorized",
    "canceled",
    "failed",
    "voided",
    "expired",
    "refunded",
    "review",
    "in_grace",
)
WAITS_FOR_CUSTOMER_OR_BANK = ("requires_action", "pending")
ADDRESS = {
    "given_name": "Ada",
    "family_name": "Example",
    "line1": "1 High Street",
    "city": "Springfield",
    "postal_code": "12345",
}
RETURN_URL = "https://shop.example/thanks"
SEPA_TEST_IBAN = "DE89370400440532013000"
# Test cards, and the customers' decisions on a provider's page, by their weights.
CARDS = {
    "pm_card_visa": 12,
    "pm_card_mastercard": 3,
    "pm_card_chargeDeclined": 1,
    "pm_card_visa_chargeDeclinedInsufficientFunds": 1,
}
THREE_D_SECURE_CARD = "pm_card_authenticationRequired"
DECISIONS = {"approve": 8, "decline": 1, "cancel": 1}
# No fraud rule objects to an amount in this range, in minor units.
LEAST, MOST = 500, 20_000
# Front ends repeat a call to the provider that fails.
FRONT_END_TRIES = 8


# What else happens to a payment at its provider. Returns whether its customer leaves it alone from then on.
Interference = Callable[["Simulation", random.Random, Json], bool]


@dataclass
class Simulation:
    """The clients that the customers use, the number of operations of each kind, and the payments.

    `patience`: the seconds after which a customer leaves a payment as it is; None: they wait to the end.
    """

    merchant: Merchant
    operator: Merchant
    provider: Provider
    operations: Counter[str] = field(default_factory=Counter)
    payment_ids: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)
    interfere: Interference = lambda simulation, rng, payment: False
    patience: float | None = None

    def all_payments(self) -> list[Json]:
        """Return all payments as they are."""
        return [self.merchant.payment(payment_id) for payment_id in self.payment_ids]

    def count(self, operation: str) -> None:
        """Count an operation."""
        with self.lock:
            self.operations[operation] += 1

    def pay(self, **request: Any) -> str:
        """Send a payment request for a new invoice; return the payment's id."""
        unique = secrets.token_hex(6)
        body = {"invoice_id": f"inv-{unique}", "user_id": f"user-{unique}", "email": f"user-{unique}@example.com"}
        payment_id: str = self.merchant.process({"return_url": RETURN_URL, **body, **request})["id"]
        self.count("payment")
        with self.lock:
            self.payment_ids.append(payment_id)
        return payment_id

    def wait(self, payment_id: str, *statuses: str) -> Json:
        """Wait until a payment has one of the statuses; without statuses, until it is idle or waits for somebody.

        After `patience`, return the payment as it is."""
        awaited = statuses or (*IDLE, *WAITS_FOR_CUSTOMER_OR_BANK)
        if self.patience is None:
            return self.merchant.wait_for_status(payment_id, *awaited)
        wait_until(lambda: self.merchant.payment(payment_id)["status"] in awaited, self.patience, 0.5)
        return self.merchant.payment(payment_id)

    def submit_page(self, payment: Json, decision: str) -> None:
        """Submit the customer's decision on the provider's page."""
        self.provider.submit_page(payment["next_action"]["redirect_url"], decision)
        self.count(f"customer: {decision}")


Customer = Callable[[Simulation, random.Random], None]


def weighted_choice(rng: random.Random, weights: dict[str, int]) -> str:
    """Return one of the keys, by weight."""
    return rng.choices(list(weights), list(weights.values()))[0]


def try_repeatedly(call: Callable[[], str]) -> str:
    """Return the result of a call to the provider, repeated while it fails."""
    for _ in range(FRONT_END_TRIES - 1):
        with contextlib.suppress(UnexpectedResult):
            return call()
    return call()


def random_amount(rng: random.Random) -> str:
    """Return an amount of a currency with cents."""
    return decimal_text(rng.randint(LEAST, MOST), "EUR")


def pay_by_card(simulation: Simulation, rng: random.Random) -> None:
    """Charge a card at once, or authorize the amount and capture it later."""
    is_authorization = rng.random() < 0.3
    token = weighted_choice(rng, CARDS)
    payment_id = simulation.pay(
        amount=random_amount(rng),
        currency=rng.choice(["EUR", "USD"]),
        payment_method=rng.choice(["credit_card", "debit_card", "apple_pay", "google_pay"]),
        payment_method_token=token,
        capture=not is_authorization,
    )
    operate(simulation, rng, simulation.wait(payment_id))


def pay_with_3d_secure(simulation: Simulation, rng: random.Random) -> None:
    """Pay by a card whose issuer requires 3-D Secure."""
    payment_id = simulation.pay(
        amount=random_amount(rng),
        currency="EUR",
        payment_method="credit_card",
        payment_method_token=THREE_D_SECURE_CARD,
    )
    payment = simulation.wait(payment_id)
    if payment["status"] == "requires_action":
        is_passed = rng.random() < 0.8
        simulation.provider.authenticate(payment, "success" if is_passed else "failure")
        simulation.count("customer: 3-D Secure")
        payment = simulation.wait(payment_id, *IDLE)
    operate(simulation, rng, payment)


def pay_by_debit(simulation: Simulation, rng: random.Random) -> None:
    """Pay by SEPA debit, which the bank pays or returns days later."""
    token = try_repeatedly(lambda: simulation.provider.create_bank_account(SEPA_TEST_IBAN))
    payment_id = simulation.pay(
        amount=random_amount(rng), currency="EUR", payment_method="sepa_debit", payment_method_token=token
    )
    payment = simulation.wait(payment_id, "pending", *IDLE)
    if payment["status"] == "pending":
        simulation.provider.finish_debit(payment, "success" if rng.random() < 0.8 else "failure")
        simulation.count("bank: debit")
        payment = simulation.wait(payment_id, *IDLE)
    operate(simulation, rng, payment)


def pay_on_page(method: str, currencies: dict[str, str], *, can_authorize: bool) -> Customer:
    """Return a customer who pays on the provider's page, in one of the currencies (with its country)."""

    def pay(simulation: Simulation, rng: random.Random) -> None:
        currency = rng.choice(list(currencies))
        payment_id = simulation.pay(
            amount=random_amount(rng),
            currency=currency,
            payment_method=method,
            capture=not (can_authorize and rng.random() < 0.3),
            billing_address=ADDRESS | {"country": currencies[currency]},
        )
        payment = simulation.wait(payment_id)
        if payment["status"] != "requires_action":
            return operate(simulation, rng, payment)
        if rng.random() < 0.1:
            return None  # the customer closes the page
        decision = weighted_choice(rng, DECISIONS)
        simulation.submit_page(payment, decision)
        if decision != "cancel":
            operate(simulation, rng, simulation.wait(payment_id, *IDLE, "requires_action"))
        return None

    return pay


def pay_by_invoice(simulation: Simulation, rng: random.Random) -> None:
    """Pay by bank transfer, which an operator records; or cancel."""
    payment_id = simulation.pay(amount=random_amount(rng), currency="EUR", payment_method="invoice")
    simulation.merchant.wait_for_status(payment_id, "requires_action")
    if rng.random() < 0.8:
        simulation.operator.record(payment_id, "statement")
        simulation.count("record")
    else:
        simulation.merchant.cancel(payment_id)
        simulation.count("cancel")
    simulation.wait(payment_id, "captured", "canceled")


def operate(simulation: Simulation, rng: random.Random, payment: Json) -> None:
    """Capture or void an authorized payment; refund a captured one."""
    if simulation.interfere(simulation, rng, payment):
        return
    if payment["status"] == "authorized":
        payment = capture_or_void(simulation, rng, payment)
    if payment["status"] == "captured" and payment["provider"] not in ("coinbase_commerce", "manual"):
        refund(simulation, rng, payment)


def capture_or_void(simulation: Simulation, rng: random.Random, payment: Json) -> Json:
    """Capture a part or all of an authorization, or void it."""
    currency = payment["currency"]
    if rng.random() < 0.2:
        simulation.merchant.cancel(payment["id"])
        simulation.count("void")
        return simulation.wait(payment["id"], "voided", "expired", "captured")
    whole = minor_units(payment["amount"], currency)
    part = whole if rng.random() < 0.5 else rng.randint(max(100, whole // 2), whole)
    simulation.merchant.capture(payment["id"], decimal_text(part, currency))
    simulation.count("capture")
    return simulation.wait(payment["id"], "captured", "voided", "expired", "authorized")


def refund(simulation: Simulation, rng: random.Random, payment: Json) -> None:
    """Request up to three refunds, and sometimes one that must be refused because it is too high."""
    currency = payment["currency"]
    left = minor_units(payment["captured_amount"], currency)
    for _ in range(rng.choice([0, 0, 1, 1, 2, 3])):
        minor = rng.randint(1, left) if left > 100 else left
        if minor <= 0:
            return
        try:
            simulation.merchant.refund(payment["id"], decimal_text(minor, currency))
        except UnexpectedResult as error:
            # A refund that fails later makes the rest of the amount refundable again, so both responses are right.
            if " 422" not in str(error) and " 409" not in str(error):
                raise
            return
        simulation.count("refund")
        left -= minor
    if rng.random() < 0.1:
        simulation.merchant.expect_refusal(payment["id"], "/refunds", {"amount": "999999.00"})
        simulation.count("refused refund")


# Every kind of customer, by its weight.
CUSTOMERS: dict[Customer, int] = {
    pay_by_card: 8,
    pay_with_3d_secure: 2,
    pay_by_debit: 2,
    pay_on_page("paypal", {"EUR": "DE", "USD": "US", "GBP": "GB"}, can_authorize=True): 4,
    pay_on_page("klarna", {"EUR": "DE", "SEK": "SE"}, can_authorize=True): 4,
    pay_on_page("afterpay", {"USD": "US"}, can_authorize=True): 4,
    pay_on_page("cryptocurrency", {"USD": "US", "EUR": "DE"}, can_authorize=False): 2,
    pay_on_page("bitcoin", {"USD": "US", "EUR": "DE"}, can_authorize=False): 2,
    pay_by_invoice: 1,
}
