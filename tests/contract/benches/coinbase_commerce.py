"""Coinbase Commerce: the customer pays a charge on a page; nothing is given back by API."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import requests

from gateways.base import AttemptRequest
from gateways.coinbase_commerce.gateway import CoinbaseCommerceGateway
from tests.contract.bench import API_URL, READ_SECONDS, SECONDS, Webhook, body_of
from tests.contract.benches.coinbase import CoinbaseBench


class ProviderBench(CoinbaseBench):
    """Coinbase Commerce's sandbox."""

    provider = "coinbase_commerce"
    currency = "USD"
    features = frozenset({"action", "void_unfinished", "pending", "webhooks", "signed", "secrets"})
    credentials: Mapping[str, Any] = {"api_key": "wrong"}
    # The customer decides on the page; no token says what comes of it.
    tokens: Mapping[str, str | None] = {"good": None, "hard": None}
    calls: Mapping[str, str] = {
        "create": "coinbase_commerce.create",
        "retrieve": "coinbase_commerce.read",
        "void": "coinbase_commerce.cancel",
        "capture": "coinbase_commerce.resolve",
    }

    def gateway(self, **changes: Any) -> CoinbaseCommerceGateway:
        given = {
            "api_key": "sandbox-key",
            "webhook_secrets": self.secrets,
            "base": f"{self.url}/coinbase_commerce",
            "api_url": API_URL,
            "read_seconds": READ_SECONDS,
        }
        return CoinbaseCommerceGateway(**(given | changes))

    def ready(self, gateway: CoinbaseCommerceGateway, asked: AttemptRequest, card: str) -> AttemptRequest:
        """Return the order with a charge that its customer has paid, in whatever way, or failed to pay."""
        references: list[str] = []
        gateway.charge(asked, references.append)
        ways = {"good": "approve", "hard": "decline", "slow": "pay_slowly"}
        self.decide(references[0], ways.get(card, card))
        return replace(asked, reference=references[0])

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
