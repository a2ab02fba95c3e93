"""What a random customer of a random application does: a story for each way to pay, its choices drawn from a seed.

Every story goes through the public API and the pages of the providers, and counts what it asked for."""

from __future__ import annotations

import contextlib
import random
import secrets
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from stack.books import minor_units
from stack.client import DemoError, Json, Merchant, Provider

AT_REST = ("captured", "declined", "authorized", "canceled", "failed", "voided", "expired", "refunded", "review")
ADDRESS = {
    "given_name": "Ada",
    "family_name": "Example",
    "line1": "1 High Street",
    "city": "Springfield",
    "postal_code": "12345",
}
CARDS = {
    "pm_card_visa": 12,
    "pm_card_mastercard": 3,
    "pm_card_chargeDeclined": 1,
    "pm_card_visa_chargeDeclinedInsufficientFunds": 1,
}
CHALLENGED = "pm_card_authenticationRequired"
DECISIONS = {"approve": 8, "decline": 1, "cancel": 1}


@dataclass
class Street:
    """Where the stories take place: the application, its operator, the providers; and what happened there."""

    merchant: Merchant
    operator: Merchant
    provider: Provider
    counts: Counter[str] = field(default_factory=Counter)
    payment_ids: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def count(self, what: str) -> None:
        """Count an operation."""
        with self.lock:
            self.counts[what] += 1

    def buy(self, **order: Any) -> str:
        """Enqueue a payment; return its id."""
        unique = secrets.token_hex(6)
        body = {"invoice_id": f"inv-{unique}", "user_id": f"user-{unique}", "email": f"user-{unique}@example.com"}
        payment_id: str = self.merchant.process({"return_url": "https://shop.example/thanks", **body, **order})["id"]
        self.count("payment")
        with self.lock:
            self.payment_ids.append(payment_id)
        return payment_id

    def rest(self, payment_id: str, *statuses: str) -> Json:
        """Wait until a payment rests or waits for its customer."""
        return self.merchant.wait_status(payment_id, *(statuses or (*AT_REST, "requires_action", "pending")))

    def decide(self, payment: Json, decision: str) -> None:
        """Be the customer on the provider's page: decide, and follow the way back."""
        self.provider.visit(payment["next_action"]["redirect_url"], decision)
        self.count(f"customer: {decision}")


Story = Callable[[Street, random.Random], None]


def draw(dice: random.Random, weights: dict[str, int]) -> str:
    """Return one of the names, by weight."""
    return dice.choices(list(weights), list(weights.values()))[0]


def insist(ask: Callable[[], str], times: int = 8) -> str:
    """Ask the provider as a front end does: again when it fails."""
    for _ in range(times - 1):
        with contextlib.suppress(DemoError):
            return ask()
    return ask()


def amount(dice: random.Random) -> str:
    """Return an amount that no fraud rule minds."""
    return cents(dice.randint(500, 20_000))


def cents(minor: int) -> str:
    """Write an amount of a currency with cents.

    >>> cents(1205)
    '12.05'
    """
    return f"{minor // 100}.{minor % 100:02d}"


def card(street: Street, dice: random.Random) -> None:
    """Pay by card at once, or hold it and capture a part later."""
    is_later = dice.random() < 0.3
    token = draw(dice, CARDS)
    payment_id = street.buy(
        amount=amount(dice),
        currency=dice.choice(["EUR", "USD"]),
        payment_method=dice.choice(["credit_card", "debit_card", "apple_pay", "google_pay"]),
        payment_method_token=token,
        capture=not is_later,
    )
    finish(street, dice, street.rest(payment_id))


def three_d_secure(street: Street, dice: random.Random) -> None:
    """Pay with a card whose issuer wants to see the customer."""
    payment_id = street.buy(
        amount=amount(dice),
        currency="EUR",
        payment_method="credit_card",
        payment_method_token=CHALLENGED,
    )
    payment = street.rest(payment_id)
    if payment["status"] == "requires_action":
        is_passed = dice.random() < 0.8
        street.provider.authenticate(payment, "success" if is_passed else "failure")
        street.count("customer: 3-D Secure")
        payment = street.rest(payment_id, *AT_REST)
    finish(street, dice, payment)


def debit(street: Street, dice: random.Random) -> None:
    """Pay by SEPA debit, which the bank honours or returns days later."""
    token = insist(lambda: street.provider.bank_account("DE89370400440532013000"))
    payment_id = street.buy(
        amount=amount(dice), currency="EUR", payment_method="sepa_debit", payment_method_token=token
    )
    payment = street.rest(payment_id, "pending", *AT_REST)
    if payment["status"] == "pending":
        street.provider.settle(payment, "success" if dice.random() < 0.8 else "failure")
        street.count("bank answer")
        payment = street.rest(payment_id, *AT_REST)
    finish(street, dice, payment)


def hosted(method: str, currencies: dict[str, str], *, can_hold: bool) -> Story:
    """Return the story of a method whose customer approves at the provider; currencies with their countries."""

    def story(street: Street, dice: random.Random) -> None:
        currency = dice.choice(list(currencies))
        payment_id = street.buy(
            amount=amount(dice),
            currency=currency,
            payment_method=method,
            capture=not (can_hold and dice.random() < 0.3),
            billing_address=ADDRESS | {"country": currencies[currency]},
        )
        payment = street.rest(payment_id)
        if payment["status"] != "requires_action":
            return finish(street, dice, payment)
        if dice.random() < 0.1:
            return None  # walks away
        decision = draw(dice, DECISIONS)
        street.decide(payment, decision)
        if decision != "cancel":
            finish(street, dice, street.rest(payment_id, *AT_REST, "requires_action"))
        return None

    return story


def invoice(street: Street, dice: random.Random) -> None:
    """Pay by bank; an operator sees it and records it, or the customer is let off."""
    payment_id = street.buy(amount=amount(dice), currency="EUR", payment_method="invoice")
    street.rest(payment_id, "requires_action")
    if dice.random() < 0.8:
        street.operator.record(payment_id, "statement")
        street.count("record")
    else:
        street.merchant.cancel(payment_id)
        street.count("cancel")
    street.rest(payment_id, "captured", "canceled")


def finish(street: Street, dice: random.Random, payment: Json) -> None:
    """Capture or void what is held; give back a part, all, or more than there is."""
    if payment["status"] == "authorized":
        payment = use_authorization(street, dice, payment)
    if payment["status"] == "captured" and payment["provider"] not in ("coinbase_commerce", "manual"):
        give_back(street, dice, payment)


def use_authorization(street: Street, dice: random.Random, payment: Json) -> Json:
    """Capture a part or all of what is held, or let it go."""
    if dice.random() < 0.2:
        street.merchant.cancel(payment["id"])
        street.count("void")
        return street.rest(payment["id"], "voided", "expired", "captured")
    whole = minor_units(payment["amount"], payment["currency"])
    part = whole if dice.random() < 0.5 else dice.randint(max(100, whole // 2), whole)
    street.merchant.capture(payment["id"], cents(part))
    street.count("capture")
    return street.rest(payment["id"], "captured", "voided", "expired", "authorized")


def give_back(street: Street, dice: random.Random, payment: Json) -> None:
    """Ask for up to three refunds, one of them perhaps for more than is left."""
    left = minor_units(payment["captured_amount"], payment["currency"])
    for _ in range(dice.choice([0, 0, 1, 1, 2, 3])):
        minor = dice.randint(1, left) if left > 100 else left
        if minor <= 0:
            return
        try:
            street.merchant.refund(payment["id"], cents(minor))
        except DemoError as error:
            if " 422" not in str(error) and " 409" not in str(error):
                raise
            return
        street.count("refund")
        left -= minor
    if dice.random() < 0.1:
        street.merchant.refuses(payment["id"], "/refunds", {"amount": "999999.00"})
        street.count("refund refused")


# How often each story is told.
STORIES: dict[Story, int] = {
    card: 8,
    three_d_secure: 2,
    debit: 2,
    hosted("paypal", {"EUR": "DE", "USD": "US", "GBP": "GB"}, can_hold=True): 4,
    hosted("klarna", {"EUR": "DE", "SEK": "SE"}, can_hold=True): 4,
    hosted("afterpay", {"USD": "US"}, can_hold=True): 4,
    hosted("cryptocurrency", {"USD": "US", "EUR": "DE"}, can_hold=False): 2,
    hosted("bitcoin", {"USD": "US", "EUR": "DE"}, can_hold=False): 2,
    invoice: 1,
}
