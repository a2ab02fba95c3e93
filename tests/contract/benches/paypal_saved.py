"""PayPal without the buyer: a charge of an account that they saved."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from gateways.base import AttemptRequest, Gateway
from tests.contract.benches import paypal

SCENARIOS = {**paypal.SCENARIOS, "authentication": "PAYER_ACTION_REQUIRED"}


class ProviderBench(paypal.ProviderBench):
    """PayPal's sandbox, with vault ids."""

    provider = "paypal_saved"
    features = frozenset({"charge", "authorize", "pending", "off_session", "refund", "webhooks", "signed", "stamped"})
    tokens: Mapping[str, str | None] = {name: f"sandbox_{scenario}" for name, scenario in SCENARIOS.items()}

    def ready(self, gateway: Gateway, attempt: AttemptRequest, card: str) -> AttemptRequest:
        return replace(attempt, method_token=self.tokens.get(card, card))
