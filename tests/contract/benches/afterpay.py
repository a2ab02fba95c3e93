"""Afterpay: the customer approves a checkout, and only a charge of its token shows it."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import requests

from domain.outcome import ActionRequired
from domain.payment_methods import PaymentMethod
from gateways.afterpay.gateway import AfterpayGateway
from gateways.base import AttemptRequest, Gateway
from sandbox.server import RunningSandbox
from tests.contract.bench import API_URL, READ_SECONDS, SECONDS, Webhook, body_of, now

WEBHOOK_URL = f"{API_URL}/webhooks/afterpay"


class ProviderBench:
    """Afterpay's sandbox, with an account in Australia."""

    provider = "afterpay"
    currency = "AUD"
    method = PaymentMethod.AFTERPAY
    features = frozenset({"charge", "authorize", "partial_capture", "action", "void_unfinished", "refund"})
    secret = "key-of-the-sandbox"
    credentials: Mapping[str, Any] = {"secret_key": "wrong"}
    # The customer's decision alone decides: there is no token of an instrument.
    tokens: Mapping[str, str | None] = {"good": None, "hard": None}
    calls: Mapping[str, str] = {
        "create": "afterpay.create_checkout",
        "charge": "afterpay.capture_full_payment",
        "retrieve": "afterpay.get_payment_by_token",
        "capture": "afterpay.capture_payment",
        "void": "afterpay.void",
        "refund": "afterpay.create_refund",
        "retrieve_refund": "afterpay.get_payment_by_token",
    }

    def __init__(self, sandbox: RunningSandbox) -> None:
        self._url = sandbox.url

    def gateway(self, **changes: Any) -> Gateway:
        arguments = {
            "merchant_id": "sandbox-au",
            "secret_key": self.secret,
            "region": "au",
            "api_url": API_URL,
            "base": f"{self._url}/afterpay",
            "read_seconds": READ_SECONDS,
        }
        return AfterpayGateway(**(arguments | changes))

    def ready(self, gateway: Gateway, attempt: AttemptRequest, card: str) -> AttemptRequest:
        checkout = gateway.charge(attempt, lambda _: None)
        assert isinstance(checkout, ActionRequired)
        self.let_customer_act(checkout.reference, is_good=card == "good")
        return replace(attempt, reference=checkout.reference)

    def let_customer_act(self, reference: str, *, is_good: bool) -> None:
        self.decide(reference, "approve" if is_good else "decline")

    def decide(self, reference: str, decision: str) -> str:
        """Decide as the customer; return the address of the redirect."""
        url = f"{self._url}/_sandbox/afterpay/{reference}"
        response = requests.post(url, json={"decision": decision}, timeout=SECONDS)
        response.raise_for_status()
        return str(response.json()["sent_to"])

    def let_bank_decide(self, reference: str, *, is_good: bool) -> None:
        raise AssertionError("bug: everything is decided at once")

    def pending_token(self, *, is_good: bool) -> tuple[PaymentMethod, str]:
        raise AssertionError("bug: everything is decided at once")

    def event(self, reference: str) -> dict[str, Any]:
        """Return the event of a new dispute about a payment."""
        response = requests.post(f"{self._url}/_sandbox/afterpay/{reference}/dispute", timeout=SECONDS)
        response.raise_for_status()
        return response.json()

    def signed(
        self,
        event: Any,
        *,
        seconds: float = 0,
        is_forged: bool = False,
        stamp: str | None = None,
        url: str = WEBHOOK_URL,
    ) -> Webhook:
        body, date = body_of(event), stamp or str(int(now().timestamp() + seconds))
        key = "wrong" if is_forged else self.secret
        digest = hmac.new(key.encode(), f"{url}\n{date}\n".encode() + body, hashlib.sha256).digest()
        headers = {
            "X-Afterpay-Request-Date": date,
            "X-Afterpay-Request-Signature": base64.b64encode(digest).decode(),
        }
        return Webhook(body, headers, url)

    def strange_events(self) -> Iterable[Any]:
        dispute = {"webhook_event_id": "1", "webhook_event_type": "created", "dispute_id": "dp_1"}
        return [
            dispute | {"merchant_reference": "pay_1/at_1", "webhook_event_type": "invented"},
            dispute,
            *(dispute | {"merchant_reference": name} for name in (None, "", "order 7", "pay_1", "pay_1/", "a/b/c")),
        ]
