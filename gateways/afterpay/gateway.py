"""Afterpay (Clearpay in the UK): the shopper approves a checkout there, and then our auth or capture moves the money.

The token of the checkout is the reference. Nothing tells us that he approved, neither a webhook nor the checkout
itself: only an auth or a capture can find out. Sources: Afterpay's OpenAPI documents and developers.cash.app,
read 2026-11-23."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from pydantic import BaseModel, Field, SecretStr

from domain.charging import NOT_SENT
from domain.money import decimal_text
from domain.outcome import ActionRequired, Approved, CustomerApproved, Declined, InDoubt, NotSent, Outcome
from domain.payment import Verb
from gateways.afterpay.client import WRITE_SECONDS, AfterpayClient
from gateways.afterpay.limits import Limits
from gateways.afterpay.requests import amount_of, checkout_of, reference_of
from gateways.afterpay.responses import (
    DECLINED,
    OPEN,
    code_of,
    failure_of,
    find_refund,
    is_payment,
    outcome_of_charge,
    outcome_of_checkout,
    outcome_of_payment,
    outcome_of_refund,
    outcome_of_reversal,
    reason_of,
    was_captured_by,
)
from gateways.afterpay.webhooks import read, verify
from gateways.base import AttemptRequest, GatewayContext, SaveReference, VerifiedWebhook, WebhookEvent
from gateways.failures import CallFailed, FailureKind
from gateways.idempotency import key_of
from gateways.json_api import ProviderResponse, decided, looked_up, segment
from gateways.settings import is_of_sandbox, revealed

_LIVE_HOST, _SANDBOX_HOST = "global-api.afterpay.com", "global-api-sandbox.afterpay.com"
DEFAULT_BASE = f"https://{_LIVE_HOST}"
# An account takes the currency of its region and no other.
CURRENCIES = {"au": "AUD", "ca": "CAD", "nz": "NZD", "uk": "GBP", "us": "USD"}
# Why a charge is voided that nobody waits for any more, though it may have been made: see `_reverse`.
_GIVEN_UP = frozenset({NOT_SENT, "expired"})


class AfterpayGateway:
    """One merchant account. Every call that moves money can be repeated: the second finds what the first did."""

    provider = "afterpay"

    def __init__(
        self,
        merchant_id: str,
        secret_key: str,
        region: str,
        api_url: str,
        webhook_secret: str | None = None,
        base: str = DEFAULT_BASE,
        read_seconds: float = WRITE_SECONDS,
    ) -> None:
        self.region: str | None = region
        self._currency = CURRENCIES[region]
        self._api_url = api_url.rstrip("/")
        self._webhook_key = (webhook_secret or secret_key).encode()
        self._api = AfterpayClient(base, merchant_id, secret_key, read_seconds, api_url)
        self._limits = Limits(self._api, self._currency)

    def charge(self, attempt: AttemptRequest, save_reference: SaveReference) -> Outcome:
        """Open a checkout that the shopper approves; once it is known, authorize or capture its token."""
        token = attempt.reference
        if token is None:
            return self._open(attempt, save_reference)
        # Whoever lost the lease meanwhile must not send anything.
        save_reference(token)
        return decided(token, lambda: self._pay(attempt, token))

    def capture(self, attempt: AttemptRequest) -> Outcome:
        """Take the amount of an authorization, and release the rest."""
        return self._operate(attempt, self._capture)

    def void(self, attempt: AttemptRequest) -> Outcome:
        """Release an authorization. An unfinished checkout needs nothing: only we could take money with it."""
        return self._operate(attempt, self._void)

    def refund(self, attempt: AttemptRequest) -> Outcome:
        """Give back part or all of what was captured, within 120 days."""
        return self._operate(attempt, self._refund)

    def retrieve(self, attempt: AttemptRequest) -> Outcome:
        """Read the payment of the token. Without one, only a charge can tell whether the shopper has approved.

        What a capture or a void had begun is brought to its end: the rest of a capture, a reversal."""
        token = attempt.charge_reference or attempt.reference
        if token is None:
            return NotSent("not_created")
        known = attempt.reference if attempt.verb is Verb.REFUND else token
        return looked_up(known, lambda: self._standing(attempt, token, self._find(token)))

    def limits(self) -> tuple[int, int]:
        """Return the least and the most that one order may be, in minor units, as read within the last day.

        Raises GatewayError when Afterpay does not say."""
        return self._limits.kept()

    def check(self) -> str:
        """Return a line that says the credentials are accepted; raises GatewayError if they are not."""
        least, most = (decimal_text(minor, self._currency) for minor in self._limits.read())
        return f"Afterpay accepts the credentials; orders from {least} to {most} {self._currency}"

    def verify_webhook(self, body: bytes, headers: Mapping[str, str], now: datetime, url: str = "") -> VerifiedWebhook:
        """Accept a notification about a dispute, signed together with its address, at most five minutes from now."""
        return verify(self._webhook_key, body, headers, now, url)

    def read_webhook(self, payload: str) -> WebhookEvent | None:
        """Name the charge that a dispute is about, by the reference that we gave it; Afterpay is then asked."""
        return read(payload)

    # --- the charge ---

    def _open(self, attempt: AttemptRequest, save_reference: SaveReference) -> Outcome:
        if attempt.money.currency != self._currency:
            return NotSent("unsupported_currency", is_retryable=False)
        if not attempt.payer.get("email"):
            return NotSent("email_missing", is_retryable=False)
        back = attempt.way_back(self._api_url)
        try:
            response = self._api.post("/checkouts", checkout_of(attempt, back))
        except CallFailed as failure:
            return failure.outcome_of_creation()
        if response.status not in (200, 201):
            return failure_of(response).outcome_of_creation()
        opened = outcome_of_checkout(response)
        if opened is None:
            return NotSent("malformed_response")
        save_reference(opened.reference)
        return opened

    def _pay(self, attempt: AttemptRequest, token: str) -> Outcome:
        body: dict[str, Any] = {"token": token, "merchantReference": reference_of(attempt)}
        if attempt.verb is Verb.AUTHORIZE:
            response = self._api.post("/payments/auth", body | {"requestId": key_of(attempt.attempt_id, "auth")})
        else:
            # The same token is never captured twice: it needs no request id.
            response = self._api.post("/payments/capture", body)
        if is_payment(response):
            outcome = outcome_of_charge(response.fields, token, attempt.money)
            is_contradiction = response.status == 402 and not isinstance(outcome, Declined)
            return InDoubt("contradicting_answer", token) if is_contradiction else outcome
        if code_of(response) == "invalid_order_transaction_status":
            return self._not_approved(token)
        if code_of(response) == "invalid_token":
            return self._token_is_over(attempt, token)
        return failure_of(response).outcome(token)

    def _not_approved(self, token: str) -> Outcome:
        """The shopper has not confirmed: say where he can, while the checkout is kept (the token lives longer)."""
        try:
            response = self._api.get(f"/checkouts/{segment(token)}")
        except CallFailed as failure:
            return NotSent(failure.reason, reference=token)
        if code_of(response) in ("precondition_failed", "not_found"):
            return ActionRequired(token, {"type": "redirect"})
        opened = outcome_of_checkout(response) if response.status == 200 else None
        if opened is None or opened.reference != token:
            return NotSent(reason_of(response), reference=token)
        return opened

    def _token_is_over(self, attempt: AttemptRequest, token: str) -> Outcome:
        """It ran out, or was used: then there is a payment."""
        try:
            payment = self._find(token)
        except CallFailed as failure:
            return InDoubt(failure.reason, token)
        return _unseen(token) if payment is None else self._standing(attempt, token, payment)

    # --- look-ups ---

    def _find(self, token: str) -> Any:
        """Return the payment of a token, None if there is none. Raises CallFailed."""
        response = self._api.get(f"/payments/token:{segment(token)}")
        if response.status == 200 and response.fields.get("token") == token:
            return response.fields
        # Only Afterpay's own word for it: another server's 404 proves nothing.
        if response.status == 404 and code_of(response) == "not_found":
            return None
        raise CallFailed("malformed_response" if response.status == 200 else reason_of(response), FailureKind.UNKNOWN)

    def _standing(self, attempt: AttemptRequest, token: str, payment: Any) -> Outcome:
        """Say how the attempt of an order stands, by the payment of its token."""
        match attempt.verb:
            case Verb.REFUND:
                refund = find_refund(_there(payment), attempt.attempt_id, attempt.reference)
                return outcome_of_refund(refund, attempt.money)
            case Verb.VOID:
                return self._standing_of_void(attempt, token, payment)
            case Verb.CAPTURE:
                is_ours = was_captured_by(_there(payment), attempt.attempt_id)
                return self._captured(attempt, token, payment, is_ours=is_ours)
        return CustomerApproved(token) if payment is None else outcome_of_charge(payment, token, attempt.money)

    def _standing_of_void(self, attempt: AttemptRequest, token: str, payment: Any) -> Outcome:
        if payment is None:
            return _unseen(token)
        if payment["paymentState"] in DECLINED:
            return Approved(token, voided=True)
        if payment["paymentState"] == "CAPTURED" and attempt.reason in _GIVEN_UP:
            return self._reverse(attempt, token, payment)
        return outcome_of_payment(payment, token, attempt.money.currency)

    # --- operations ---

    def _operate(self, attempt: AttemptRequest, operation: Callable[[AttemptRequest, str, Any], Outcome]) -> Outcome:
        """Carry an operation out on the payment of the charge's token; its id has to be read first."""
        token = attempt.charged
        try:
            payment = self._find(token)
        except CallFailed as failure:
            return NotSent(failure.reason)
        return decided(None if attempt.verb is Verb.REFUND else token, lambda: operation(attempt, token, payment))

    def _capture(self, attempt: AttemptRequest, token: str, payment: Any) -> Outcome:
        if not was_captured_by(_there(payment), attempt.attempt_id):
            if payment["paymentState"] != "AUTH_APPROVED":
                return InDoubt("unexpected_state", token)
            request = {
                "requestId": key_of(attempt.attempt_id, "capture"),
                "amount": amount_of(attempt.money),
                "paymentEventMerchantReference": attempt.attempt_id,
            }
            response = self._api.post(f"/payments/{_id(payment)}/capture", request)
            if not is_payment(response):
                return failure_of(response).outcome(token)
            payment = response.fields
        outcome = self._captured(attempt, token, payment, is_ours=True)
        if isinstance(outcome, Approved) and outcome.captured != attempt.money.minor:
            return InDoubt("amount_mismatch", token)
        return outcome

    def _captured(self, attempt: AttemptRequest, token: str, payment: Any, *, is_ours: bool) -> Outcome:
        """Release what our capture in part has left over, also when the worker that captured is gone."""
        if is_ours and payment["paymentState"] == "PARTIALLY_CAPTURED":
            try:
                response = self._release(payment, key_of(attempt.attempt_id, "rest"), reason="amountAdjustment")
            except CallFailed as failure:
                # Captured is captured: this must never count as not sent.
                return InDoubt(failure.reason, token)
            if not is_payment(response):
                return InDoubt(reason_of(response), token)
            payment = response.fields
        return outcome_of_payment(payment, token, attempt.money.currency)

    def _void(self, attempt: AttemptRequest, token: str, payment: Any) -> Outcome:
        state = payment and payment["paymentState"]
        if state == "CAPTURED" and attempt.reason not in _GIVEN_UP:
            return InDoubt("payment_captured", token)
        if state not in OPEN:
            return self._standing_of_void(attempt, token, payment)
        response = self._release(payment, key_of(attempt.attempt_id, "void"))
        if is_payment(response):
            return outcome_of_payment(response.fields, token, attempt.money.currency)
        if code_of(response) == "invalid_amount":
            # Less is open than we have just read: a capture was faster.
            return InDoubt(reason_of(response), token)
        return failure_of(response).outcome(token)

    def _release(self, payment: Any, request_id: str, **fields: str) -> ProviderResponse:
        request = {"requestId": request_id, "amount": payment["openToCaptureAmount"], **fields}
        return self._api.post(f"/payments/{_id(payment)}/void", request)

    def _reverse(self, attempt: AttemptRequest, token: str, payment: Any) -> Outcome:
        """Take back a charge that went through although it was given up: its answer was lost, and the debt ended here.

        Afterpay reverses by token within ten minutes, and later than it answers: until the payment shows it, this is
        in doubt and asked for again. When it is too late for that, the money goes into the books as captured."""
        response = self._api.post(f"/payments/token:{segment(token)}/reversal")
        outcome = outcome_of_reversal(response, token)
        return outcome_of_payment(payment, token, attempt.money.currency) if outcome is None else outcome

    def _refund(self, attempt: AttemptRequest, token: str, payment: Any) -> Outcome:
        known = find_refund(_there(payment), attempt.attempt_id, attempt.reference)
        if known is not None:
            return outcome_of_refund(known, attempt.money)
        request = {
            "requestId": key_of(attempt.attempt_id, "refund"),
            "amount": amount_of(attempt.money),
            # Without both of them a repeat would be another refund.
            "merchantReference": attempt.attempt_id,
            "refundMerchantReference": attempt.attempt_id,
        }
        response = self._api.post(f"/payments/{_id(payment)}/refund", request)
        if response.status not in (200, 201):
            return failure_of(response).outcome()
        return outcome_of_refund(response.fields, attempt.money)


def _unseen(token: str) -> Outcome:
    """Without a payment nothing is held; a capture of ours that is still running has none yet."""
    return Approved(token, voided=True, may_still_charge=True)


def _there(payment: Any) -> Any:
    """What was captured or authorized has a payment: that Afterpay knows none makes no sense."""
    if payment is None:
        raise CallFailed("no_payment", FailureKind.UNKNOWN)
    return payment


def _id(payment: Any) -> str:
    return segment(str(payment["id"]))


# --- settings ---------------------------------------------------------------------------------------


class AfterpaySettings(BaseModel):
    """The environment's part of Afterpay; field names are its variables in lower case."""

    afterpay_merchant_id: str | None = Field(default=None, description="Merchant id; without it Afterpay is off")
    afterpay_secret_key: SecretStr | None = Field(default=None, description="Secret key of that merchant id")
    afterpay_region: str | None = Field(
        default=None, description=f"Region of the account, which decides its currency: {', '.join(sorted(CURRENCIES))}"
    )
    afterpay_webhook_secret: SecretStr | None = Field(
        default=None,
        description="HMAC key that Afterpay gives out for dispute notifications; without it the secret key is used",
    )
    afterpay_api_base: str = Field(default=DEFAULT_BASE, description="Afterpay's live or sandbox host, or an imitation")

    @property
    def is_on(self) -> bool:
        """Whether Afterpay is served."""
        return bool(self.afterpay_merchant_id) and self.afterpay_secret_key is not None

    def problems(self) -> list[str]:
        """Return what is wrong, each naming its variable and what to do."""
        merchant, secret = self.afterpay_merchant_id, revealed(self.afterpay_secret_key)
        if not merchant and not secret:
            return []
        found = []
        if not merchant:
            found.append("AFTERPAY_MERCHANT_ID is missing; set the one that AFTERPAY_SECRET_KEY belongs to")
        elif not re.fullmatch(r"[\w.-]+", merchant, re.ASCII):
            found.append("AFTERPAY_MERCHANT_ID must be letters, digits, '.', '_' and '-'")
        if not secret:
            found.append("AFTERPAY_SECRET_KEY is missing; set the one of AFTERPAY_MERCHANT_ID")
        if self.afterpay_region not in CURRENCIES:
            found.append(f"AFTERPAY_REGION must be one of {', '.join(sorted(CURRENCIES))}")
        return found + self._host_problems(merchant or "", secret)

    def _host_problems(self, *credentials: str) -> list[str]:
        """Afterpay's own credentials look the same for live and sandbox; those of the imitation say what they are."""
        base, is_sandbox = urlsplit(self.afterpay_api_base), is_of_sandbox(*credentials)
        if base.scheme not in ("http", "https") or not base.hostname:
            return ["AFTERPAY_API_BASE must begin with https:// (or http:// for an imitation)"]
        if base.hostname == _LIVE_HOST and is_sandbox:
            return ["AFTERPAY_API_BASE is the live host but the credentials are a sandbox's; set the sandbox's address"]
        is_afterpay = base.scheme == "https" and base.hostname in (_LIVE_HOST, _SANDBOX_HOST)
        if not is_afterpay and not is_sandbox:
            return ["AFTERPAY_API_BASE is not Afterpay; credentials without 'sandbox' in them must not be sent there"]
        return []

    def make(self, context: GatewayContext) -> AfterpayGateway | None:
        """Return the gateway; None when it is not configured."""
        merchant, secret, region = self.afterpay_merchant_id, revealed(self.afterpay_secret_key), self.afterpay_region
        if not merchant or not secret or not region:
            return None
        return AfterpayGateway(
            merchant_id=merchant,
            secret_key=secret,
            region=region,
            api_url=context.api_url,
            webhook_secret=revealed(self.afterpay_webhook_secret),
            base=self.afterpay_api_base,
            read_seconds=context.read_seconds,
        )
