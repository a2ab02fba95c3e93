"""Afterpay (Clearpay in the UK): the customer approves a checkout there, then a charge of its token moves the money.

The token of the checkout is the reference. Afterpay does not show whether the customer has approved, neither by a
webhook nor in the checkout: only a charge shows it. Sources: Afterpay's OpenAPI documents and developers.cash.app,
read 2026-11-23."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime

from domain.comparison import ShownCharge
from domain.disputes import ShownDispute
from domain.money import decimal_text
from domain.outcome import ActionRequired, Approved, InDoubt, NotSent, Outcome
from domain.payment import Verb
from gateways.afterpay import requests as bodies
from gateways.afterpay import webhooks
from gateways.afterpay.client import WRITE_SECONDS, AfterpayClient
from gateways.afterpay.disputes import shown_dispute
from gateways.afterpay.errors import ErrorResponse
from gateways.afterpay.limits import Limits
from gateways.afterpay.lookups import (
    existing,
    is_abandoned,
    outcome_of_attempt,
    outcome_of_capture,
    outcome_of_void,
    unpaid,
)
from gateways.afterpay.responses import (
    Payment,
    doubt_about_words,
    find_refund,
    outcome_of_charge,
    outcome_of_checkout,
    outcome_of_payment,
    outcome_of_refund,
    shown_refunds,
)
from gateways.base import (
    AttemptRequest,
    ChargeMissing,
    GatewayError,
    SaveReference,
    VerifiedWebhook,
    WebhookEvent,
)
from gateways.failures import CallFailed, MalformedResponse
from gateways.json_api import decided, looked_up
from gateways.shown_refunds import note_refunds

# An account takes the currency of its region and no other.
CURRENCIES = {"au": "AUD", "ca": "CAD", "nz": "NZD", "uk": "GBP", "us": "USD"}

_Operation = Callable[[AttemptRequest, str, Payment | None], Outcome]


class AfterpayGateway:
    """One merchant account. A repeat of a call that moves money returns what the first call did."""

    provider = "afterpay"

    def __init__(
        self,
        merchant_id: str,
        secret_key: str,
        region: str,
        api_url: str,
        *,
        base: str,
        webhook_secret: str | None = None,
        read_seconds: float = WRITE_SECONDS,
    ) -> None:
        self.region: str | None = region
        self._currency = CURRENCIES[region]
        self._api_url = api_url.rstrip("/")
        self._webhook_key = (webhook_secret or secret_key).encode()
        self._client = AfterpayClient(base, merchant_id, secret_key, read_seconds, api_url)
        self._limits = Limits(self._client, self._currency)

    def charge(self, attempt: AttemptRequest, save_reference: SaveReference) -> Outcome:
        """Open a checkout that the customer approves; with its token, charge or authorize."""
        token = attempt.reference
        if token is None:
            return self._open(attempt, save_reference)
        # Raises LeaseLost: without the lease nothing may be sent.
        save_reference(token)
        return decided(token, lambda: self._pay(attempt, token))

    def capture(self, attempt: AttemptRequest) -> Outcome:
        """Take the amount of an authorization, and release the remainder."""
        return self._operate(attempt, self._capture)

    def void(self, attempt: AttemptRequest) -> Outcome:
        """Release an authorization. An unpaid checkout needs no call: only its charge could take money."""
        return self._operate(attempt, self._void)

    def refund(self, attempt: AttemptRequest) -> Outcome:
        """Give back part or all of the captured money, within 120 days."""
        return self._operate(attempt, self._refund)

    def retrieve(self, attempt: AttemptRequest) -> Outcome:
        """Read the payment of the token, and end what a capture or a void has begun: see `lookups`."""
        token = attempt.charge_reference or attempt.reference
        if token is None:
            return NotSent("not_created")
        reference = attempt.reference if attempt.verb is Verb.REFUND else token
        return looked_up(reference, lambda: self._outcome_of(attempt, token, self._find(attempt, token)))

    def read_charge(self, charge: AttemptRequest) -> ShownCharge:
        """Return how a payment stands, with its refunds, whoever made them; Afterpay sends no notification of one."""
        token = charge.charged_reference
        try:
            payment = self._client.find_payment(token)
            if payment is None:
                raise ChargeMissing("no_payment")
            refunds = shown_refunds(payment, charge.money.currency)
            return ShownCharge(looked_up(token, lambda: outcome_of_charge(payment, token, charge)), refunds)
        except CallFailed as failure:
            raise GatewayError(failure.reason) from None

    def read_dispute(self, reference: str) -> ShownDispute:
        """Return a dispute as it stands."""
        try:
            return shown_dispute(self._client.read_dispute(reference), self._currency)
        except CallFailed as failure:
            raise GatewayError(failure.reason) from None

    def disputes_of(self, charge: AttemptRequest) -> list[ShownDispute]:
        """Return every dispute about the payment of a token."""
        try:
            found = self._client.find_disputes(charge.charged_reference)
            return [shown_dispute(dispute, self._currency) for dispute in found]
        except CallFailed as failure:
            raise GatewayError(failure.reason) from None

    def limits(self) -> tuple[int, int]:
        """Return the least and the most of one order, in minor units, read within the last day. Raises GatewayError."""
        return self._limits.cached()

    def check(self) -> str:
        """Return one line if Afterpay accepts the credentials. Raises GatewayError."""
        least, most = (decimal_text(minor, self._currency) for minor in self._limits.read())
        return f"Afterpay accepts the credentials; orders from {least} to {most} {self._currency}"

    def verify_webhook(self, body: bytes, headers: Mapping[str, str], now: datetime, url: str = "") -> VerifiedWebhook:
        """Accept a notification that is signed together with its address, at most five minutes from now."""
        return webhooks.verify(self._webhook_key, body, headers, now, url)

    def read_webhook(self, payload: str) -> WebhookEvent | None:
        """Return the charge that a dispute is about, by the reference of its checkout."""
        return webhooks.read(payload)

    # --- charging ---

    def _open(self, attempt: AttemptRequest, save_reference: SaveReference) -> Outcome:
        if attempt.money.currency != self._currency:
            return NotSent("unsupported_currency", is_retryable=False, param="currency")
        if not attempt.payer.get("email"):
            return NotSent("email_missing", is_retryable=False, param="email")
        try:
            checkout = self._client.open_checkout(bodies.checkout(attempt, attempt.return_address(self._api_url)))
        except CallFailed as failure:
            return failure.outcome_of_creation()
        save_reference(checkout.token)
        return outcome_of_checkout(checkout)

    def _pay(self, attempt: AttemptRequest, token: str) -> Outcome:
        is_authorization = attempt.verb is Verb.AUTHORIZE
        try:
            payment = self._client.pay(bodies.payment(attempt, token), is_authorization=is_authorization)
        except ErrorResponse as error:
            if error.code == "invalid_order_transaction_status":
                return self._not_approved(token)
            if error.code == "invalid_token":
                return self._used_or_expired(attempt, token)
            raise
        return outcome_of_charge(payment, token, attempt)

    def _not_approved(self, token: str) -> Outcome:
        """Return where the customer can still approve. Nothing is charged, whatever becomes of this call."""
        try:
            checkout = self._client.read_checkout(token)
        except CallFailed as failure:
            if isinstance(failure, ErrorResponse) and failure.code in ("precondition_failed", "not_found"):
                # Afterpay shows a checkout for an hour; its token is valid for three.
                return ActionRequired(token, {"type": "redirect"})
            return NotSent(failure.reason, reference=token)
        return outcome_of_checkout(checkout)

    def _used_or_expired(self, attempt: AttemptRequest, token: str) -> Outcome:
        """Return the outcome of a token that Afterpay refuses: a used one has a payment, an expired one has none."""

        def look_up() -> Outcome:
            payment = self._find(attempt, token)
            return unpaid(token) if payment is None else self._outcome_of(attempt, token, payment)

        return looked_up(token, look_up)

    # --- operations ---

    def _operate(self, attempt: AttemptRequest, operation: _Operation) -> Outcome:
        """Carry an operation out on the payment of the charge's token, whose id has to be read first."""
        token = attempt.charged_reference
        reference = None if attempt.verb is Verb.REFUND else token
        try:
            payment = self._find(attempt, token)
        except MalformedResponse as failure:
            return failure.outcome(reference)
        except CallFailed as failure:
            return NotSent(failure.reason)
        return decided(reference, lambda: operation(attempt, token, payment))

    def _capture(self, attempt: AttemptRequest, token: str, payment: Payment | None) -> Outcome:
        payment = existing(payment)
        doubt = doubt_about_words(payment, token)
        if doubt is not None:
            return doubt
        if not payment.has_capture_of(attempt):
            if payment.payment_state != "AUTH_APPROVED":
                return InDoubt("unexpected_state", token)
            payment = self._client.capture(payment, bodies.capture(attempt))
        outcome = outcome_of_capture(self._client, attempt, token, payment, is_own=True)
        if isinstance(outcome, Approved) and outcome.captured != attempt.money.minor:
            return InDoubt("amount_mismatch", token)
        return outcome

    def _void(self, attempt: AttemptRequest, token: str, payment: Payment | None) -> Outcome:
        if payment is None or not payment.is_open:
            is_captured = payment is not None and payment.payment_state == "CAPTURED"
            if is_captured and not is_abandoned(attempt):
                return InDoubt("payment_captured", token)
            return outcome_of_void(self._client, attempt, token, payment)
        try:
            voided = self._client.void(payment, bodies.void(attempt, payment.open_to_capture_amount))
        except ErrorResponse as error:
            if error.code == "invalid_amount":
                # Less is open than was just read: a capture was faster.
                return InDoubt(error.reason, token)
            raise
        return outcome_of_payment(voided, token, attempt.money.currency)

    def _refund(self, attempt: AttemptRequest, token: str, payment: Payment | None) -> Outcome:
        payment = existing(payment)
        refund = find_refund(payment, attempt) or self._client.refund(payment, bodies.refund(attempt))
        return outcome_of_refund(refund, attempt.money)

    def _find(self, attempt: AttemptRequest, token: str) -> Payment | None:
        payment = self._client.find_payment(token)
        if payment is not None:
            note_refunds(token, lambda: shown_refunds(payment, attempt.money.currency))
        return payment

    def _outcome_of(self, attempt: AttemptRequest, token: str, payment: Payment | None) -> Outcome:
        return outcome_of_attempt(self._client, attempt, token, payment)
