"""The demo's two views from outside: the merchant's and the provider's.

The merchant speaks the public API only; the provider is the sandbox with its controls and its books.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

import requests

from stack.process import wait_until

Json = dict[str, Any]
REST_SECONDS = 30
POLL_SECONDS = 0.2
REQUEST_SECONDS = 30


class DemoError(Exception):
    """Something did not go as the scenario says; the message tells which payment and how."""


class Merchant:
    """One merchant's client of the public API."""

    def __init__(self, api_url: str, key: str, rest_seconds: float = REST_SECONDS) -> None:
        self._api = api_url
        self._rest_seconds = rest_seconds
        self._session = requests.Session()
        self._session.headers["Authorization"] = f"Bearer {key}"

    def process(self, order: Json) -> Json:
        """Enqueue a payment."""
        return self._call("POST", "/process", order)

    def payment(self, payment_id: str) -> Json:
        """Read a payment."""
        return self._call("GET", f"/{payment_id}")

    def capture(self, payment_id: str, amount: str) -> None:
        """Take a part of what was authorized."""
        self._call("POST", f"/{payment_id}/capture", {"amount": amount})

    def cancel(self, payment_id: str) -> None:
        """Give back what was authorized."""
        self._call("POST", f"/{payment_id}/cancel")

    def refund(self, payment_id: str, amount: str) -> None:
        """Give back a part of what was captured, or all of it."""
        self._call("POST", f"/{payment_id}/refunds", {"amount": amount})

    def record(self, payment_id: str, reference: str) -> None:
        """Record as an operator that a payment by invoice has come."""
        self._call("POST", f"/admin/payments/{payment_id}/record", {"reference": reference})

    def review(self, payment_id: str, decision: str) -> None:
        """Decide as an operator on a payment that waits for review."""
        self._call("POST", f"/{payment_id}/review", {"decision": decision})

    def refuses(self, payment_id: str, operation: str, body: Json) -> None:
        """Ask for what must be refused; raise DemoError when it is not."""
        headers = {"Idempotency-Key": str(uuid.uuid4())}
        address = f"{self._api}/{payment_id}{operation}"
        response = self._session.post(address, json=body, headers=headers, timeout=REQUEST_SECONDS)
        if not 400 <= response.status_code < 500:
            raise DemoError(f"{operation} of {payment_id} with {body} answered {response.status_code}")

    def subscription(self, subscription_id: str) -> Json:
        """Read a subscription."""
        return self._call("GET", f"/subscriptions/{subscription_id}")

    def wait_for(self, payment_id: str, condition: Callable[[Json], bool], what: str) -> Json:
        """Read a payment until `condition` holds of it and return it; raise DemoError when it never does."""
        payment: Json = {}

        def holds() -> bool:
            payment.update(self.payment(payment_id))
            return condition(payment)

        if not wait_until(holds, self._rest_seconds, POLL_SECONDS):
            raise DemoError(f"payment {payment_id} is {payment['status']} instead of {what}")
        return payment

    def wait_status(self, payment_id: str, *statuses: str) -> Json:
        """Wait until a payment has one of the statuses."""
        return self.wait_for(payment_id, lambda payment: payment["status"] in statuses, " or ".join(statuses))

    def _call(self, method: str, path: str, body: Json | None = None) -> Json:
        headers = {"Idempotency-Key": str(uuid.uuid4())} if method == "POST" else {}
        return call(self._session, method, self._api + path, json=body, headers=headers)


class Provider:
    """The sandbox, as its own back office sees it."""

    def __init__(self, url: str, secret_key: str) -> None:
        self._url = url
        self._session = requests.Session()
        self._session.auth = (secret_key, "")

    def card(self, *script: str) -> str:
        """Issue a card that answers its charges as scripted; return its token."""
        token: str = self._post("/_sandbox/cards", {"script": list(script)})["id"]
        return token

    def bank_account(self, iban: str) -> str:
        """Store a SEPA mandate as a front end would; return its token."""
        form = {
            "type": "sepa_debit",
            "sepa_debit[iban]": iban,
            "billing_details[name]": "Ada Example",
            "billing_details[email]": "ada@example.com",
        }
        token: str = call(self._session, "POST", f"{self._url}/v1/payment_methods", data=form)["id"]
        return token

    def authenticate(self, payment: Json, result: str = "success") -> None:
        """Let the customer pass 3D Secure, or fail it."""
        self._post(f"/_sandbox/intents/{reference(payment)}/authenticate", {"result": result})

    def settle(self, payment: Json, result: str = "success") -> None:
        """Let the bank debit arrive, or fail."""
        self._post(f"/_sandbox/intents/{reference(payment)}/settle", {"result": result})

    def fund(self, payment: Json, minor: int | None = None) -> None:
        """Send a bank transfer: so much, or all that is still missing."""
        body = {} if minor is None else {"amount": minor}
        self._post(f"/_sandbox/intents/{reference(payment)}/fund", body)

    def hold_webhooks(self, seconds: float) -> None:
        """Deliver every webhook that much later."""
        self._post("/_sandbox/webhooks", {"delay_seconds": seconds})

    def visit(self, page: str, decision: str) -> None:
        """Be the customer on a provider's page: decide, and go where the provider sends him, as far as our own
        address; the application's page is not visited."""
        try:
            form = decision_form(decision)
            response = requests.post(page, data=form, allow_redirects=False, timeout=REQUEST_SECONDS)
            way = response.headers.get("Location", "")
            if "/returns/" in way:
                requests.get(way, allow_redirects=False, timeout=REQUEST_SECONDS)
        except requests.RequestException as error:
            raise DemoError(f"{page} failed: {error}") from error
        if response.status_code >= 400:
            raise DemoError(f"{page} answered {response.status_code}: {response.text[:300]}")

    def trouble(self, rate: float, seconds: float) -> None:
        """Let a share of all calls go wrong in each way, and a share of the webhooks come doubled or late."""
        for fault in ("timeout_after", "error_after", "error_before", "reset_after", "reset_before"):
            order = {"operation": "*", "fault": fault, "times": None, "rate": rate, "seconds": seconds}
            self._post("/_sandbox/faults", order)
        self._post("/_sandbox/webhooks", {"duplicate": 2, "duplicate_rate": rate, "hold_rate": rate})

    def heal(self) -> int:
        """End all trouble; return how many calls it struck."""
        faults = call(self._session, "GET", f"{self._url}/_sandbox/faults")["faults"]
        call(self._session, "DELETE", f"{self._url}/_sandbox/faults")
        self._post("/_sandbox/webhooks", {"duplicate": 1, "duplicate_rate": 1, "hold_rate": 0})
        return sum(fault["hits"] for fault in faults)

    def webhooks(self) -> Json:
        """Return how many webhooks are pending and delivered."""
        return call(self._session, "GET", f"{self._url}/_sandbox/webhooks")

    def movements(self) -> list[Json]:
        """Return every movement of money in the provider's ledger."""
        movements: list[Json] = call(self._session, "GET", f"{self._url}/_sandbox/ledger")["movements"]
        return movements

    def lose_next_answer(self) -> None:
        """Charge once without answering."""
        fault = {"operation": "payment_intents.confirm", "fault": "timeout_after", "times": 1, "seconds": 1}
        self._post("/_sandbox/faults", fault)

    def books(self) -> list[Json]:
        """Return the provider's own record of every charge."""
        books: list[Json] = call(self._session, "GET", f"{self._url}/_sandbox/books")["books"]
        return books

    def _post(self, path: str, body: Json) -> Json:
        return call(self._session, "POST", self._url + path, json=body)


def call(session: requests.Session, method: str, url: str, **options: Any) -> Json:
    """Return the JSON answer; raise DemoError for an answer that is none, or an error."""
    try:
        response = session.request(method, url, timeout=REQUEST_SECONDS, **options)
        if not response.ok:
            raise DemoError(f"{method} {url} answered {response.status_code}: {response.text[:300]}")
        result: Json = response.json()
    except requests.RequestException as error:
        raise DemoError(f"{method} {url} failed: {error}") from error
    return result


def decision_form(decision: str) -> Json:
    """Return what the page of any provider is sent; Stripe's asks for a result."""
    return {"decision": decision, "result": "success" if decision == "approve" else "failure"}


def reference(payment: Json) -> str:
    """Return the provider's id of a payment's first attempt."""
    result: str = payment["attempts"][0]["provider_reference"]
    return result
