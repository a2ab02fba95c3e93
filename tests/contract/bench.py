"""What the contract suite needs of a provider: a gateway, its sandbox's books, and a way to make things go wrong.

A new provider is one file in `benches`, whose class `ProviderBench` the suite finds by itself."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol

from domain.methods import PaymentMethod
from domain.money import Money
from domain.payment import Verb
from gateways.base import Gateway, Order
from sandbox.ledger import Movement
from sandbox.server import RunningSandbox
from tests.patience import patient

SECONDS = patient(10)
# How long a gateway of the suite waits for an answer, and how much longer a lost one takes.
READ_SECONDS = patient(1)
LOST_SECONDS = 5 * READ_SECONDS
# Where a gateway of the suite says that providers reach us.
API_URL = "https://pay.example/api/v1/payments"
PAYER = {
    "email": "jo@example.org",
    "billing_address": {
        "given_name": "Jo",
        "family_name": "Example",
        "line1": "1 High Street",
        "city": "Springfield",
        "postal_code": "12345",
        "country": "US",
    },
}


class Bench(Protocol):
    """One provider, as the suite sees it. `provider` names it, `method` is what the suite pays with.

    `features` are what the provider can do at all, out of FEATURES. `tokens`: instruments by what comes of them, at
    least "good"; other names are those of DeclineClass, and "unknown", "authentication", "refund_later",
    "refund_fails" where the provider has such a thing. `calls`: the sandbox's operations by what the suite calls
    them: "create", "charge", "retrieve", "capture", "void", "refund", "retrieve_refund". `credentials`: what a
    gateway with wrong ones is made with."""

    provider: str
    currency: str
    method: PaymentMethod
    features: frozenset[str]
    tokens: Mapping[str, str | None]
    calls: Mapping[str, str]
    credentials: Mapping[str, Any]

    def gateway(self, **changes: Any) -> Gateway:
        """Return a gateway that talks to the sandbox; changes are arguments of its constructor."""
        ...

    def ready(self, gateway: Gateway, asked: Order, card: str) -> Order:
        """Bring a new order to where the next `gateway.charge` moves its money: for a provider whose customer
        approves first, with a created and approved object as its reference. `card`: a name in `tokens`."""
        ...

    def let_customer_act(self, reference: str, *, is_good: bool) -> None:
        """Bring a charge that waits for its customer on: approved, or refused by him or his bank."""
        ...

    def let_bank_answer(self, reference: str, *, is_good: bool) -> None:
        """Bring a pending charge or refund to its end. Feature "pending" or "refund_later"."""
        ...

    def pending_token(self, *, is_good: bool) -> tuple[PaymentMethod, str]:
        """Return a method that the bank answers later. Feature "pending"."""
        ...

    def event(self, reference: str) -> dict[str, Any]:
        """Return the last event about an object, as the provider sends it. Feature "webhooks"."""
        ...

    def signed(self, event: Any, *, seconds: float = 0, is_forged: bool = False) -> Webhook:
        """Return an event (JSON, or raw bytes) as the provider delivers it, stamped that many seconds from now."""
        ...

    def strange_events(self) -> Iterable[Any]:
        """Return signed events of types or shapes that nobody knows, which tell nothing about a payment."""
        ...


# charge: a call of ours moves the money. authorize: hold now, capture or void later. partial_capture: less than was
# held. action: the customer acts at the provider. void_unfinished: a charge that waits for him can be closed.
# pending: the bank answers later. refund: by a call. webhooks:
# about payments. refund_webhooks: about refunds too. signed: over the body. stamped: with the time. secrets: several
# verify. front_end: a browser confirms.
FEATURES = frozenset(
    {
        "charge",
        "authorize",
        "partial_capture",
        "action",
        "void_unfinished",
        "pending",
        "off_session",
        "refund",
        "webhooks",
        "refund_webhooks",
        "signed",
        "stamped",
        "secrets",
        "front_end",
    }
)


@dataclass(frozen=True)
class Webhook:
    """One delivery, as a gateway is shown it."""

    body: bytes
    headers: Mapping[str, str]
    url: str = ""


class Books:
    """The sandbox's own ledger: the truth that outcomes are compared with."""

    def __init__(self, sandbox: RunningSandbox) -> None:
        self._sandbox = sandbox

    def movements(self, payment_id: str) -> list[tuple[str, int]]:
        """Return every movement of money of a payment, in order."""
        rows = self._sandbox.state.ledger.movements
        return list(_as_asked(row for row in rows if row.metadata.get("payment_id") == payment_id))

    def moved(self, reference: str) -> list[tuple[str, int]]:
        """Return every movement of money of a provider's object, in order."""
        return list(_as_asked(row for row in self._sandbox.state.ledger.movements if row.parent == reference))

    def fail(self, call: str, fault: Any, times: int | None = 1) -> None:
        """Let the next call of that name go wrong."""
        self._sandbox.state.faults.add(call, fault, times=times, seconds=LOST_SECONDS)


def _as_asked(rows: Iterable[Movement]) -> Iterator[tuple[str, int]]:
    """Yield movements as they were asked for. A provider may hold the money as soon as its customer agrees, also for
    what is then charged, which its metadata tell: hold and capture are one charge, and a hold alone has moved none."""
    for row in rows:
        if row.metadata.get("verb") != Verb.CHARGE or row.kind not in ("authorization", "capture", "void"):
            yield row.kind, row.amount
        elif row.kind == "capture":
            yield "charge", row.amount


def order(bench: Bench, verb: Verb = Verb.CHARGE, *, minor: int = 1000, card: str = "good", **changes: Any) -> Order:
    """Return an order of a new payment, brought to where the next `gateway.charge` moves its money.

    `card` is one of the bench's names."""
    gateway: Gateway = changes.pop("gateway", None) or bench.gateway()
    return bench.ready(gateway, new_order(bench, verb, minor=minor, **changes), card)


def new_order(bench: Bench, verb: Verb = Verb.CHARGE, *, minor: int = 1000, **changes: Any) -> Order:
    """Return an order of a new payment, of which the provider knows nothing."""
    given: dict[str, Any] = {
        "payment_id": f"pay_{secrets.token_hex(16)}",
        "attempt_id": f"at_{secrets.token_hex(16)}",
        "verb": verb,
        "money": Money(minor, bench.currency),
        "method": bench.method,
        "method_token": bench.tokens["good"],
        "customer_token": None,
        "is_off_session": False,
        "wants_authentication": False,
        "return_url": "https://shop.example/return",
        "reference": None,
        "charge_reference": None,
        "retries": 0,
        "payer": PAYER,
    }
    return Order(**(given | changes))


def body_of(event: Any) -> bytes:
    """Return an event as it travels."""
    return event if isinstance(event, bytes) else json.dumps(event).encode()


def now() -> datetime:
    """Return the time by which the suite signs."""
    return datetime.now(UTC)
