"""A running sandbox with the official Stripe client and the control API."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import requests
import stripe

from sandbox.server import RunningSandbox
from tests.sandbox.receiver import SECONDS

DAY = 24 * 3600
CARD = {"allowed_payment_method_types": ["card"]}
ONLINE_MANDATE = {
    "customer_acceptance": {"type": "online", "online": {"ip_address": "127.0.0.1", "user_agent": "test"}}
}
PAYER = {
    "email": "jo@example.org",
    "name": "Jo Example",
    "address": {"line1": "1 High Street", "city": "Springfield", "postal_code": "12345", "country": "US"},
}
RETURN_URL = "https://shop.example/return?order=7"


@dataclass
class Bench:
    """A running sandbox, an official client of it, and its control API."""

    running: RunningSandbox
    client: stripe.StripeClient = field(init=False)

    def __post_init__(self) -> None:
        self.client = self.another_client()

    def another_client(self, **options: Any) -> stripe.StripeClient:
        return stripe.StripeClient("sk_test_sandbox", base_addresses={"api": self.running.url}, **options)

    def control(self, method: str, path: str, body: Any = None) -> Any:
        url = f"{self.running.url}/_sandbox/{path}"
        response = requests.request(method, url, json=body, timeout=SECONDS)
        response.raise_for_status()
        return response.json()

    def create(self, **params: Any) -> stripe.PaymentIntent:
        given = {"amount": 1000, "currency": "usd", **CARD, **params}
        return self.client.v1.payment_intents.create(
            {name: value for name, value in given.items() if value is not None}
        )

    def pay(self, method: str = "pm_card_visa", **params: Any) -> stripe.PaymentIntent:
        return self.create(payment_method=method, confirm=True, **params)

    def retrieve(self, id: str) -> stripe.PaymentIntent:
        return self.client.v1.payment_intents.retrieve(id, {"expand": ["latest_charge"]})

    def book(self, id: str) -> dict[str, Any]:
        return next(book for book in self.control("GET", "books")["books"] if book["object"] == id)

    def movements(self, id: str) -> list[tuple[str, int]]:
        rows = self.control("GET", "ledger")["movements"]
        return [(row["kind"], row["amount"]) for row in rows if row["parent"] == id]

    def attempts(self, id: str) -> list[str]:
        return [row["result"] for row in self.control("GET", "ledger")["attempts"] if row["object"] == id]

    def events(self, id: str) -> list[str]:
        """Return the types of the events about an intent and what belongs to it, oldest first."""
        found = [
            (event.type, event.data.object.to_dict())
            for event in self.client.v1.events.list({"limit": 100}).auto_paging_iter()
        ]
        about = [type for type, subject in found if id in (subject["id"], subject.get("payment_intent"))]
        return about[::-1]
