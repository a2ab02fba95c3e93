"""PayPal, whose buyer approves each payment there; while he is away, an account that he left is charged."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from time import monotonic
from typing import Any

import requests

from domain.methods import PaymentMethod
from domain.outcome import ActionRequired
from gateways.base import Gateway, Order
from gateways.paypal.gateway import PayPalGateway
from sandbox.paypal import signing
from sandbox.paypal.api import PayPal
from sandbox.paypal.events import WEBHOOK_ID
from sandbox.server import RunningSandbox
from tests.contract.bench import API_URL, READ_SECONDS, SECONDS, Webhook, body_of, now

COURSES = {
    "good": "COMPLETED",
    "soft": "5120",
    "hard": "9520",
    "needs_customer": "5400",
    "refund_later": "REFUND_PENDING",
}


@dataclass
class MemoryTokens:
    """Access tokens as processes of one host share them."""

    tokens: dict[str, tuple[str, float]] = field(default_factory=dict)
    claims: dict[str, float] = field(default_factory=dict)

    def find(self, name: str) -> Any:
        known = self.tokens.get(name)
        return known and Found(known[0], known[1] - monotonic())

    def claim(self, name: str, seconds: float) -> bool:
        if self.claims.get(name, 0) > monotonic():
            return False
        self.claims[name] = monotonic() + seconds
        return True

    def put(self, name: str, sealed: str, seconds: float) -> None:
        self.tokens[name] = (sealed, monotonic() + seconds)
        self.claims.pop(name, None)


@dataclass(frozen=True)
class Found:
    """A token of such a store."""

    sealed: str
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
    tokens: Mapping[str, str | None] = {**COURSES, "good": None}
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
        self.imitation = next(each for each in sandbox.state.providers if isinstance(each, PayPal))
        self.account = self.imitation.account
        self.store = MemoryTokens()

    def gateway(self, **changes: Any) -> Gateway:
        given = {
            "client_id": "sandbox-client",
            "client_secret": "sandbox-secret",
            "tokens": self.store,
            "webhook_id": WEBHOOK_ID,
            "base": f"{self.url}/paypal",
            "api_url": API_URL,
            "read_seconds": READ_SECONDS,
        }
        return PayPalGateway(**(given | changes))

    def ready(self, gateway: Gateway, asked: Order, card: str) -> Order:
        if asked.is_off_session:
            return replace(asked, method_token=f"sandbox_{COURSES[card]}")
        asked = replace(asked, method_token=None)
        created = gateway.charge(asked, lambda _: None)
        assert isinstance(created, ActionRequired)
        self.set_course(created.reference, COURSES[card])
        self.let_customer_act(created.reference, is_good=True)
        return replace(asked, reference=created.reference)

    def set_course(self, reference: str, course: str) -> None:
        self._control(f"{reference}/scenario", {"scenario": course})

    def let_customer_act(self, reference: str, *, is_good: bool) -> None:
        self._control(reference, {"decision": "approve" if is_good else "decline"})

    def let_bank_answer(self, reference: str, *, is_good: bool) -> None:
        self._control(f"{reference}/settle", {"result": "success" if is_good else "failure"})

    def pending_token(self, *, is_good: bool) -> tuple[PaymentMethod, str]:
        return self.method, "sandbox_PENDING"

    def event(self, reference: str) -> dict[str, Any]:
        answer = requests.get(f"{self.url}/_sandbox/paypal/{reference}/events", timeout=SECONDS)
        return answer.json()["events"][-1]

    def signed(
        self, event: Any, *, seconds: float = 0, is_forged: bool = False, webhook_id: str = WEBHOOK_ID
    ) -> Webhook:
        body, at = body_of(event), now().timestamp() + seconds
        signed = b"other" if is_forged else body
        return Webhook(body, signing.headers(signed, webhook_id, at, f"{self.url}/paypal"))

    def strange_events(self) -> list[Any]:
        kinds = ("INVENTED.TOMORROW", "PAYMENT.CAPTURE.COMPLETED", "CHECKOUT.ORDER.APPROVED", "PAYMENT.REFUND.X")
        resources: list[Any] = [None, "text", [], {}, {"supplementary_data": 7}, {"purchase_units": {}}]
        events = [{"id": "WH-1", "event_type": kind, "resource": each} for kind in kinds for each in resources]
        return [{"id": "WH-1", "event_type": "CUSTOMER.DISPUTE.CREATED"}, {"id": "WH-1", "event_type": 1}, *events]

    def _control(self, path: str, body: Any) -> None:
        requests.post(f"{self.url}/_sandbox/paypal/{path}", json=body, timeout=SECONDS).raise_for_status()
