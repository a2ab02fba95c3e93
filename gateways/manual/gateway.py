"""The verbs of payments by invoice: paid by bank transfer, in cash or by cheque, and recorded by an operator.

No call leaves this system. The payment waits until an operator records it; no verb here says that money moved."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from domain.errors import WebhookRefused
from domain.outcome import ActionRequired, Approved, NotSent, Outcome
from domain.payment import Verb
from gateways.base import AttemptRequest, SaveReference, VerifiedWebhook, WebhookEvent

PAY_BY_INVOICE = {"type": "pay_by_invoice"}
_NOT_SUPPORTED = NotSent("not_supported", is_retryable=False)


class ManualGateway:
    """An operator's record in place of a provider."""

    provider = "manual"
    region: str | None = None

    def charge(self, attempt: AttemptRequest, save_reference: SaveReference) -> Outcome:
        """Wait for the record of a payment. There is nothing to authorize, so that nothing can be captured later."""
        if attempt.verb is Verb.AUTHORIZE:
            return _NOT_SUPPORTED
        reference = attempt.reference or f"invoice_{attempt.attempt_id}"
        save_reference(reference)
        return ActionRequired(reference, PAY_BY_INVOICE)

    def capture(self, attempt: AttemptRequest) -> Outcome:
        """Refuse: there are no authorizations; see `charge`."""
        return _NOT_SUPPORTED

    def void(self, attempt: AttemptRequest) -> Outcome:
        """Stop waiting for the payment."""
        return Approved(attempt.charge_reference or attempt.attempt_id, voided=True)

    def refund(self, attempt: AttemptRequest) -> Outcome:
        """Refuse: a person gives the money back, and an operator records it."""
        return NotSent("refund_by_hand", is_retryable=False)

    def retrieve(self, attempt: AttemptRequest) -> Outcome:
        """Return that the payment waits. An operator's record changes the payment directly, not through a look-up."""
        if attempt.verb.is_collecting and attempt.reference is not None:
            return ActionRequired(attempt.reference, PAY_BY_INVOICE)
        return NotSent("not_created")

    def verify_webhook(self, body: bytes, headers: Mapping[str, str], now: datetime, url: str = "") -> VerifiedWebhook:
        """Refuse every webhook: there is no provider that could send one."""
        raise WebhookRefused("payments by invoice have no webhooks")

    def read_webhook(self, payload: str) -> WebhookEvent | None:
        """Return None: no webhook is ever stored."""
        return None

    def check(self) -> str:
        """Return a line that says how an operator records a payment."""
        return "operators record what came: POST /admin/payments/{id}/record"
