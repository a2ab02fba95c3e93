"""PayPal accounts that their owners left with us: charged by a vault id, without a page in between."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from gateways.base import AttemptRequest, Gateway
from tests.contract.benches import paypal

COURSES = {**paypal.COURSES, "authentication": "PAYER_ACTION_REQUIRED"}


class ProviderBench(paypal.ProviderBench):
    """PayPal's sandbox, with vault ids."""

    provider = "paypal_saved"
    features = frozenset({"charge", "authorize", "pending", "off_session", "refund", "webhooks", "signed", "stamped"})
    tokens: Mapping[str, str | None] = {name: f"sandbox_{course}" for name, course in COURSES.items()}

    def ready(self, gateway: Gateway, asked: AttemptRequest, card: str) -> AttemptRequest:
        return replace(asked, method_token=self.tokens.get(card, card))
