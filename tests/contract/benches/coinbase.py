"""Coinbase Business: the customer pays a checkout on a page; a call of the gateway refunds it."""

from __future__ import annotations

import base64
import hashlib
import hmac
import uuid
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import requests
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from domain.payment_methods import PaymentMethod
from gateways.base import AttemptRequest
from gateways.coinbase.gateway import CoinbaseGateway
from sandbox.server import RunningSandbox
from tests.contract.bench import API_URL, READ_SECONDS, SECONDS, Webhook, body_of, new_attempt, now

KEY_NAME = "organizations/sandbox/apiKeys/1"
KEY = Ed25519PrivateKey.generate()
SECRET = base64.b64encode(KEY.private_bytes_raw() + KEY.public_key().public_bytes_raw()).decode()
SIGNED_HEADERS = "content-type x-event-id x-event-type"
# A paid checkout and a completed refund of it, as Coinbase shows them.
CHECKOUT: Mapping[str, Any] = {
    "id": "68f7a946db0529ea9b6d3a12",
    "url": "https://payments.example/1",
    "amount": "11.50",
    "currency": "USDC",
    "fiatAmount": "10.00",
    "fiatCurrency": "EUR",
    "status": "COMPLETED",
    "createdAt": "2026-11-23T12:00:00Z",
    "updatedAt": "2026-11-23T12:01:00Z",
}
CHECKOUT_ID = CHECKOUT["id"]
REFUND: Mapping[str, Any] = {
    "id": "r1",
    "status": "COMPLETED",
    "reason": "goodwill",
    "amount": "2.88",
    "currency": "USDC",
    "fiatAmount": "2.50",
    "fiatCurrency": "EUR",
    "completedAt": "2026-11-23T12:02:00Z",
}


class CoinbaseBench:
    """The common part of both products: a page on which the customer pays, and payments that finish later."""

    provider: str
    method = PaymentMethod.CRYPTOCURRENCY
    secrets = ("new-secret", "old-secret")

    def __init__(self, sandbox: RunningSandbox) -> None:
        self.url = sandbox.url

    def pending_token(self, *, is_good: bool) -> tuple[PaymentMethod, str]:
        return self.method, "slow"

    def let_bank_decide(self, reference: str, *, is_good: bool) -> None:
        self.control(f"{reference}/settle", result="success" if is_good else "failure")

    def let_customer_act(self, reference: str, *, is_good: bool) -> None:
        self.decide(reference, "approve" if is_good else "decline")

    def decide(self, reference: str, decision: str) -> None:
        """Let the customer decide on the hosted page."""
        self.control(reference, decision=decision)

    def control(self, path: str, **body: Any) -> None:
        """Post to the sandbox's control routes."""
        address = f"{self.url}/_sandbox/{self.provider}/{path}"
        requests.post(address, json=body, timeout=SECONDS).raise_for_status()

    def waiting(self, **changes: Any) -> AttemptRequest:
        """Return the attempt of a new charge that waits for its customer."""
        attempt, references = new_attempt(self, **changes), []
        self.gateway().charge(attempt, references.append)
        return replace(attempt, reference=references[0])


class ProviderBench(CoinbaseBench):
    """Coinbase Business's sandbox."""

    provider = "coinbase"
    currency = "EUR"
    features = frozenset(
        {
            "action",
            "void_unfinished",
            "pending",
            "refund",
            "webhooks",
            "refund_webhooks",
            "signed",
            "stamped",
            "secrets",
        }
    )
    credentials: Mapping[str, Any] = {"api_key_name": "organizations/unknown/apiKeys/1"}
    # The customer decides on the page; no token determines the result.
    tokens: Mapping[str, str | None] = {"good": None, "hard": None, "refund_later": None}
    calls: Mapping[str, str] = {
        "create": "coinbase.create",
        "retrieve": "coinbase.read",
        "void": "coinbase.deactivate",
        "refund": "coinbase.refund",
        "retrieve_refund": "coinbase.read",
    }

    def __init__(self, sandbox: RunningSandbox) -> None:
        self.sandbox = sandbox
        super().__init__(sandbox)
        self._event_ids: dict[bytes, str] = {}

    def gateway(self, **changes: Any) -> CoinbaseGateway:
        arguments = {
            "api_key_name": KEY_NAME,
            "api_key_secret": SECRET,
            "webhook_secrets": self.secrets,
            "base": f"{self.url}/coinbase",
            "api_url": API_URL,
            "read_seconds": READ_SECONDS,
        }
        return CoinbaseGateway(**(arguments | changes))

    def ready(self, gateway: CoinbaseGateway, attempt: AttemptRequest, card: str) -> AttemptRequest:
        """Return the attempt with a checkout that its customer has paid, or failed to pay."""
        references: list[str] = []
        gateway.charge(attempt, references.append)
        reference = references[0]
        if card == "refund_later":
            self.control(f"{reference}/refund_slowly")
        self.decide(reference, {"hard": "decline", "slow": "pay_slowly"}.get(card, "approve"))
        return replace(attempt, reference=reference)

    def event(self, reference: str) -> dict[str, Any]:
        response = requests.get(f"{self.url}/_sandbox/coinbase/events?about={reference}", timeout=SECONDS)
        last = response.json()["events"][-1]
        self._event_ids[body_of(last["body"])] = last["id"]
        return dict(last["body"])

    def signed(self, event: Any, *, seconds: float = 0, is_forged: bool = False, secret: str | None = None) -> Webhook:
        body, stamp = body_of(event), int(now().timestamp() + seconds)
        key = "wrong" if is_forged else self.secrets[0] if secret is None else secret
        event_id = self._event_ids.get(body) or str(uuid.uuid4())
        signed = f"{stamp}.{SIGNED_HEADERS}.application/json.{event_id}.type.".encode() + body
        digest = hmac.new(key.encode(), signed, hashlib.sha256).hexdigest()
        headers = {"Content-Type": "application/json", "X-Event-Id": event_id, "X-Event-Type": "type"}
        return Webhook(body, headers | {"X-Hook0-Signature": f"t={stamp},h={SIGNED_HEADERS},v1={digest}"})

    def signed_body_only(self, event: Any, event_id: str) -> Webhook:
        """Return an event with the older signature, which covers no header, so that the event id is not proven."""
        body, stamp = body_of(event), int(now().timestamp())
        digest = hmac.new(self.secrets[0].encode(), f"{stamp}.".encode() + body, hashlib.sha256).hexdigest()
        return Webhook(body, {"X-Hook0-Signature": f"t={stamp},v0={digest}", "X-Event-Id": event_id})

    def strange_events(self) -> list[Any]:
        return [CHECKOUT | {"eventType": "checkout.invented.tomorrow"}]

    def malformed_events(self) -> list[Any]:
        """Return events without what the documents require, by the field that is wrong."""
        refunded = CHECKOUT | {"eventType": "checkout.refund.success"}
        return [
            ("CheckoutEvent.eventType", {}),
            ("PaymentEvent.id", {"eventType": "checkout.payment.success"}),
            ("RefundEvent.refunds", refunded),
            ("RefundEvent.refunds", refunded | {"refunds": []}),
            ("RefundEvent.refunds", refunded | {"refunds": [REFUND | {"status": "FAILED"}]}),
            ("RefundEvent.refunds.0.id", refunded | {"refunds": [REFUND | {"id": None}]}),
        ]
