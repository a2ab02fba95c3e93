"""Klarna for direct merchants: the customer approves on a hosted page, then Order Management moves the money.

Make the page, save its reference, let Klarna place the order when the customer approves, save the order's id,
capture. Before the capture Klarna only holds the money. The order of a customer token whose response was lost is found
by the same call under the same key, which returns it; there is no other way (see `token_order`). Sources: Klarna's
Payments v1, Hosted Payment Page 1.1, Order Management v1 and Customer Token v1, read 2026-11-23."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from domain.comparison import ShownCharge
from domain.outcome import Approved, CustomerApproved, InDoubt, NotSent, Outcome
from gateways.base import AttemptRequest, ChargeMissing, GatewayError, SaveReference, VerifiedWebhook, WebhookEvent
from gateways.failures import CallFailed, FailureKind
from gateways.idempotency import key_of
from gateways.json_api import decided, looked_up
from gateways.klarna import requests as bodies
from gateways.klarna import webhooks
from gateways.klarna.client import LONGEST_READ_SECONDS, KlarnaClient
from gateways.klarna.errors import ErrorKind, ErrorResponse
from gateways.klarna.hosted_page import HostedPage
from gateways.klarna.lookups import look_up, read_page
from gateways.klarna.responses import exceeds_remaining, outcome_of_order, outcome_of_page, shown_refunds
from gateways.klarna.token_order import TokenOrder

# What proves that no order was placed: of a placed one, Klarna repeats the first response.
_UNPLACED = (ErrorKind.AT_FAULT, ErrorKind.DECLINED, ErrorKind.NOT_FOUND)


class KlarnaGateway:
    """One merchant account over one pooled session.

    `callback_secrets`: the first goes into the callback addresses that Klarna is given, and each of them is accepted.
    Without a secret Klarna sends no callbacks, and only look-ups show what happened."""

    provider = "klarna"

    def __init__(
        self,
        username: str,
        password: str,
        *,
        api_url: str,
        base: str,
        region: str = "eu",
        callback_secrets: tuple[str, ...] = (),
        read_seconds: float = LONGEST_READ_SECONDS,
    ) -> None:
        self.region: str | None = region
        self._api_url = api_url.rstrip("/")
        self._callback_secrets = callback_secrets
        self._client = KlarnaClient(base, username, password, read_seconds)

    def charge(self, attempt: AttemptRequest, save_reference: SaveReference) -> Outcome:
        """Open the page, or place the order of a customer token; resumed, capture the order."""
        if attempt.reference is not None and TokenOrder.of(attempt.reference) is None:
            return self._resume(attempt, attempt.reference, save_reference)
        if attempt.is_off_session:
            return self._charge_token(attempt, save_reference)
        country = bodies.country_of(attempt)
        if country is None:
            return NotSent("billing_country_missing", is_retryable=False, param="billing_address")
        try:
            page = self._open_page(attempt, country)
        except CallFailed as failure:
            return failure.outcome_of_creation()
        save_reference(page.reference)
        return page.action

    def capture(self, attempt: AttemptRequest) -> Outcome:
        """Take the amount of an authorized order; the remainder is released."""
        return self._capture(attempt, attempt.charged_reference)

    def void(self, attempt: AttemptRequest) -> Outcome:
        """Cancel an order, or disable a page and cancel the order of a customer who approves at the same moment."""
        missed = TokenOrder.of(attempt.charged_reference)
        if missed is not None:
            return self._void_token_order(attempt, missed)
        page = HostedPage.of(attempt.charged_reference)
        if page is None:
            return self._cancel(attempt, attempt.charged_reference)
        return decided(page.reference, lambda: self._close_page(attempt, page))

    def refund(self, attempt: AttemptRequest) -> Outcome:
        """Give back part or all of the captured money. A repeat under the same key is the same refund."""
        return self._change(attempt, attempt.charged_reference, "refunds", bodies.refund(attempt))

    def retrieve(self, attempt: AttemptRequest) -> Outcome:
        """Look the page or the order up, and release money that must not stay held: see `lookups`."""
        is_collecting = attempt.verb.is_collecting
        reference = attempt.reference if is_collecting else attempt.charged_reference
        if reference is None and not attempt.is_off_session:
            return NotSent("not_created")
        if reference is None or TokenOrder.of(reference) is not None:
            return _outcome_of_missed(attempt) if is_collecting else NotSent("not_executed")
        return self._look_up(attempt, reference)

    def read_charge(self, charge: AttemptRequest) -> ShownCharge:
        """Return how an order stands, with its refunds, whoever made them; Klarna sends no callback of a refund."""
        try:
            order = self._client.read_order(charge.charged_reference)
            outcome = looked_up(order.order_id, lambda: outcome_of_order(charge, order))
            return ShownCharge(outcome, shown_refunds(order))
        except CallFailed as failure:
            is_missing = isinstance(failure, ErrorResponse) and failure.error_kind is ErrorKind.NOT_FOUND
            raise (ChargeMissing if is_missing else GatewayError)(failure.reason) from None

    def verify_webhook(self, body: bytes, headers: Mapping[str, str], now: datetime, url: str = "") -> VerifiedWebhook:
        """Accept a callback whose address ends in one of the secrets: Klarna neither signs nor dates callbacks."""
        return webhooks.verify(body, url, self._callback_secrets)

    def read_webhook(self, payload: str) -> WebhookEvent | None:
        """Return which attempt a callback is about; its outcome is looked up."""
        return webhooks.read(payload)

    def check(self) -> str:
        """Return one line if Klarna accepts the credentials. Raises GatewayError."""
        try:
            self._client.check_credentials()
        except CallFailed as failure:
            raise GatewayError(failure.reason) from None
        return f"klarna: credentials accepted at {self._client.base}"

    # --- charging ---

    def _open_page(self, attempt: AttemptRequest, country: str) -> HostedPage:
        return_url, callback_url = attempt.return_address(self._api_url), self._callback_url(attempt)
        session_url = self._client.open_session(bodies.payment_session(attempt, country, return_url, callback_url))
        return self._client.open_page(bodies.hosted_page(session_url, return_url, callback_url))

    def _charge_token(self, attempt: AttemptRequest, save_reference: SaveReference) -> Outcome:
        """Place an order that only holds the money, so that its id is saved before anything is captured."""
        if attempt.method_token is None:
            return NotSent("payment_method_token_missing", is_retryable=False, param="payment_method_token")
        missed = TokenOrder.missed(attempt)
        try:
            order_id = self._place(attempt, missed)
        except CallFailed as failure:
            if isinstance(failure, ErrorResponse) and failure.error_kind is ErrorKind.NOT_FOUND:
                return NotSent("unknown_token", False, attempt.reference, param="payment_method_token")
            may_be_placed = failure.kind is FailureKind.UNKNOWN
            return failure.outcome(missed.reference if may_be_placed else attempt.reference)
        return self._resume(attempt, order_id, save_reference)

    def _place(self, attempt: AttemptRequest, missed: TokenOrder) -> str:
        """Place the order of a customer token, or find it if it was placed; return its id. Raises CallFailed."""
        if attempt.method_token is None or not missed.may_be_asked_for(attempt.claimed_at):
            raise CallFailed("order_not_found", FailureKind.UNKNOWN)
        # One key for ever: an order holds money, and no look-up finds it before its id is known.
        charge = replace(attempt, attempt_id=missed.attempt_id, key_number=0)
        body = bodies.token_order(charge, self._callback_url(charge))
        return self._client.order_by_token(attempt.method_token, body, key_of(charge, "order"))

    def _void_token_order(self, attempt: AttemptRequest, missed: TokenOrder) -> Outcome:
        """Find the order whose response was lost, and cancel it."""
        try:
            order_id = self._place(attempt, missed)
        except CallFailed as failure:
            is_unplaced = isinstance(failure, ErrorResponse) and failure.error_kind in _UNPLACED
            return Approved(missed.reference, voided=True) if is_unplaced else NotSent(failure.reason)
        outcome = self._look_up(attempt, order_id)
        return outcome if isinstance(outcome, Approved) else self._cancel(attempt, order_id)

    def _resume(self, attempt: AttemptRequest, reference: str, save_reference: SaveReference) -> Outcome:
        """Capture if the customer has approved. The look-up comes first, so that a repeat never captures twice."""
        outcome = self._look_up(attempt, reference)
        newest_reference = outcome.reference or reference
        save_reference(newest_reference)
        return self._capture(attempt, newest_reference) if isinstance(outcome, CustomerApproved) else outcome

    # --- orders ---

    def _capture(self, attempt: AttemptRequest, order_id: str) -> Outcome:
        return self._change(attempt, order_id, "captures", bodies.capture(attempt))

    def _change(self, attempt: AttemptRequest, order_id: str, operation: str, body: dict[str, Any]) -> Outcome:
        """Capture or refund; the order then shows the result."""
        if attempt.retries and not attempt.verb.is_collecting:
            # Klarna forgets a key after 24 hours: a call that was executed after all must not be sent again.
            outcome = self._look_up(attempt, order_id)
            if not isinstance(outcome, NotSent):
                return outcome
        try:
            self._client.change_order(order_id, operation, key_of(attempt, operation), body)
        except CallFailed as failure:
            return self._not_accepted(attempt, order_id, failure)
        return _confirmed(self._look_up(attempt, order_id), order_id)

    def _not_accepted(self, attempt: AttemptRequest, order_id: str, failure: CallFailed) -> Outcome:
        """Return the outcome of a failed capture or refund.

        Klarna has one code for an amount that is too high and for an order in the wrong state; the order shows
        which of them it is."""
        if not (isinstance(failure, ErrorResponse) and failure.error_kind is ErrorKind.WRONG_STATE):
            return failure.outcome(order_id)
        try:
            is_too_much = exceeds_remaining(attempt, self._client.read_order(order_id))
        except CallFailed:
            is_too_much = False
        return NotSent(failure.reason, is_retryable=False) if is_too_much else InDoubt(failure.reason, order_id)

    def _cancel(self, attempt: AttemptRequest, order_id: str) -> Outcome:
        def cancel() -> Outcome:
            self._client.change_order(order_id, "cancel", key_of(attempt, "cancel"))
            return _confirmed(self._look_up(attempt, order_id), order_id)

        return decided(order_id, cancel)

    def _close_page(self, attempt: AttemptRequest, page: HostedPage) -> Outcome:
        try:
            self._client.disable_page(page)
        except ErrorResponse as error:
            # 400: the page is completed, 404: Klarna has forgotten it. Reading the page shows which.
            if error.error_kind not in (ErrorKind.AT_FAULT, ErrorKind.WRONG_STATE, ErrorKind.NOT_FOUND):
                raise
        session = read_page(self._client, attempt, page)
        if session is not None and session.order_id:
            return self._cancel(attempt, session.order_id)
        return _confirmed(outcome_of_page(attempt, page, session), page.reference)

    def _look_up(self, attempt: AttemptRequest, reference: str) -> Outcome:
        return look_up(self._client, attempt, reference)

    def _callback_url(self, attempt: AttemptRequest) -> str | None:
        if not self._callback_secrets:
            return None
        query = f"{webhooks.ATTEMPT_PARAMETER}={attempt.attempt_id}"
        return f"{self._api_url}/webhooks/klarna/{self._callback_secrets[0]}?{query}"


def _outcome_of_missed(attempt: AttemptRequest) -> Outcome:
    """Return that only the same call shows whether the order was placed, as long as Klarna keeps its key."""
    missed = TokenOrder.missed(attempt)
    if missed.may_be_asked_for(attempt.claimed_at):
        return CustomerApproved(missed.reference)
    return InDoubt("order_not_found", missed.reference)


def _confirmed(outcome: Outcome, reference: str) -> Outcome:
    """Return the outcome after Klarna has accepted the call; an order that does not show it yet proves nothing."""
    return outcome if isinstance(outcome, Approved | InDoubt) else InDoubt("not_confirmed", reference)
