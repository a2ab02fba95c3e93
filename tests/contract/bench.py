"""What the contract suite needs of a provider: a gateway, its sandbox's books, and a way to make calls fail.

A new provider adds one file to `benches`; the suite runs with the class `ProviderBench` of each file."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol

from domain.money import Money
from domain.payment import Verb
from domain.payment_methods import PaymentMethod
from gateways.base import AttemptRequest, Gateway
from sandbox.ledger import Movement
from sandbox.server import RunningSandbox
from tests.patience import patient

SECONDS = patient(10)
# How long a gateway of the suite waits for a response, and the longer time that a lost one takes.
READ_SECONDS = patient(2)
LOST_SECONDS = 5 * READ_SECONDS
# The public address that the gateways of the suite give to providers.
API_URL = "https://pay.example/api/v1/payments"
CLAIMED_AT = datetime.now(UTC)
# The charge of a payment, where no provider is called.
ATTEMPT = AttemptRequest(
    payment_id="pay_1",
    attempt_id="at_1",
    verb=Verb.CHARGE,
    money=Money(1000, "EUR"),
    method=PaymentMethod.CREDIT_CARD,
    method_token="pm_card_visa",
    customer_token=None,
    is_off_session=False,
    wants_authentication=False,
    return_url=None,
    reference="pi_1",
    charge_reference="pi_1",
    retries=0,
    claimed_at=CLAIMED_AT,
)
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
    """One provider, as the suite sees it. `method`: the payment method of the suite's payments.

    `features`: what the provider can do, out of FEATURES. `tokens`: payment instruments by their result, at least
    "good"; the other names are those of DeclineClass, and "unknown", "authentication", "refund_later",
    "refund_fails" where the provider has them. `calls`: the sandbox's operations by the suite's names for them:
    "create", "charge", "retrieve", "capture", "void", "refund", "retrieve_refund". `credentials`: arguments that make a
    gateway with wrong credentials."""

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

    def ready(self, gateway: Gateway, attempt: AttemptRequest, card: str) -> AttemptRequest:
        """Bring a new attempt to the point where the next `gateway.charge` moves its money: for a provider whose
        customer approves first, with a created and approved object as its reference. `card`: a name in `tokens`."""
        ...

    def let_customer_act(self, reference: str, *, is_good: bool) -> None:
        """Let the customer of a waiting charge approve it, or let them or their bank refuse it."""
        ...

    def let_bank_decide(self, reference: str, *, is_good: bool) -> None:
        """Let the bank decide a pending charge or refund. Feature "pending" or "refund_later"."""
        ...

    def pending_token(self, *, is_good: bool) -> tuple[PaymentMethod, str]:
        """Return a method whose bank decides later, and its token. Feature "pending"."""
        ...

    def event(self, reference: str) -> dict[str, Any]:
        """Return the last event about an object, as the provider sends it. Feature "webhooks"."""
        ...

    def signed(self, event: Any, *, seconds: float = 0, is_forged: bool = False) -> Webhook:
        """Return an event (JSON, or raw bytes) as the provider delivers it, stamped that many seconds from now."""
        ...

    def strange_events(self) -> Iterable[Any]:
        """Return events of undocumented types or forms, which concern no payment."""
        ...


# charge: a call of the gateway moves the money. authorize: hold now, capture or void later. partial_capture: of a part
# of it. action: the customer acts at the provider. void_unfinished: a charge that waits for the customer can be
# canceled. pending: the bank decides later. off_session: charges while the customer is away. refund: by a call.
# webhooks: about payments. refund_webhooks: about refunds too. signed: over the body. stamped: with the time.
# secrets: several verify. front_end: a browser confirms.
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
    """One webhook delivery, as a gateway receives it."""

    body: bytes
    headers: Mapping[str, str]
    url: str = ""


class Books:
    """The sandbox's own ledger, with which outcomes are compared."""

    def __init__(self, sandbox: RunningSandbox) -> None:
        self._sandbox = sandbox

    def movements(self, payment_id: str) -> list[tuple[str, int]]:
        """Return kind and amount of each movement of a payment's money, in order."""
        rows = self._sandbox.state.ledger.movements
        return list(_as_requested(row for row in rows if row.metadata.get("payment_id") == payment_id))

    def moved(self, reference: str) -> list[tuple[str, int]]:
        """Return kind and amount of each movement of money of a provider's object, in order."""
        return list(_as_requested(row for row in self._sandbox.state.ledger.movements if row.parent == reference))

    def fail(self, call: str, fault: Any, times: int | None = 1) -> None:
        """Let the next call of that name fail."""
        self._sandbox.state.faults.add(call, fault, times=times, seconds=LOST_SECONDS)


def _as_requested(rows: Iterable[Movement]) -> Iterator[tuple[str, int]]:
    """Yield movements as the attempt requested them.

    A provider may hold the money as soon as its customer agrees, also for a charge, which the metadata show. Its hold
    and capture then count as one charge, and its hold alone has moved nothing."""
    for row in rows:
        if row.metadata.get("verb") != Verb.CHARGE or row.kind not in ("authorization", "capture", "void"):
            yield row.kind, row.amount
        elif row.kind == "capture":
            yield "charge", row.amount


def ready_attempt(
    bench: Bench, verb: Verb = Verb.CHARGE, *, minor: int = 1000, card: str = "good", **changes: Any
) -> AttemptRequest:
    """Return an attempt of a new payment, at the point where the next `gateway.charge` moves its money.

    `card`: one of the names in `bench.tokens`."""
    gateway: Gateway = changes.pop("gateway", None) or bench.gateway()
    return bench.ready(gateway, new_attempt(bench, verb, minor=minor, **changes), card)


def new_attempt(bench: Bench, verb: Verb = Verb.CHARGE, *, minor: int = 1000, **changes: Any) -> AttemptRequest:
    """Return an attempt of a new payment that the provider has not seen."""
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
        "claimed_at": CLAIMED_AT,
        "payer": PAYER,
    }
    return AttemptRequest(**(given | changes))


def body_of(event: Any) -> bytes:
    """Return an event as the body of a request."""
    return event if isinstance(event, bytes) else json.dumps(event).encode()


def now() -> datetime:
    """Return the time of the suite's signatures."""
    return datetime.now(UTC)
