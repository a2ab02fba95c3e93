"""The verbs of Coinbase Business: checkouts in USDC on Base, priced in the payment's currency.

The customer moves the money on Coinbase's page. A charge creates the checkout and shows that page; every later call
only looks it up. Source: docs.cdp.coinbase.com (coinbase-business/checkout-apis), read 2026-11-23."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from domain.comparison import ShownCharge
from domain.outcome import InDoubt, NotSent, Outcome
from domain.payment import Verb
from gateways.base import (
    AttemptRequest,
    ChargeMissing,
    GatewayError,
    SaveReference,
    VerifiedWebhook,
    WebhookEvent,
)
from gateways.coinbase import webhooks
from gateways.coinbase.client import DEFAULT_BASE, CoinbaseClient
from gateways.coinbase.errors import NoSuchObject, outcome_of_change
from gateways.coinbase.requests import checkout_request, refund_request
from gateways.coinbase.responses import (
    CURRENCIES,
    Checkout,
    CheckoutId,
    CheckoutRefunds,
    find_refund,
    is_other_object,
    outcome_of_checkout,
    outcome_of_refund,
    refunded_checkout,
    shown_refunds,
)
from gateways.coinbase.timeline import timeline_of_checkout
from gateways.failures import CallFailed, MalformedResponse
from gateways.idempotency import key_of
from gateways.json_api import decided, looked_up
from gateways.shown_refunds import note_refunds

_NOT_SUPPORTED = NotSent("not_supported", is_retryable=False)


class CoinbaseGateway:
    """One account of Coinbase Business. Every attempt has its own idempotency key."""

    provider = "coinbase"
    region: str | None = None

    def __init__(
        self,
        *,
        api_key_name: str,
        api_key_secret: str,
        webhook_secrets: tuple[str, ...] = (),
        base: str = DEFAULT_BASE,
        api_url: str = "",
        read_seconds: float = 30,
    ) -> None:
        self._webhook_secrets = webhook_secrets
        self._api_url = api_url.rstrip("/")
        self._client = CoinbaseClient(api_key_name, api_key_secret, base, read_seconds)

    def charge(self, attempt: AttemptRequest, save_reference: SaveReference) -> Outcome:
        """Create the checkout and send the customer to its page; look up a checkout that exists already."""
        if attempt.verb is Verb.AUTHORIZE:
            return _NOT_SUPPORTED
        if attempt.reference is not None:
            save_reference(attempt.reference)
            return self.retrieve(attempt)
        if attempt.money.currency not in CURRENCIES:
            return NotSent("currency_not_supported", is_retryable=False, param="currency")
        request, key = checkout_request(attempt, self._api_url), key_of(attempt, "charge")
        try:
            response = self._client.create_checkout(request, key)
            reference = CheckoutId.parse(response).id
        except CallFailed as failure:
            return failure.outcome_of_creation()
        save_reference(reference)
        return decided(reference, lambda: outcome_of_checkout(Checkout.parse(response), attempt))

    def capture(self, attempt: AttemptRequest) -> Outcome:
        """Refuse: checkouts have no authorization."""
        return _NOT_SUPPORTED

    def void(self, attempt: AttemptRequest) -> Outcome:
        """Deactivate an unpaid checkout."""
        reference = attempt.charged_reference
        try:
            return outcome_of_checkout(Checkout.parse(self._client.deactivate_checkout(reference)), attempt)
        except CallFailed as failure:
            return outcome_of_change(failure, reference)

    def refund(self, attempt: AttemptRequest) -> Outcome:
        """Give back part or all of a paid checkout. A repeat under the same key is the same refund."""
        request, key = refund_request(attempt), key_of(attempt, "refund")

        def send() -> Outcome:
            checkout = refunded_checkout(self._client.refund_checkout(attempt.charged_reference, request, key))
            if is_other_object(checkout.id, attempt):
                return InDoubt("another_object")
            note_refunds(attempt.charged_reference, lambda: shown_refunds(checkout, attempt.money.currency))
            refund = find_refund(checkout, attempt)
            if refund is None:
                raise MalformedResponse("CheckoutRefunds.refunds")
            return outcome_of_refund(refund, attempt)

        return decided(None, send)

    def retrieve(self, attempt: AttemptRequest) -> Outcome:
        """Look the checkout up, and a refund in it. Without a stored reference no customer has seen a page."""
        if attempt.verb is Verb.REFUND:
            return looked_up(attempt.reference, lambda: self._look_up_refund(attempt))
        reference = attempt.reference or attempt.charge_reference
        if reference is None:
            return NotSent("not_created")
        return looked_up(reference, lambda: self._look_up_checkout(attempt, reference))

    def read_charge(self, charge: AttemptRequest) -> ShownCharge:
        """Return how a checkout stands, with its refunds, whoever made them."""
        reference = charge.charged_reference
        try:
            read = self._client.read_checkout(reference)
            refunds = shown_refunds(CheckoutRefunds.parse(read), charge.money.currency)
            outcome = looked_up(reference, lambda: outcome_of_checkout(Checkout.parse(read), charge))
            return ShownCharge(outcome, refunds)
        except CallFailed as failure:
            raise (ChargeMissing if isinstance(failure, NoSuchObject) else GatewayError)(failure.reason) from None

    def verify_webhook(self, body: bytes, headers: Mapping[str, str], now: datetime, url: str = "") -> VerifiedWebhook:
        """Accept an event that any of the secrets signed at most five minutes from now."""
        return webhooks.verify(body, headers, self._webhook_secrets, now)

    def read_webhook(self, payload: str) -> WebhookEvent | None:
        """Return the checkout or refund that a stored event is about."""
        return webhooks.read(payload)

    def timeline(self, reference: str) -> list[dict[str, str]]:
        """Return the history of a checkout, oldest first; see `timeline_of_checkout`. Raises GatewayError."""
        try:
            return timeline_of_checkout(self._client.read_checkout(reference))
        except CallFailed as failure:
            raise GatewayError(failure.reason) from None

    def check(self) -> str:
        """Return a line that says that the API key is accepted. Raises GatewayError if it is not."""
        try:
            self._client.list_checkouts(page_size=1)
        except CallFailed as failure:
            raise GatewayError(f"Coinbase does not accept the API key: {failure.reason}") from None
        return f"Coinbase Business accepts the API key at {self._client.base}"

    def _look_up_checkout(self, attempt: AttemptRequest, reference: str) -> Outcome:
        return outcome_of_checkout(Checkout.parse(self._read(attempt, reference)), attempt)

    def _look_up_refund(self, attempt: AttemptRequest) -> Outcome:
        checkout = CheckoutRefunds.parse(self._read(attempt, attempt.charged_reference))
        if is_other_object(checkout.id, attempt):
            return InDoubt("another_object", attempt.reference)
        refund = find_refund(checkout, attempt)
        if refund is not None:
            return outcome_of_refund(refund, attempt)
        if attempt.reference is None:
            return NotSent("not_created")
        # A refund with a reference was there once, so that its absence proves nothing.
        return InDoubt("refund_not_found", attempt.reference)

    def _read(self, attempt: AttemptRequest, reference: str) -> dict[str, Any]:
        checkout = self._client.read_checkout(reference)
        note_refunds(reference, lambda: shown_refunds(CheckoutRefunds.parse(checkout), attempt.money.currency))
        return checkout
