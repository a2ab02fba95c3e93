"""Stripe: cards that are decided at once, and bank debits that are decided days later."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import requests

from domain.payment_methods import PaymentMethod
from gateways.base import AttemptRequest, Gateway
from gateways.stripe.gateway import StripeGateway
from sandbox.server import RunningSandbox
from tests.contract.bench import API_URL, FEATURES, READ_SECONDS, SECONDS, Webhook, body_of, now


class ProviderBench:
    """Stripe's sandbox."""

    provider = "stripe"
    currency = "EUR"
    method = PaymentMethod.CREDIT_CARD
    features = FEATURES
    secrets = ("whsec_new", "whsec_old")
    credentials: Mapping[str, Any] = {"secret_key": "sk_wrong"}
    tokens: Mapping[str, str | None] = {
        "good": "pm_card_visa",
        "soft": "pm_card_visa_chargeDeclinedInsufficientFunds",
        "hard": "pm_card_visa_chargeDeclinedLostCard",
        "needs_customer": "pm_card_chargeDeclinedExpiredCard",
        "authentication": "pm_card_authenticationRequired",
        "refund_later": "pm_card_pendingRefund",
        "refund_fails": "pm_card_refundFail",
        "unknown": "pm_none",
    }
    calls: Mapping[str, str] = {
        "create": "payment_intents.create",
        "charge": "payment_intents.confirm",
        "retrieve": "payment_intents.retrieve",
        "capture": "payment_intents.capture",
        "void": "payment_intents.cancel",
        "refund": "refunds.create",
        "retrieve_refund": "refunds.list",
    }

    def __init__(self, sandbox: RunningSandbox) -> None:
        self._url = sandbox.url

    def gateway(self, **changes: Any) -> Gateway:
        given = {
            "secret_key": "sk_test_sandbox",
            "webhook_secrets": self.secrets,
            "base": self._url,
            "read_seconds": READ_SECONDS,
            "api_url": API_URL,
        }
        return StripeGateway(**(given | changes))

    def ready(self, gateway: Gateway, attempt: AttemptRequest, card: str) -> AttemptRequest:
        return replace(attempt, method_token=self.tokens.get(card, card))

    def pending_token(self, *, is_good: bool) -> tuple[PaymentMethod, str]:
        iban = "DE89370400440532013000" if is_good else "DE62370400440532013202"
        data = {"type": "sepa_debit", "sepa_debit[iban]": iban}
        owner = {"billing_details[name]": "Jo", "billing_details[email]": "jo@example.org"}
        return PaymentMethod.SEPA_DEBIT, self._call("POST", "/v1/payment_methods", data | owner)["id"]

    def let_bank_decide(self, reference: str, *, is_good: bool) -> None:
        kind = "refunds" if reference.startswith("re_") else "intents"
        self._control(f"{kind}/{reference}/settle", is_good)

    def let_customer_act(self, reference: str, *, is_good: bool) -> None:
        self._control(f"intents/{reference}/authenticate", is_good)

    def event(self, reference: str) -> dict[str, Any]:
        events = self._call("GET", "/v1/events?limit=100")["data"]
        return next(event for event in events if event["data"]["object"]["id"] == reference)

    def signed(self, event: Any, *, seconds: float = 0, is_forged: bool = False, secret: str | None = None) -> Webhook:
        body, stamp = body_of(event), int(now().timestamp() + seconds)
        key = "whsec_wrong" if is_forged else self.secrets[0] if secret is None else secret
        digest = hmac.new(key.encode(), f"{stamp}.".encode() + body, hashlib.sha256).hexdigest()
        return Webhook(body, {"Stripe-Signature": f"t={stamp},v1={digest}"})

    def strange_events(self) -> list[Any]:
        tomorrow = {"id": "evt_1", "type": "invented.tomorrow"}
        data: list[Any] = [{"object": {"object": "invention"}}, {}, {"object": {"metadata": None}}]
        return [tomorrow, *(tomorrow | {"data": each} for each in data)]

    def _control(self, path: str, is_good: bool) -> None:
        result = {"result": "success" if is_good else "failure"}
        requests.post(f"{self._url}/_sandbox/{path}", json=result, timeout=SECONDS).raise_for_status()

    def _call(self, method: str, path: str, data: Any = None) -> Any:
        response = requests.request(method, self._url + path, data=data, auth=("sk_test_sandbox", ""), timeout=SECONDS)
        response.raise_for_status()
        return response.json()
