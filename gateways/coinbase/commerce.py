"""Coinbase Commerce, the older Charge API: coins of many networks, paid to addresses that a hosted page shows.

The customer moves the money. Commerce has no idempotency keys and gives nothing back by API. It was folded into
Coinbase Business in 2026; keys that still work keep working here. Sources: docs.cdp.coinbase.com/commerce and the
official package coinbase-commerce, API version 2018-03-22, read 2026-11-23."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from pydantic import Field, SecretStr

from domain.errors import WebhookRefused
from domain.outcome import NotSent, Outcome
from domain.payment import Verb
from domain.payment_methods import PaymentMethod
from gateways.base import AttemptRequest, GatewayContext, GatewayError, SaveReference, VerifiedWebhook, WebhookEvent
from gateways.coinbase.amounts import json_of, outcome_of_transition
from gateways.coinbase.charges import outcome_of_charge, timeline_of_charge
from gateways.failures import CallFailed, FailureKind, reason_word
from gateways.json_api import MALFORMED, JsonApi, decided, looked_up, segment, text
from gateways.settings import CryptoSettings, Secrets, all_revealed, is_of_sandbox, revealed
from gateways.signatures import is_code, is_name, picked, verified_webhook

DEFAULT_BASE = "https://api.commerce.coinbase.com"
_VERSION = "2018-03-22"
_SIGNATURE = "X-Cc-Webhook-Signature"
_NOT_SUPPORTED = NotSent("not_supported", is_retryable=False)
# What one page of the list may hold.
_PAGE = 100
_COINS = {PaymentMethod.BITCOIN: "Bitcoin", PaymentMethod.ETHEREUM: "Ethereum", PaymentMethod.USDT: "USDT"}


class CoinbaseCommerceGateway:
    """One pooled session a process. Every charge names its attempt, for that is how a lost one is found again."""

    provider = "coinbase_commerce"
    region: str | None = None

    def __init__(
        self,
        *,
        api_key: str,
        webhook_secrets: tuple[str, ...] = (),
        base: str = DEFAULT_BASE,
        api_url: str = "",
        read_seconds: float = 30,
    ) -> None:
        self._webhook_secrets = webhook_secrets
        self._api_url = api_url.rstrip("/")
        self._api = JsonApi(base, read_seconds, headers={"X-CC-Api-Key": api_key, "X-CC-Version": _VERSION})

    def charge(self, attempt: AttemptRequest, save_reference: SaveReference) -> Outcome:
        """Create the charge and send the customer to its page; one that is known already is looked up.

        A repeat may leave a second charge behind. That moves nothing: the customer is shown, and pays, one only."""
        if attempt.verb is Verb.AUTHORIZE:
            return _NOT_SUPPORTED
        if attempt.reference is not None:
            save_reference(attempt.reference)
            return self.retrieve(attempt)
        try:
            charge = self._find(attempt) or self._call("POST", "/charges", self._charge_of(attempt))
            reference = text(charge["id"])
        except CallFailed as failure:
            return failure.outcome_of_creation()
        except MALFORMED:
            return NotSent("malformed_response")
        save_reference(reference)
        return decided(reference, lambda: outcome_of_charge(charge, attempt))

    def capture(self, attempt: AttemptRequest) -> Outcome:
        """Accept what came for an unresolved charge, however much that is: a person has decided so."""
        return self._change("resolve", attempt)

    def void(self, attempt: AttemptRequest) -> Outcome:
        """Cancel a charge that nobody has paid yet."""
        return self._change("cancel", attempt)

    def refund(self, attempt: AttemptRequest) -> Outcome:
        """Commerce refunds nothing: a transfer on the network has to be made by hand."""
        return NotSent("refund_by_hand", is_retryable=False)

    def retrieve(self, attempt: AttemptRequest) -> Outcome:
        """Look the charge up. Without a stored reference nobody was shown a page."""
        if attempt.verb is Verb.REFUND:
            return NotSent("refund_by_hand", is_retryable=False)
        reference = attempt.reference or attempt.charge_reference
        if reference is None:
            return NotSent("not_created")
        path = f"/charges/{segment(reference)}"
        return looked_up(reference, lambda: outcome_of_charge(self._call("GET", path), attempt))

    def verify_webhook(self, body: bytes, headers: Mapping[str, str], now: datetime, url: str = "") -> VerifiedWebhook:
        """Accept an event signed with any of the secrets. There is no time in it: a replay is known by its id."""
        code = next((value for name, value in headers.items() if name.title() == _SIGNATURE), "")
        if not any(is_code(code, secret, body) for secret in self._webhook_secrets):
            raise WebhookRefused("bad signature")
        return verified_webhook(
            body,
            "a Commerce event",
            lambda told: (told["event"]["id"], told["event"]["type"]),
            lambda told: picked(told, _KEPT),
        )

    def read_webhook(self, payload: str) -> WebhookEvent | None:
        """Name the charge that an event is about; Commerce is then asked how it stands."""
        try:
            event = json.loads(payload)["event"]
            if event["type"] not in _EVENTS:
                return None
            charge = event["data"]
            attempt_id = (charge.get("metadata") or {}).get("attempt_id")
            return WebhookEvent(str(charge["id"]), attempt_id if isinstance(attempt_id, str) else None, None)
        except MALFORMED:
            return None

    def timeline(self, reference: str) -> list[dict[str, str]]:
        """Return how a charge went, oldest first; see `timeline_of_charge`. Raises GatewayError."""
        try:
            return timeline_of_charge(self._call("GET", f"/charges/{segment(reference)}"))
        except CallFailed as failure:
            raise GatewayError(failure.reason) from None
        except MALFORMED:
            raise GatewayError("malformed_response") from None

    def check(self) -> str:
        """Say in one line that the key is accepted; raise GatewayError if it is not."""
        try:
            self._call("GET", "/charges", query={"limit": 1})
        except CallFailed as failure:
            raise GatewayError(f"Coinbase Commerce does not accept the API key: {failure.reason}") from None
        return f"Coinbase Commerce accepts the API key at {self._api.base}"

    def _find(self, attempt: AttemptRequest) -> Any:
        """Return the charge that an earlier try of this attempt made, if its answer was lost.

        The first try looks for nothing: the newest charges are asked for only where one may be among them."""
        if not attempt.retries:
            return None
        for charge in self._call("GET", "/charges", query={"limit": _PAGE, "order": "desc"}):
            if (charge.get("metadata") or {}).get("attempt_id") == attempt.attempt_id:
                return charge
        return None

    def _charge_of(self, attempt: AttemptRequest) -> dict[str, Any]:
        back = attempt.way_back(self._api_url)
        coin = _COINS.get(attempt.method)
        return {
            "name": "Payment",
            "description": f"Payment {attempt.payment_id}" + (f" in {coin}" if coin else ""),
            "pricing_type": "fixed_price",
            "local_price": {"amount": str(attempt.money), "currency": attempt.money.currency},
            "metadata": {"payment_id": attempt.payment_id, "attempt_id": attempt.attempt_id},
            "redirect_url": back,
            "cancel_url": back,
        }

    def _change(self, action: str, attempt: AttemptRequest) -> Outcome:
        reference = attempt.charged
        try:
            charge = self._call("POST", f"/charges/{segment(reference)}/{action}")
        except CallFailed as failure:
            return outcome_of_transition(failure, reference)
        return decided(reference, lambda: outcome_of_charge(charge, attempt))

    def _call(self, method: str, path: str, body: Any = None, query: Any = None) -> Any:
        response = self._api.send(method, path, json=body, query=query)
        if response.is_good:
            return json_of(response).get("data")
        error = response.fields.get("error")
        kind = error.get("type") if isinstance(error, dict) else None
        by_status = STATUSES.get(response.status, FailureKind.UNKNOWN)
        raise CallFailed(reason_word(kind, f"http_{response.status}"), ERRORS.get(str(kind), by_status))


# --- events -----------------------------------------------------------------------------------------

# What is read of an event; the rest is not stored.
_KEPT = {"event": {"id": None, "type": None, "data": {"id": None, "metadata": {"attempt_id": None}}}}
# Today's first, then those of the years before.
_EVENTS = frozenset(f"charge:{name}" for name in "created pending confirmed failed delayed resolved".split())


# --- errors -----------------------------------------------------------------------------------------

# The types that the official package knows.
ERRORS: dict[str, FailureKind] = {
    "not_found": FailureKind.AT_FAULT,
    "param_required": FailureKind.AT_FAULT,
    "validation_error": FailureKind.AT_FAULT,
    "invalid_request": FailureKind.AT_FAULT,
    "authentication_error": FailureKind.NOT_EXECUTED,
    "rate_limit_exceeded": FailureKind.NOT_EXECUTED,
    "internal_server_error": FailureKind.UNKNOWN,
}
# For an answer without a known type. 410: Coinbase has switched the API off. Any other proves nothing.
STATUSES: dict[int, FailureKind] = {
    400: FailureKind.AT_FAULT,
    401: FailureKind.NOT_EXECUTED,
    403: FailureKind.NOT_EXECUTED,
    404: FailureKind.AT_FAULT,
    410: FailureKind.AT_FAULT,
    429: FailureKind.NOT_EXECUTED,
    500: FailureKind.UNKNOWN,
    503: FailureKind.UNKNOWN,
}


# --- settings ---------------------------------------------------------------------------------------


class CoinbaseCommerceSettings(CryptoSettings):
    """What the environment says of Coinbase Commerce."""

    coinbase_commerce_api_key: SecretStr | None = Field(
        default=None, description="Key of the Commerce API; without it Coinbase Commerce is off"
    )
    coinbase_commerce_webhook_secret: Secrets = Field(
        default=(), description="Shared secret of its webhooks; several, comma-separated, all verify"
    )
    coinbase_commerce_api_base: str = Field(default=DEFAULT_BASE, description="Coinbase Commerce, or a sandbox's URL")

    @property
    def is_on(self) -> bool:
        """Whether Coinbase Commerce is served."""
        return self.crypto_payment_enabled and self.coinbase_commerce_api_key is not None

    def problems(self) -> list[str]:
        """Return what is wrong, each naming its variable and what to do."""
        if not self.crypto_payment_enabled or self.coinbase_commerce_api_key is None:
            return []
        secret = revealed(self.coinbase_commerce_api_key)
        is_sandbox_key = is_of_sandbox(secret)
        is_commerce = self.coinbase_commerce_api_base.rstrip("/") == DEFAULT_BASE
        key, base = "COINBASE_COMMERCE_API_KEY", "COINBASE_COMMERCE_API_BASE"
        found = [] if is_name(secret) else [f"{key} is not a key; it has to be printable ASCII"]
        if is_commerce and is_sandbox_key:
            found.append(f"{key} is a sandbox key but {base} is Coinbase Commerce; set the sandbox's URL")
        if not is_commerce and not is_sandbox_key:
            found.append(f"{key} is a real key but {base} is not Coinbase Commerce; use a sandbox key")
        if not self.coinbase_commerce_webhook_secret:
            found.append("COINBASE_COMMERCE_WEBHOOK_SECRET is missing; without it no webhook can be trusted")
        return found

    def make(self, context: GatewayContext) -> CoinbaseCommerceGateway | None:
        """Return the gateway, or None where it is off."""
        if not self.crypto_payment_enabled or self.coinbase_commerce_api_key is None:
            return None
        return CoinbaseCommerceGateway(
            api_key=revealed(self.coinbase_commerce_api_key),
            webhook_secrets=all_revealed(self.coinbase_commerce_webhook_secret),
            base=self.coinbase_commerce_api_base,
            api_url=context.api_url,
            read_seconds=context.read_seconds,
        )
