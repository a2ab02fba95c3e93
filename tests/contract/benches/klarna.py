"""Klarna: the customer approves on a hosted page, and a fraud assessment may take hours."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

import requests

from domain.payment_methods import PaymentMethod
from gateways.base import AttemptRequest, Gateway
from gateways.klarna.gateway import KlarnaGateway
from gateways.klarna.hosted_page import HostedPage
from sandbox.server import RunningSandbox
from tests.contract.bench import API_URL, FEATURES, PAYER, READ_SECONDS, SECONDS, Webhook, body_of

DENIED = PAYER | {"email": "jo+denied@example.org"}


class ProviderBench:
    """Klarna's sandbox."""

    provider = "klarna"
    currency = "USD"
    method = PaymentMethod.KLARNA
    # Callbacks are neither signed nor stamped, and none is about a refund. Off-session charges need a customer token,
    # and a page comes before every fraud assessment: both have tests of their own.
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
        arguments = {
            "username": "sandbox-merchant",
            "password": "klarna_test_api_sandbox",
            "api_url": API_URL,
            "region": "na",
            "callback_secrets": self.secrets,
            "base": f"{self._sandbox}/klarna",
            "read_seconds": READ_SECONDS,
        }
        return KlarnaGateway(**(arguments | changes))

    def ready(self, gateway: Gateway, attempt: AttemptRequest, card: str) -> AttemptRequest:
        attempt = replace(attempt, payer=DENIED if card == "hard" else attempt.payer)
        page = gateway.charge(attempt, lambda _: None)
        self.let_customer_act(page.reference, is_good=True)
        order = gateway.retrieve(replace(attempt, reference=page.reference))
        return replace(attempt, reference=order.reference)

    def let_customer_act(self, reference: str, *, is_good: bool) -> None:
        self.control(HostedPage.of(reference).id, "approve" if is_good else "decline")

    def let_bank_decide(self, reference: str, *, is_good: bool) -> None:
        self.control(f"orders/{reference}/fraud", "accept" if is_good else "reject")

    def pending_token(self, *, is_good: bool) -> tuple[PaymentMethod, str]:
        return self.method, f"customer-token+pend-{'accept' if is_good else 'reject'}"

    def event(self, reference: str) -> dict[str, Any]:
        page = HostedPage.of(reference)
        response = requests.get(f"{self._sandbox}/_sandbox/klarna/callbacks", timeout=SECONDS)
        for callback in reversed(response.json()["callbacks"]):
            event = callback["event"]
            session = event.get("session", {})
            if session.get("session_id") == (page and page.id) or reference in (
                event.get("order_id"),
                session.get("order_id"),
            ):
                self._addresses[str(event)] = callback["url"]
                return event
        raise LookupError(reference)

    def signed(self, event: Any, *, seconds: float = 0, is_forged: bool = False, secret: str | None = None) -> Webhook:
        in_address = "c" * 36 if is_forged else self.secrets[0] if secret is None else secret
        query = urlsplit(self._addresses.get(str(event), "")).query
        return Webhook(body_of(event), {}, f"{API_URL}/webhooks/klarna/{in_address}?{query}")

    def strange_events(self) -> list[Any]:
        inventions: list[Any] = [{}, {"event_id": "1", "invention": {}}, {"order_id": None}]
        return [{"attempt_id": None, "event": event} for event in inventions]

    def control(self, path: str, decision: str) -> None:
        """Decide as the customer or as the fraud assessment."""
        url = f"{self._sandbox}/_sandbox/klarna/{path}"
        requests.post(url, json={"decision": decision}, timeout=SECONDS).raise_for_status()
