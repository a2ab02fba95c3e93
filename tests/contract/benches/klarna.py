"""Klarna: the customer agrees on a hosted page, and a fraud assessment may take its time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

import requests

from domain.methods import PaymentMethod
from gateways.base import Gateway, Order
from gateways.klarna.answers import HostedPage
from gateways.klarna.gateway import KlarnaGateway
from sandbox.server import RunningSandbox
from tests.contract.bench import API_URL, FEATURES, PAYER, READ_SECONDS, SECONDS, Webhook, body_of

DENIED = PAYER | {"email": "jo+denied@example.org"}


class ProviderBench:
    """Klarna's sandbox."""

    provider = "klarna"
    currency = "USD"
    method = PaymentMethod.KLARNA
    # Callbacks are neither signed nor stamped, and none is about a refund. Whoever is away has a token of another kind
    # than a page, and a page comes before every assessment: both have tests of their own.
    features = FEATURES - {"pending", "off_session", "refund_webhooks", "signed", "stamped", "front_end"}
    secrets = ("new-" + "a" * 32, "old-" + "b" * 32)
    credentials: Mapping[str, Any] = {"username": "wrong", "password": "wrong"}
    tokens: Mapping[str, str | None] = {"good": None, "hard": None}
    calls: Mapping[str, str] = {
        "create": "klarna.pages.create",
        "charge": "klarna.captures.create",
        "retrieve": "klarna.orders.read",
        "capture": "klarna.captures.create",
        "void": "klarna.orders.cancel",
        "refund": "klarna.refunds.create",
        "retrieve_refund": "klarna.orders.read",
    }

    def __init__(self, sandbox: RunningSandbox) -> None:
        self._sandbox = sandbox.url
        self._addresses: dict[str, str] = {}

    def gateway(self, **changes: Any) -> Gateway:
        given = {
            "username": "sandbox-merchant",
            "password": "klarna_test_api_sandbox",
            "api_url": API_URL,
            "region": "na",
            "callback_secrets": self.secrets,
            "base": f"{self._sandbox}/klarna",
            "read_seconds": READ_SECONDS,
        }
        return KlarnaGateway(**(given | changes))

    def ready(self, gateway: Gateway, asked: Order, card: str) -> Order:
        asked = replace(asked, payer=DENIED if card == "hard" else asked.payer)
        opened = gateway.charge(asked, lambda _: None)
        self.let_customer_act(opened.reference, is_good=True)
        found = gateway.retrieve(replace(asked, reference=opened.reference))
        return replace(asked, reference=found.reference)

    def let_customer_act(self, reference: str, *, is_good: bool) -> None:
        self.control(HostedPage.of(reference).id, "approve" if is_good else "decline")

    def let_bank_answer(self, reference: str, *, is_good: bool) -> None:
        self.control(f"orders/{reference}/fraud", "accept" if is_good else "reject")

    def pending_token(self, *, is_good: bool) -> tuple[PaymentMethod, str]:
        return self.method, f"customer-token+pend-{'accept' if is_good else 'reject'}"

    def event(self, reference: str) -> dict[str, Any]:
        page = HostedPage.of(reference)
        answer = requests.get(f"{self._sandbox}/_sandbox/klarna/callbacks", timeout=SECONDS)
        for sent in reversed(answer.json()["callbacks"]):
            event = sent["event"]
            session = event.get("session", {})
            if session.get("session_id") == (page and page.id) or reference in (
                event.get("order_id"),
                session.get("order_id"),
            ):
                self._addresses[str(event)] = sent["url"]
                return event
        raise LookupError(reference)

    def signed(
        self, event: Any, *, seconds: float = 0, is_forged: bool = False, secret: str | None = None
    ) -> Webhook:
        given = "c" * 36 if is_forged else self.secrets[0] if secret is None else secret
        query = urlsplit(self._addresses.get(str(event), "")).query
        return Webhook(body_of(event), {}, f"{API_URL}/webhooks/klarna/{given}?{query}")

    def strange_events(self) -> list[Any]:
        inventions: list[Any] = [None, [], {}, {"event_id": "1", "invention": {}}, {"session": {}}, {"order_id": None}]
        return [{"attempt_id": None, "event": event} for event in inventions]

    def control(self, path: str, decision: str) -> None:
        """Decide in the place of the customer or of the fraud assessment."""
        url = f"{self._sandbox}/_sandbox/klarna/{path}"
        requests.post(url, json={"decision": decision}, timeout=SECONDS).raise_for_status()
