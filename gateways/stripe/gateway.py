"""Stripe through its official SDK: cards, debits, transfers, Klarna and Afterpay as PaymentIntents.

Create, remember the id, then confirm: until the confirm no money can move, and after it the intent
can always be looked up. Sources: docs.stripe.com/api and the SDK 16.1.0, read 2026-11-23."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

import stripe

from domain.outcome import InDoubt, NotSent, Outcome
from domain.payment import Verb
from gateways.base import AttemptRequest, GatewayError, SaveReference, VerifiedWebhook, WebhookEvent
from gateways.http import CONNECT_SECONDS, make_session
from gateways.json_api import MALFORMED
from gateways.stripe import webhooks as stripe_webhooks
from gateways.stripe.account_report import describe
from gateways.stripe.errors import nothing_moved, outcome_of_error, reason, unanswered
from gateways.stripe.money import to_stripe
from gateways.stripe.payer import customer_params
from gateways.stripe.requests import (
    base_params,
    confirm_params,
    create_key,
    create_params,
    fault_of,
    key,
    metadata,
    needs_new_customer,
)
from gateways.stripe.responses import outcome_of_refund, outcome_of_requested
from gateways.stripe.saved_methods import StripeSavedMethods

DEFAULT_BASE = "https://api.stripe.com"


class StripeGateway(StripeSavedMethods):
    """One pooled session a process; every call carries a key that is the attempt's own."""

    provider = "stripe"
    region: str | None = None

    def __init__(
        self,
        secret_key: str,
        webhook_secrets: tuple[str, ...] = (),
        base: str = DEFAULT_BASE,
        read_seconds: float = 30,
        publishable_key: str | None = None,
    ) -> None:
        self.publishable_key = publishable_key
        self._is_live = "_live_" in secret_key
        self._webhook_secrets = webhook_secrets
        self._client = stripe.StripeClient(
            secret_key,
            base_addresses={"api": base},
            max_network_retries=0,
            http_client=stripe.RequestsClient(timeout=(CONNECT_SECONDS, read_seconds), session=make_session(base)),
        )

    def charge(self, attempt: AttemptRequest, save_reference: SaveReference) -> Outcome:
        """Create the intent, remember it, confirm it."""
        reference = attempt.reference
        if reference is None:
            if (fault := fault_of(attempt)) is not None:
                return NotSent(fault, is_retryable=False)
            try:
                reference = str(self._create(attempt, create_params(self._with_customer(attempt)))["id"])
            except stripe.StripeError as error:
                return nothing_moved(error)
            except MALFORMED:
                return NotSent("malformed_response")
        # Also when it is known already: whoever lost the lease meanwhile must not confirm.
        save_reference(reference)
        return self._answer(
            attempt,
            reference,
            lambda: self._post(
                f"/v1/payment_intents/{reference}/confirm", confirm_params(attempt), key(attempt, "confirm")
            ),
        )

    def capture(self, attempt: AttemptRequest) -> Outcome:
        """Take the amount of an authorized intent; the rest is released."""
        reference = attempt.charged
        params: Any = {"amount_to_capture": to_stripe(attempt.money)}
        return self._answer(
            attempt,
            reference,
            lambda: self._client.v1.payment_intents.capture(reference, params=params, options=key(attempt, "capture")),
        )

    def void(self, attempt: AttemptRequest) -> Outcome:
        """Cancel an intent that has not succeeded; an authorization is released."""
        reference = attempt.charged
        params: Any = {"cancellation_reason": "abandoned" if attempt.reason == "expired" else "requested_by_customer"}
        return self._answer(
            attempt,
            reference,
            lambda: self._client.v1.payment_intents.cancel(reference, params=params, options=key(attempt, "cancel")),
        )

    def refund(self, attempt: AttemptRequest) -> Outcome:
        """Refund part or all of a captured intent. The key never changes: a repeat is the same refund."""
        params: Any = {
            "payment_intent": attempt.charged,
            "amount": to_stripe(attempt.money),
            "metadata": metadata(attempt),
        }
        if attempt.reason:
            params["reason"] = attempt.reason
        try:
            refund = self._client.v1.refunds.create(params=params, options={"idempotency_key": attempt.attempt_id})
            return outcome_of_refund(refund)
        except stripe.StripeError as error:
            return outcome_of_error(error, None)
        except MALFORMED:
            return InDoubt("malformed_response")

    def retrieve(self, attempt: AttemptRequest) -> Outcome:
        """Look the intent or refund up. Without a stored reference nothing can have moved, refunds aside."""
        if attempt.verb is Verb.REFUND:
            return self._retrieve_refund(attempt)
        reference = attempt.reference or attempt.charge_reference
        if reference is None:
            return NotSent("not_created")
        try:
            intent = self._client.v1.payment_intents.retrieve(reference, params={"expand": ["latest_charge"]})
            return outcome_of_requested(intent, reference, attempt.money.currency)
        except stripe.StripeError as error:
            return unanswered(error, reference)
        except MALFORMED:
            return InDoubt("malformed_response", reference)

    def open_intent(self, attempt: AttemptRequest, save_reference: SaveReference) -> str:
        """Create an intent that the front end confirms with any method the account offers."""
        params = base_params(attempt) | {"automatic_payment_methods": {"enabled": True}}
        try:
            intent = self._create(attempt, params)
        except stripe.StripeError as error:
            raise GatewayError(reason(error)) from None
        save_reference(intent["id"])
        return str(intent["client_secret"])

    def client_secret(self, reference: str) -> str:
        """Read the secret again for a repeated request."""
        try:
            return str(self._client.v1.payment_intents.retrieve(reference)["client_secret"])
        except stripe.StripeError as error:
            raise GatewayError(reason(error)) from None

    def verify_webhook(self, body: bytes, headers: Mapping[str, str], now: datetime, url: str = "") -> VerifiedWebhook:
        """Accept a body signed with any of the secrets, at most five minutes from now, of our mode."""
        return stripe_webhooks.verify(body, headers, now, self._webhook_secrets, is_live=self._is_live)

    def read_webhook(self, payload: str) -> WebhookEvent | None:
        """Read intents, refunds and disputes; every other object tells nothing that those do not."""
        return stripe_webhooks.read(payload)

    def check(self) -> str:
        """Ask Stripe whether it takes our key; one line for an operator. Raises GatewayError."""
        try:
            account = self._read("/v1/account")
            endpoints = self._read("/v1/webhook_endpoints?limit=100")
        except stripe.StripeError as error:
            raise GatewayError(reason(error)) from None
        return describe(account, endpoints, is_live=self._is_live)

    def _read(self, path: str) -> Any:
        """Return the object, or None where a restricted key may not read it."""
        try:
            return self._client.raw_request("get", path).data
        except stripe.PermissionError:
            return None

    def _create(self, attempt: AttemptRequest, params: Any) -> Any:
        return self._post("/v1/payment_intents", params, create_key(attempt))

    def _with_customer(self, attempt: AttemptRequest) -> AttemptRequest:
        if not needs_new_customer(attempt):
            return attempt
        params = customer_params(attempt.payer, metadata(attempt))
        customer = self._post("/v1/customers", params, create_key(attempt, "customer"))
        return replace(attempt, customer_token=str(customer["id"]))

    def _post(self, path: str, params: Any, options: Any) -> Any:
        # The SDK's services wrap the answer, field by field, in objects that nobody asks for here; that takes
        # as long as the rest of the call. Request, key and errors are the SDK's all the same.
        return self._client.raw_request("post", path, **params, **options).data

    def _answer(self, attempt: AttemptRequest, reference: str, call: Callable[[], Any]) -> Outcome:
        try:
            return outcome_of_requested(call(), reference, attempt.money.currency)
        except stripe.StripeError as error:
            return outcome_of_error(error, reference)
        except MALFORMED:
            return InDoubt("malformed_response", reference)

    def _retrieve_refund(self, attempt: AttemptRequest) -> Outcome:
        refunds = self._client.v1.refunds
        try:
            if attempt.reference is not None:
                refund = refunds.retrieve(attempt.reference)
                is_it = refund["id"] == attempt.reference
                return outcome_of_refund(refund) if is_it else InDoubt("another_object", attempt.reference)
            listed = refunds.list(params={"payment_intent": attempt.charged, "limit": 100})
            for refund in listed.auto_paging_iter():
                if "attempt_id" in refund["metadata"] and refund["metadata"]["attempt_id"] == attempt.attempt_id:
                    return outcome_of_refund(refund)
        except stripe.StripeError as error:
            return unanswered(error, attempt.reference)
        except MALFORMED:
            return InDoubt("malformed_response", attempt.reference)
        return NotSent("not_created")
