"""Coinbase Commerce: the customer pays a charge on a page; nothing is given back by API."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import requests

from domain.methods import PaymentMethod
from gateways.base import Order
from gateways.coinbase_commerce import CoinbaseCommerceGateway
from sandbox.server import RunningSandbox
from tests.contract.bench import API_URL, READ_SECONDS, SECONDS, Webhook, body_of


class ProviderBench:
    """Coinbase Commerce's sandbox."""

    provider = "coinbase_commerce"
    currency = "USD"
    method = PaymentMethod.CRYPTOCURRENCY
    features = frozenset({"action", "void_unfinished", "pending", "webhooks", "signed", "secrets"})
    secrets = ("new-secret", "old-secret")
    credentials: Mapping[str, Any] = {"api_key": "wrong"}
    # The customer decides on the page; no token says what comes of it.
    tokens: Mapping[str, str | None] = {"good": None, "hard": None}
    calls: Mapping[str, str] = {
        "create": "coinbase_commerce.create",
        "retrieve": "coinbase_commerce.read",
        "void": "coinbase_commerce.cancel",
        "capture": "coinbase_commerce.resolve",
    }

    def __init__(self, sandbox: RunningSandbox) -> None:
        self.url = sandbox.url

    def gateway(self, **changes: Any) -> CoinbaseCommerceGateway:
        given = {
            "api_key": "sandbox-key",
            "webhook_secrets": self.secrets,
            "base": f"{self.url}/coinbase_commerce",
            "api_url": API_URL,
            "read_seconds": READ_SECONDS,
        }
        return CoinbaseCommerceGateway(**(given | changes))

    def ready(self, gateway: CoinbaseCommerceGateway, asked: Order, card: str) -> Order:
        """Return the order with a charge that its customer has paid, in whatever way, or failed to pay."""
        references: list[str] = []
        gateway.charge(asked, references.append)
        ways = {"good": "approve", "hard": "decline", "slow": "pay_slowly"}
        self.decide(references[0], ways.get(card, card))
        return replace(asked, reference=references[0])

    def pending_token(self, *, is_good: bool) -> tuple[PaymentMethod, str]:
        return self.method, "slow"

    def let_bank_answer(self, reference: str, *, is_good: bool) -> None:
        self.control(f"{reference}/settle", result="success" if is_good else "failure")

    def let_customer_act(self, reference: str, *, is_good: bool) -> None:
        self.decide(reference, "approve" if is_good else "decline")

    def event(self, reference: str) -> dict[str, Any]:
        event = next(event for event in self.events() if event["data"]["id"] == reference)
        return {"id": "delivery", "attempt_number": 1, "scheduled_for": event["created_at"], "event": event}

    def events(self) -> list[Any]:
        """Return the newest hundred events, as the API lists them."""
        headers = {"X-CC-Api-Key": "sandbox-key", "X-CC-Version": "2018-03-22"}
        address = f"{self.url}/coinbase_commerce/events?limit=100"
        return list(requests.get(address, headers=headers, timeout=SECONDS).json()["data"])

    def signed(self, event: Any, *, seconds: float = 0, is_forged: bool = False, secret: str | None = None) -> Webhook:
        body = body_of(event)
        key = "wrong" if is_forged else self.secrets[0] if secret is None else secret
        return Webhook(body, {"X-Cc-Webhook-Signature": hmac.new(key.encode(), body, hashlib.sha256).hexdigest()})

    def strange_events(self) -> list[Any]:
        tomorrow: dict[str, Any] = {"id": "1", "type": "charge:invented", "data": {"id": "x"}}
        shapes: list[Any] = [{}, {"data": None}, {"data": {"metadata": {}}}]
        created = [{"id": "1", "type": "charge:created"} | shape for shape in shapes]
        return [{"event": tomorrow}, {}, *({"event": each} for each in created)]

    def decide(self, reference: str, decision: str) -> None:
        """Let the customer decide on the hosted page."""
        self.control(reference, decision=decision)

    def control(self, path: str, **body: Any) -> None:
        """Post to the sandbox's control routes."""
        address = f"{self.url}/_sandbox/coinbase_commerce/{path}"
        requests.post(address, json=body, timeout=SECONDS).raise_for_status()
