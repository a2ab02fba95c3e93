"""Payments that nobody but a person sees: an invoice paid by bank, in cash, by cheque. No network, no books of its own.

The payment waits until an operator records what came; nothing here ever says that money moved."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from pydantic import BaseModel

from domain.errors import WebhookRefused
from domain.outcome import ActionRequired, Approved, NotSent, Outcome
from domain.payment import Verb
from gateways.base import AttemptRequest, GatewayContext, SaveReference, VerifiedWebhook, WebhookEvent

PAY_BY_INVOICE = {"type": "pay_by_invoice"}


class ManualGateway:
    """The operator's record in place of a provider."""

    provider = "manual"
    region: str | None = None

    def charge(self, attempt: AttemptRequest, save_reference: SaveReference) -> Outcome:
        """Wait for the record of a payment. There is nothing to hold, so nothing can be captured later."""
        if attempt.verb is Verb.AUTHORIZE:
            return _NOT_SUPPORTED
        reference = attempt.reference or f"invoice_{attempt.attempt_id}"
        save_reference(reference)
        return ActionRequired(reference, PAY_BY_INVOICE)

    def capture(self, attempt: AttemptRequest) -> Outcome:
        """Refuse: see `charge`."""
        return _NOT_SUPPORTED

    def void(self, attempt: AttemptRequest) -> Outcome:
        """Wait no longer."""
        return Approved(attempt.charge_reference or attempt.attempt_id, voided=True)

    def refund(self, attempt: AttemptRequest) -> Outcome:
        """Refuse: money that a person took, a person gives back, and an operator records it."""
        return NotSent("refund_by_hand", is_retryable=False)

    def retrieve(self, attempt: AttemptRequest) -> Outcome:
        """Say that it waits: what an operator records is in our books already."""
        if attempt.verb.is_collecting and attempt.reference is not None:
            return ActionRequired(attempt.reference, PAY_BY_INVOICE)
        return NotSent("not_created")

    def verify_webhook(self, body: bytes, headers: Mapping[str, str], now: datetime, url: str = "") -> VerifiedWebhook:
        """Refuse: nobody calls."""
        raise WebhookRefused("nobody sends webhooks for payments by invoice")

    def read_webhook(self, payload: str) -> WebhookEvent | None:
        """Tell nothing."""
        return None

    def check(self) -> str:
        """Say how it works."""
        return "operators record what came: POST /admin/payments/{id}/record"


_NOT_SUPPORTED = NotSent("not_supported", is_retryable=False)


class ManualSettings(BaseModel):
    """Nothing has to be configured for an operator's record."""

    @property
    def is_on(self) -> bool:
        """Whether it is served: always."""
        return True

    def problems(self) -> list[str]:
        """Return nothing."""
        return []

    def make(self, context: GatewayContext) -> ManualGateway:
        """Return the gateway."""
        return ManualGateway()
