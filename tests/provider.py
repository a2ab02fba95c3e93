"""The sandbox in this process as its own back office sees it: Stripe's API, faults, banks, cards, and the ledger."""

from __future__ import annotations

from typing import Any

import pytest
import requests

from sandbox.server import RunningSandbox
from sandbox.stripe.api import Stripe
from tests.acceptance.harness import HTTP_SECONDS, Json

SECRET_KEY = "sk_test_sandbox_canary"


class Provider:
    """A sandbox that runs in a thread."""

    def __init__(self, sandbox: RunningSandbox) -> None:
        self._sandbox = sandbox

    def call(self, method: str, path: str, data: Json | None = None) -> Json:
        """Call Stripe's API beside us: as its dashboard, or as the customer's browser."""
        url, basic = self._sandbox.url + path, (SECRET_KEY, "")
        return _body(requests.request(method, url, data=data, auth=basic, timeout=HTTP_SECONDS))

    def control(self, path: str, body: Json) -> Json:
        """Call the sandbox's own controls."""
        return _body(requests.post(f"{self._sandbox.url}/_sandbox/{path}", json=body, timeout=HTTP_SECONDS))

    def fail(self, operation: str, fault: Any, times: int | None = 1, **how: Any) -> None:
        """Let the next calls of an operation fail."""
        self._sandbox.state.faults.add(operation, fault, times=times, **how)

    def heal(self) -> None:
        """End all faults."""
        self._sandbox.state.faults.clear()

    def fault_hits(self) -> int:
        """Return how many calls met the faults in force."""
        return sum(fault.hits for fault in self._sandbox.state.faults.all())

    def decide_at_bank(self, reference: str, result: str) -> None:
        """End a debit or a refund that is pending at the bank: success or failure."""
        kind = "refunds" if reference.startswith("re_") else "intents"
        self.control(f"{kind}/{reference}/settle", {"result": result})

    def scripted_card(self, *script: str | dict[str, str], brand: str = "visa") -> str:
        """Issue a card whose charges end as scripted; return its token."""
        return str(self.control("cards", {"script": list(script), "brand": brand})["id"])

    def bank_account(self) -> str:
        """Store a bank account; return its token."""
        owner = {"billing_details[name]": "Jo", "billing_details[email]": "jo@example.org"}
        iban = {"type": "sepa_debit", "sepa_debit[iban]": "DE89370400440532013000"}
        return str(self.call("POST", "/v1/payment_methods", iban | owner)["id"])

    def saved_bank_account(self) -> Json:
        """Return the fields of a request that debits a customer's bank account, any number of times."""
        card, customer = self.bank_account(), str(self.call("POST", "/v1/customers")["id"])
        self.call("POST", f"/v1/payment_methods/{card}/attach", {"customer": customer})
        return {"card": card, "customer_token": customer, "payment_method": "sepa_debit"}

    def event(self, event_type: str, reference: str) -> Json:
        """Return the newest event of a type about an object, as Stripe would deliver it."""
        events = self.call("GET", f"/v1/events?limit=100&type={event_type}")["data"]
        return next(event for event in events if event["data"]["object"]["id"] == reference)

    def movements(self) -> list[tuple[str, int]]:
        """Return every movement of money in the provider's books, in order."""
        return [(movement.kind, movement.amount) for movement in self._sandbox.state.ledger.movements]

    def intent_status(self, payment_id: str) -> str:
        """Return the status of a payment's newest intent."""
        intents = self._sandbox.state.provider_of(Stripe).account.intents.values()
        return [intent.body["status"] for intent in intents if intent.body["metadata"]["payment_id"] == payment_id][-1]


def sent_keys(monkeypatch: pytest.MonkeyPatch, ending: str) -> list[str]:
    """Return a list that will hold the idempotency key of every call that leaves for an address with this ending."""
    keys: list[str] = []
    send = requests.Session.send

    def send_and_note(self: requests.Session, request: requests.PreparedRequest, **how: Any) -> requests.Response:
        if request.method == "POST" and str(request.url).endswith(ending):
            keys.append(str(request.headers["Idempotency-Key"]))
        return send(self, request, **how)

    monkeypatch.setattr(requests.Session, "send", send_and_note)
    return keys


def _body(response: requests.Response) -> Json:
    assert response.ok, response.text
    body: Json = response.json()
    return body
