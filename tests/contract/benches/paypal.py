"""PayPal: the buyer approves each payment there, or has saved an account that is charged without them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from time import monotonic
from typing import Any

import requests

from domain.outcome import ActionRequired
from domain.payment import Verb
from domain.payment_methods import PaymentMethod
from gateways.base import AttemptRequest, Gateway
from gateways.paypal.gateway import PayPalGateway
from sandbox.paypal import signing
from sandbox.paypal.api import PayPal
from sandbox.paypal.events import WEBHOOK_ID
from sandbox.server import RunningSandbox
from tests.contract.bench import API_URL, READ_SECONDS, SECONDS, Webhook, body_of, now
from tests.contract.bench import ready_attempt as approved_order

# The sandbox's name for each result that the suite wants.
SCENARIOS = {
    "good": "COMPLETED",
    "soft": "5120",
    "hard": "9520",
    "needs_customer": "5400",
    "refund_later": "REFUND_PENDING",
}
# An event type for each model of a resource.
RESOURCES = {
    "OrderEvent": "CHECKOUT.ORDER.APPROVED",
    "PaymentEvent": "PAYMENT.CAPTURE.COMPLETED",
    "RefundEvent": "PAYMENT.REFUND.X",
    "Dispute": "CUSTOMER.DISPUTE.CREATED",
}


def event_of(type: str, resource: Any) -> dict[str, Any]:
    """Return an event about a resource."""
    return {"id": "WH-1", "event_type": type, "resource": resource}


@dataclass
class MemoryTokens:
    """A store of access tokens in memory, shared like the database's."""

    tokens: dict[str, tuple[str, float]] = field(default_factory=dict)
    claims: dict[str, float] = field(default_factory=dict)

    def find(self, name: str) -> Any:
        stored = self.tokens.get(name)
        return stored and StoredToken(stored[0], stored[1] - monotonic())

    def claim(self, name: str, seconds: float) -> bool:
        if self.claims.get(name, 0) > monotonic():
            return False
        self.claims[name] = monotonic() + seconds
        return True

    def put(self, name: str, encrypted: str, seconds: float) -> None:
        self.tokens[name] = (encrypted, monotonic() + seconds)
        self.claims.pop(name, None)


@dataclass(frozen=True)
class StoredToken:
    """A token of such a store."""

    encrypted: str
    seconds_left: float


class ProviderBench:
    """PayPal's sandbox."""

    provider = "paypal"
    currency = "EUR"
    method = PaymentMethod.PAYPAL
    features = frozenset(
        {
            "charge",
            "authorize",
            "partial_capture",
            "action",
            "void_unfinished",
            "off_session",
            "refund",
            "webhooks",
            "refund_webhooks",
            "signed",
            "stamped",
        }
    )
    tokens: Mapping[str, str | None] = {**SCENARIOS, "good": None}
    credentials: Mapping[str, Any] = {"client_secret": "wrong"}
    calls: Mapping[str, str] = {
        "create": "paypal.orders.create",
        "charge": "paypal.orders.capture",
        "retrieve": "paypal.orders.get",
        "capture": "paypal.authorizations.capture",
        "void": "paypal.authorizations.void",
        "refund": "paypal.captures.refund",
        "retrieve_refund": "paypal.orders.get",
    }

    def __init__(self, sandbox: RunningSandbox) -> None:
        self.url = sandbox.url
        self.simulated = next(each for each in sandbox.state.providers if isinstance(each, PayPal))
        self.account = self.simulated.account
        self.store = MemoryTokens()

    def gateway(self, **changes: Any) -> Gateway:
        arguments = {
            "client_id": "sandbox-client",
            "client_secret": "sandbox-secret",
            "tokens": self.store,
            "webhook_id": WEBHOOK_ID,
            "base": f"{self.url}/paypal",
            "api_url": API_URL,
            "read_seconds": READ_SECONDS,
        }
        return PayPalGateway(**(arguments | changes))

    def ready(self, gateway: Gateway, attempt: AttemptRequest, card: str) -> AttemptRequest:
        if attempt.is_off_session:
            return replace(attempt, method_token=f"sandbox_{SCENARIOS[card]}")
        attempt = replace(attempt, method_token=None)
        created = gateway.charge(attempt, lambda _: None)
        assert isinstance(created, ActionRequired)
        self.set_scenario(created.reference, SCENARIOS[card])
        self.let_customer_act(created.reference, is_good=True)
        return replace(attempt, reference=created.reference)

    def set_scenario(self, reference: str, scenario: str) -> None:
        """Choose the result of the next capture of an order."""
        self.control(f"{reference}/scenario", scenario=scenario)

    def approved_in_scenario(self, scenario: str, verb: Verb = Verb.CHARGE) -> AttemptRequest:
        """Return the attempt of an approved order whose capture ends as the scenario says."""
        approved = approved_order(self, verb)
        self.set_scenario(approved.reference, scenario)
        return approved

    def let_customer_act(self, reference: str, *, is_good: bool) -> None:
        self.control(reference, decision="approve" if is_good else "decline")

    def let_bank_decide(self, reference: str, *, is_good: bool) -> None:
        self.control(f"{reference}/settle", result="success" if is_good else "failure")

    def emit(self, type: str, id: str, **more: Any) -> None:
        """Emit an event of this type about a subscription or a saved account."""
        self.control(f"{id}/emit", event_type=type, **more)

    def control(self, path: str, **body: Any) -> Any:
        """Call a control route of the sandbox; return its response."""
        response = requests.post(f"{self.url}/_sandbox/paypal/{path}", json=body, timeout=SECONDS)
        response.raise_for_status()
        return response.json() if response.content else None

    def pending_token(self, *, is_good: bool) -> tuple[PaymentMethod, str]:
        return self.method, "sandbox_PENDING"

    def event(self, reference: str) -> dict[str, Any]:
        response = requests.get(f"{self.url}/_sandbox/paypal/{reference}/events", timeout=SECONDS)
        return response.json()["events"][-1]

    def read_order(self, reference: str) -> Any:
        """Return an order as PayPal's API shows it."""
        token = next(reversed(self.simulated.tokens))
        address = f"{self.url}/paypal/v2/checkout/orders/{reference}"
        return requests.get(address, headers={"Authorization": f"Bearer {token}"}, timeout=SECONDS).json()

    def signed(
        self, event: Any, *, seconds: float = 0, is_forged: bool = False, webhook_id: str = WEBHOOK_ID
    ) -> Webhook:
        body, at = body_of(event), now().timestamp() + seconds
        signed = b"other" if is_forged else body
        return Webhook(body, signing.headers(signed, webhook_id, at, f"{self.url}/paypal"))

    def strange_events(self) -> list[Any]:
        resources: list[Any] = [None, "text", [], {}, {"supplementary_data": 7}, {"purchase_units": {}}]
        # The resource of a capture event may name neither an order nor an attempt.
        captures: list[Any] = [{}, {"purchase_units": {}}]
        return [
            *(event_of("INVENTED.TOMORROW", resource) for resource in resources),
            *(event_of("PAYMENT.CAPTURE.COMPLETED", resource) for resource in captures),
        ]

    def malformed_events(self) -> list[Any]:
        """Return events without what the documents require, by the field that is wrong."""
        return [
            ("Event.event_type", {"id": "WH-1", "event_type": 1}),
            ("Dispute", {"id": "WH-1", "event_type": "CUSTOMER.DISPUTE.CREATED"}),
            ("Dispute.dispute_id", event_of("CUSTOMER.DISPUTE.CREATED", {})),
            ("PaymentEvent.supplementary_data", event_of("PAYMENT.CAPTURE.COMPLETED", {"supplementary_data": 7})),
            ("OrderEvent.id", event_of("CHECKOUT.ORDER.APPROVED", {})),
            ("OrderEvent.id", event_of("CHECKOUT.ORDER.APPROVED", {"supplementary_data": 7})),
            ("OrderEvent.purchase_units", event_of("CHECKOUT.ORDER.APPROVED", {"purchase_units": {}})),
            ("RefundEvent.id", event_of("PAYMENT.REFUND.X", {})),
            ("RefundEvent.supplementary_data", event_of("PAYMENT.REFUND.X", {"supplementary_data": 7})),
            ("RefundEvent.id", event_of("PAYMENT.REFUND.X", {"purchase_units": {}})),
            *(
                (model, event_of(type, resource))
                for model, type in RESOURCES.items()
                for resource in (None, "text", [])
            ),
        ]
