"""Coinbase Commerce: the customer pays a charge on a page; there are no refunds by API."""

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

CHARGE_ID = "f765421f-1451-4fab-a513-aac6c819fba9"
API_HEADERS = {"X-CC-Api-Key": "sandbox-key", "X-CC-Version": "2018-03-22"}


def charge_in(status: str, **changes: Any) -> dict[str, Any]:
    """Return a charge of 10.00 USD as Commerce shows it, paid in full."""
    return {
        "id": CHARGE_ID,
        "code": "66BEOV2A",
        "hosted_url": "https://commerce.example/charges/66BEOV2A",
        "timeline": [
            {"status": "NEW", "time": "2026-11-23T12:00:00Z"},
            {"status": status, "time": "2026-11-23T12:01:00Z"},
        ],
        "pricing": {"local": {"amount": "10.00", "currency": "USD"}},
        "payments": [payment("10.0")],
    } | changes


def payment(amount: str, status: str = "CONFIRMED", currency: str = "USD") -> dict[str, Any]:
    """Return a payment on a network."""
    return {
        "network": "ethereum",
        "transaction_id": "0xabc",
        "status": status,
        "value": {"local": {"amount": amount, "currency": currency}, "crypto": {"amount": "0.1", "currency": "ETH"}},
    }


class ProviderBench(CoinbaseBench):
    """Coinbase Commerce's sandbox."""

    provider = "coinbase_commerce"
    currency = "USD"
    features = frozenset({"action", "void_unfinished", "pending", "webhooks", "signed", "secrets"})
    credentials: Mapping[str, Any] = {"api_key": "wrong"}
    # The customer decides on the page; no token determines the result.
    tokens: Mapping[str, str | None] = {"good": None, "hard": None}
    calls: Mapping[str, str] = {
        "create": "coinbase_commerce.create",
        "retrieve": "coinbase_commerce.read",
        "void": "coinbase_commerce.cancel",
        "capture": "coinbase_commerce.resolve",
    }

    def gateway(self, **changes: Any) -> CoinbaseCommerceGateway:
        arguments = {
            "api_key": "sandbox-key",
            "webhook_secrets": self.secrets,
            "base": f"{self.url}/coinbase_commerce",
            "api_url": API_URL,
            "read_seconds": READ_SECONDS,
        }
        return CoinbaseCommerceGateway(**(arguments | changes))

    def ready(self, gateway: CoinbaseCommerceGateway, attempt: AttemptRequest, card: str) -> AttemptRequest:
        """Return the attempt with a charge that its customer has paid, in any of several ways, or failed to pay."""
        references: list[str] = []
        gateway.charge(attempt, references.append)
        decisions = {"good": "approve", "hard": "decline", "slow": "pay_slowly"}
        self.decide(references[0], decisions.get(card, card))
        return replace(attempt, reference=references[0])

    def event(self, reference: str) -> dict[str, Any]:
        event = next(event for event in self.events() if event["data"]["id"] == reference)
        return {"id": "delivery", "attempt_number": 1, "scheduled_for": event["created_at"], "event": event}

    def events(self) -> list[Any]:
        """Return the newest hundred events, as the API lists them."""
        address = f"{self.url}/coinbase_commerce/events?limit=100"
        return list(requests.get(address, headers=API_HEADERS, timeout=SECONDS).json()["data"])

    def charges_of(self, attempt: AttemptRequest) -> set[str]:
        """Return the ids of all charges that were created for an attempt."""
        charges = [event["data"] for event in self.events()]
        return {charge["id"] for charge in charges if charge["metadata"]["attempt_id"] == attempt.attempt_id}

    def signed(self, event: Any, *, seconds: float = 0, is_forged: bool = False, secret: str | None = None) -> Webhook:
        body = body_of(event)
        key = "wrong" if is_forged else self.secrets[0] if secret is None else secret
        return Webhook(body, {"X-Cc-Webhook-Signature": hmac.new(key.encode(), body, hashlib.sha256).hexdigest()})

    def strange_events(self) -> list[Any]:
        return [{"event": {"id": "1", "type": "charge:invented", "data": {"id": "x"}}}]

    def malformed_events(self) -> list[Any]:
        """Return events without what the documents require, by the field that is wrong."""
        created = {"id": "1", "type": "charge:created"}
        return [
            ("EventEnvelope.event", {}),
            ("EventEnvelope.event.type", {"event": {"id": "1"}}),
            ("ChargeEnvelope.event.data", {"event": created}),
            ("ChargeEnvelope.event.data", {"event": created | {"data": None}}),
            ("ChargeEnvelope.event.data.id", {"event": created | {"data": {"metadata": {}}}}),
        ]
