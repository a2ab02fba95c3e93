"""What the contract suite needs of a provider: a gateway, its sandbox's books, and a way to make things go wrong.

A new provider is one class like `StripeBench` and one line in `conftest.PROVIDERS`."""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
from datetime import UTC, datetime
from typing import Any, Protocol

import requests

from domain.methods import PaymentMethod
from domain.money import Money
from domain.payment import Verb
from gateways.base import Gateway, Order
from gateways.stripe import StripeGateway
from sandbox.server import RunningSandbox

SECONDS = 10.0
# How long a gateway of the suite waits for an answer, and how much longer a lost one takes.
READ_SECONDS = 1.0
LOST_SECONDS = 5.0


class Bench(Protocol):
    """One provider, as the suite sees it. Tokens and faults are named by what they do."""

    provider: str
    currency: str
    tokens: dict[str, str]
    calls: dict[str, str]

    def gateway(self, **changes: Any) -> Gateway:
        """Return a gateway that talks to the sandbox; changes are arguments of its constructor."""
        ...

    def pending_token(self, *, is_good: bool) -> tuple[PaymentMethod, str]:
        """Return a method that the bank answers later."""
        ...

    def let_bank_answer(self, reference: str, *, is_good: bool) -> None:
        """Bring a pending charge to its end."""
        ...

    def let_customer_act(self, reference: str, *, is_good: bool) -> None:
        """Bring a charge that waits for its customer to its end."""
        ...

    def event(self, reference: str) -> dict[str, Any]:
        """Return the last event about an object, as the provider sends it."""
        ...

    def headers(self, body: bytes, at: float, secret: str) -> dict[str, str]:
        """Return the headers of a delivery signed at that moment."""
        ...


class Books:
    """The sandbox's own ledger: the truth that outcomes are compared with."""

    def __init__(self, sandbox: RunningSandbox) -> None:
        self._sandbox = sandbox

    def movements(self, payment_id: str) -> list[tuple[str, int]]:
        """Return every movement of money of a payment, in order."""
        rows = self._sandbox.state.ledger.movements
        return [(row.kind, row.amount) for row in rows if row.metadata.get("payment_id") == payment_id]

    def moved(self, reference: str) -> list[tuple[str, int]]:
        """Return every movement of money of a provider's object, in order."""
        return [(row.kind, row.amount) for row in self._sandbox.state.ledger.movements if row.parent == reference]

    def fail(self, call: str, fault: Any, times: int | None = 1) -> None:
        """Let the next call of that name go wrong."""
        self._sandbox.state.faults.add(call, fault, times=times, seconds=LOST_SECONDS)


class StripeBench:
    """Stripe's sandbox."""

    provider = "stripe"
    currency = "EUR"
    secrets = ("whsec_new", "whsec_old")
    tokens = {
        "good": "pm_card_visa",
        "soft": "pm_card_visa_chargeDeclinedInsufficientFunds",
        "hard": "pm_card_visa_chargeDeclinedLostCard",
        "needs_customer": "pm_card_chargeDeclinedExpiredCard",
        "authentication": "pm_card_authenticationRequired",
        "refund_later": "pm_card_pendingRefund",
        "refund_fails": "pm_card_refundFail",
        "unknown": "pm_none",
    }
    calls = {
        "create": "payment_intents.create",
        "charge": "payment_intents.confirm",
        "retrieve": "payment_intents.retrieve",
        "capture": "payment_intents.capture",
        "void": "payment_intents.cancel",
        "refund": "refunds.create",
        "retrieve_refund": "refunds.list",
    }

    def __init__(self, sandbox: RunningSandbox) -> None:
        self._url = sandbox.url

    def gateway(self, **changes: Any) -> Gateway:
        given = {
            "secret_key": "sk_test_sandbox",
            "webhook_secrets": self.secrets,
            "base": self._url,
            "read_seconds": READ_SECONDS,
        }
        return StripeGateway(**(given | changes))

    def pending_token(self, *, is_good: bool) -> tuple[PaymentMethod, str]:
        iban = "DE89370400440532013000" if is_good else "DE62370400440532013202"
        data = {"type": "sepa_debit", "sepa_debit[iban]": iban}
        owner = {"billing_details[name]": "Jo", "billing_details[email]": "jo@example.org"}
        return PaymentMethod.SEPA_DEBIT, self._call("POST", "/v1/payment_methods", data | owner)["id"]

    def let_bank_answer(self, reference: str, *, is_good: bool) -> None:
        kind = "refunds" if reference.startswith("re_") else "intents"
        self._control(f"{kind}/{reference}/settle", is_good)

    def let_customer_act(self, reference: str, *, is_good: bool) -> None:
        self._control(f"intents/{reference}/authenticate", is_good)

    def event(self, reference: str) -> dict[str, Any]:
        found = self._call("GET", "/v1/events?limit=100")["data"]
        return next(event for event in found if event["data"]["object"]["id"] == reference)

    def headers(self, body: bytes, at: float, secret: str) -> dict[str, str]:
        digest = hmac.new(secret.encode(), f"{int(at)}.".encode() + body, hashlib.sha256).hexdigest()
        return {"Stripe-Signature": f"t={int(at)},v1={digest}"}

    def _control(self, path: str, is_good: bool) -> None:
        result = {"result": "success" if is_good else "failure"}
        requests.post(f"{self._url}/_sandbox/{path}", json=result, timeout=SECONDS).raise_for_status()

    def _call(self, method: str, path: str, data: Any = None) -> Any:
        answer = requests.request(method, self._url + path, data=data, auth=("sk_test_sandbox", ""), timeout=SECONDS)
        answer.raise_for_status()
        return answer.json()


def order(bench: Bench, verb: Verb = Verb.CHARGE, *, minor: int = 1000, card: str = "good", **changes: Any) -> Order:
    """Return an order of a new payment; `card` is one of the bench's names."""
    given: dict[str, Any] = {
        "payment_id": f"pay_{secrets.token_hex(8)}",
        "attempt_id": f"at_{secrets.token_hex(8)}",
        "verb": verb,
        "money": Money(minor, bench.currency),
        "method": PaymentMethod.CREDIT_CARD,
        "method_token": bench.tokens.get(card, card),
        "customer_token": None,
        "is_off_session": False,
        "wants_authentication": False,
        "return_url": "https://shop.example/return",
        "reference": None,
        "charge_reference": None,
        "retries": 0,
    }
    return Order(**(given | changes))


def body_of(event: Any) -> bytes:
    """Return an event as it travels."""
    return json.dumps(event).encode()


def now() -> datetime:
    """Return the time by which the suite signs."""
    return datetime.now(UTC)
