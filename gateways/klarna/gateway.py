"""Klarna for direct merchants: a hosted page on which the customer agrees, then Order Management.

Make the page, remember it, let Klarna place the order when the customer agrees, remember the order, capture. Until
our capture only a hold exists. Sources: Klarna's Payments v1, Hosted Payment Page 1.1, Order Management v1 and
Customer Token v1, read 2026-11-23."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, Field, SecretStr

from domain.outcome import Approved, CustomerApproved, InDoubt, NotSent, Outcome
from domain.payment import Verb
from gateways.base import AttemptRequest, GatewayContext, GatewayError, SaveReference, VerifiedWebhook, WebhookEvent
from gateways.idempotency import key_of
from gateways.json_api import MALFORMED, decided, looked_up, segment
from gateways.klarna import requests as klarna_requests
from gateways.klarna import responses as klarna_answers
from gateways.klarna import webhooks as klarna_callbacks
from gateways.klarna.client import LONGEST_READ_SECONDS, Failure, KlarnaClient, Meaning
from gateways.klarna.responses import HostedPage
from gateways.settings import Secrets, all_revealed, is_of_sandbox, revealed

Region = Literal["eu", "na", "oc"]
# docs.klarna.com, API URLs: live, and the playground that test credentials belong to.
LIVE_HOSTS = {
    "eu": "https://api.klarna.com",
    "na": "https://api-na.klarna.com",
    "oc": "https://api-oc.klarna.com",
}
PLAYGROUND_HOSTS = {
    "eu": "https://api.playground.klarna.com",
    "na": "https://api-na.playground.klarna.com",
    "oc": "https://api-oc.playground.klarna.com",
}
_NO_SESSION = "00000000-0000-0000-0000-000000000000"


class KlarnaGateway:
    """One pooled session a process. `callback_secrets`: the first goes into the addresses that Klarna is given, all
    of them are believed; without one no callbacks are asked for, and only looking finds out."""

    provider = "klarna"
    region: str | None

    def __init__(
        self,
        username: str,
        password: str,
        *,
        api_url: str,
        region: Region = "eu",
        callback_secrets: tuple[str, ...] = (),
        base: str | None = None,
        read_seconds: float = LONGEST_READ_SECONDS,
    ) -> None:
        self.region = region
        self._api_url = api_url.rstrip("/")
        self._secrets = callback_secrets
        host = base or default_host(region, username, password)
        self._client = KlarnaClient(host, username, password, read_seconds)

    def charge(self, attempt: AttemptRequest, save_reference: SaveReference) -> Outcome:
        """Open the page, or, for a customer who is away, place the order of his token; then capture the order."""
        if attempt.reference is not None:
            return self._go_on(attempt, attempt.reference, save_reference)
        if attempt.is_off_session:
            return self._charge_token(attempt, save_reference)
        country = klarna_requests.country_of(attempt)
        if country is None:
            return NotSent("billing_country_missing", is_retryable=False)
        try:
            page = self._open_page(attempt, country)
        except Failure as failure:
            return failure.outcome_of_creation()
        except MALFORMED:
            return NotSent("malformed_response")
        save_reference(page.reference)
        return page.action

    def capture(self, attempt: AttemptRequest) -> Outcome:
        """Take the amount of an authorized order; the rest is released."""
        return self._capture(attempt, attempt.charged)

    def void(self, attempt: AttemptRequest) -> Outcome:
        """Disable a page, cancel an order. Who agrees in the same moment has an order, which is canceled."""
        page = HostedPage.of(attempt.charged)
        if page is None:
            return self._cancel(attempt, attempt.charged)

        def close() -> Outcome:
            self._disable(page)
            found = self._read_page(attempt, page)
            return self._cancel(attempt, found) if isinstance(found, str) else _confirmed(found, page.reference)

        return decided(page.reference, close)

    def refund(self, attempt: AttemptRequest) -> Outcome:
        """Give back part or all of what was captured. The key never changes: a repeat is the same refund."""
        body = {"refunded_amount": attempt.money.minor, "reference": attempt.attempt_id}
        return self._settle(attempt, attempt.charged, "refunds", body)

    def retrieve(self, attempt: AttemptRequest) -> Outcome:
        """Look the page or the order up, and let go of what must not stay held.

        That is the rest of our partial capture, and the hold of an order that the fraud assessment rejected: their
        release may have been lost with the worker."""
        if attempt.verb.is_collecting:
            return self._look(attempt, attempt.reference) if attempt.reference else NotSent("not_created")
        return self._look(attempt, attempt.charged)

    def verify_webhook(self, body: bytes, headers: Mapping[str, str], now: datetime, url: str = "") -> VerifiedWebhook:
        """Accept a callback whose address ends in one of our secrets; Klarna signs and stamps nothing."""
        return klarna_callbacks.verify(body, url, self._secrets)

    def read_webhook(self, payload: str) -> WebhookEvent | None:
        """Return which attempt a callback is about; never how it stands."""
        return klarna_callbacks.read(payload)

    def check(self) -> str:
        """Return one line when Klarna accepts the credentials; raise GatewayError otherwise."""
        try:
            self._client.call("GET", f"/payments/v1/sessions/{_NO_SESSION}")
        except Failure as failure:
            # Klarna looks for the session only once it knows who asks.
            if failure.meaning is Meaning.MISSING:
                return f"klarna: credentials accepted at {self._client.base}"
            raise GatewayError(failure.reason) from None
        raise GatewayError("not_klarna")

    # --- charging ---

    def _open_page(self, attempt: AttemptRequest, country: str) -> HostedPage:
        return_url, callback_url = attempt.way_back(self._api_url), self._callback_url(attempt)
        asked = klarna_requests.payment_session(attempt, country, return_url, callback_url)
        session = self._client.call("POST", "/payments/v1/sessions", asked)
        session_url = f"{self._client.base}/payments/v1/sessions/{session['session_id']}"
        page = klarna_requests.hosted_page(session_url, return_url, callback_url)
        return HostedPage.created(self._client.call("POST", "/hpp/v1/sessions", page))

    def _charge_token(self, attempt: AttemptRequest, save_reference: SaveReference) -> Outcome:
        """Place an order that only holds the money: its id is remembered before anything is captured."""
        if attempt.method_token is None:
            return NotSent("payment_method_token_missing", is_retryable=False)
        path = f"/customer-token/v1/tokens/{segment(attempt.method_token)}/order"
        asked = klarna_requests.token_order(attempt, self._callback_url(attempt))
        try:
            order_id = str(self._client.call("POST", path, asked, key_of(attempt.attempt_id, "order"))["order_id"])
        except Failure as failure:
            if failure.meaning is Meaning.MISSING:
                return NotSent("unknown_token", is_retryable=False)
            return failure.outcome_of_creation()
        except MALFORMED:
            return NotSent("malformed_response")
        return self._go_on(attempt, order_id, save_reference)

    def _go_on(self, attempt: AttemptRequest, reference: str, save_reference: SaveReference) -> Outcome:
        """See whether the customer has agreed, and if so capture. Looking first, a repeat never captures twice."""
        found = self._look(attempt, reference)
        known = found.reference or reference
        save_reference(known)
        return self._capture(attempt, known) if isinstance(found, CustomerApproved) else found

    def _capture(self, attempt: AttemptRequest, reference: str) -> Outcome:
        body = {"captured_amount": attempt.money.minor, "reference": attempt.attempt_id}
        return self._settle(attempt, reference, "captures", body)

    def _cancel(self, attempt: AttemptRequest, reference: str) -> Outcome:
        def cancel() -> Outcome:
            self._client.call("POST", f"{_path(reference)}/cancel", key=key_of(attempt.attempt_id, "cancel"))
            return _confirmed(self._look(attempt, reference), reference)

        return decided(reference, cancel)

    def _settle(self, attempt: AttemptRequest, reference: str, kind: str, body: dict[str, Any]) -> Outcome:
        """Capture or refund. Answered with an empty 201, so what came of it is read from the order."""
        if attempt.retries and not attempt.verb.is_collecting:
            # Klarna forgets a key after a day; what was executed against all odds must not be made again.
            known = self._look(attempt, reference)
            if not isinstance(known, NotSent):
                return known
        try:
            self._client.call("POST", f"{_path(reference)}/{kind}", body, key_of(attempt.attempt_id, kind))
        except Failure as failure:
            return self._refused(attempt, reference, failure)
        return _confirmed(self._look(attempt, reference), reference)

    def _refused(self, attempt: AttemptRequest, reference: str, failure: Failure) -> Outcome:
        """Too much asked and too late asked have the same code: the order tells them apart."""
        if failure.meaning is Meaning.MOVED_ON:
            try:
                if klarna_answers.is_above_what_is_left(attempt, self._read(reference)):
                    return NotSent(failure.reason, is_retryable=False)
            except (Failure, *MALFORMED):
                return InDoubt(failure.reason, reference)
        return failure.outcome(reference)

    # --- looking ---

    def _look(self, attempt: AttemptRequest, reference: str) -> Outcome:
        """Return how an attempt stands; an answer that failed says nothing, whatever it is."""

        def look() -> Outcome:
            found = self._read_page(attempt, page) if (page := HostedPage.of(reference)) else reference
            return self._look_at_order(attempt, found) if isinstance(found, str) else found

        return looked_up(reference, look)

    def _look_at_order(self, attempt: AttemptRequest, order_id: str) -> Outcome:
        response = self._read(order_id)
        if attempt.verb is Verb.REFUND:
            return klarna_answers.standing_of_refund(attempt, response)
        if klarna_answers.holds_money(response):
            is_rejected = response["fraud_status"] == "REJECTED" and response["status"] == "AUTHORIZED"
            if attempt.verb is Verb.CAPTURE and klarna_answers.is_captured_by(attempt, response):
                response = self._let_go(attempt, order_id, "release-remaining-authorization")
            elif is_rejected:
                response = self._let_go(attempt, order_id, "cancel")
        return klarna_answers.standing_of_order(attempt, response)

    def _let_go(self, attempt: AttemptRequest, order_id: str, how: str) -> Any:
        """Release a hold and read the order again; that it was released before, or has ended, is as good."""
        try:
            self._client.call("POST", f"{_path(order_id)}/{how}", key=key_of(attempt.attempt_id, how))
        except Failure as failure:
            if failure.meaning is not Meaning.MOVED_ON:
                raise
        return self._read(order_id)

    def _read(self, order_id: str) -> Any:
        response = self._client.call("GET", _path(order_id))
        if response["order_id"] != order_id:
            raise ValueError("another order")
        return response

    def _read_page(self, attempt: AttemptRequest, page: HostedPage) -> Outcome | str:
        try:
            response = self._client.call("GET", f"/hpp/v1/sessions/{segment(page.id)}")
        except Failure as failure:
            if failure.meaning is Meaning.MISSING and attempt.verb is Verb.VOID:
                # Forgotten after two days. Whatever was held, we have captured nothing: that needs the order's id.
                return Approved(page.reference, voided=True)
            raise
        return klarna_answers.standing_of_page(attempt, page, response)

    def _disable(self, page: HostedPage) -> None:
        try:
            self._client.call("DELETE", f"/hpp/v1/sessions/{segment(page.id)}")
        except Failure as failure:
            # 400: completed, 404: forgotten. Reading it says which.
            if failure.meaning not in (Meaning.INVALID, Meaning.MOVED_ON, Meaning.MISSING):
                raise

    def _callback_url(self, attempt: AttemptRequest) -> str | None:
        if not self._secrets:
            return None
        return f"{self._api_url}/webhooks/klarna/{self._secrets[0]}?{klarna_callbacks.ATTEMPT}={attempt.attempt_id}"


def _path(order_id: str) -> str:
    return f"/ordermanagement/v1/orders/{segment(order_id)}"


def _confirmed(found: Outcome, reference: str) -> Outcome:
    """Klarna has said yes; a look that does not show it yet proves nothing."""
    return found if isinstance(found, Approved | InDoubt) else InDoubt("not_confirmed", reference)


# --- settings ---------------------------------------------------------------------------------------

_SECRET = re.compile(r"[0-9A-Za-z_-]{32,128}", re.ASCII)


def default_host(region: Region, username: str, password: str) -> str:
    """Return where credentials belong: Klarna marks its test keys, and there is no other setting to go by.

    >>> default_host("na", "key", "klarna_test_api_x"), default_host("eu", "K123", "secret")
    ('https://api-na.playground.klarna.com', 'https://api.klarna.com')
    """
    return (PLAYGROUND_HOSTS if _is_test(username, password) else LIVE_HOSTS)[region]


def _is_test(*credentials: str) -> bool:
    marks = ("klarna_test_api_", "playground")
    is_marked = any(mark in credential.lower() for mark in marks for credential in credentials)
    return is_marked or is_of_sandbox(*credentials)


class KlarnaSettings(BaseModel):
    """Klarna's part of the environment."""

    klarna_username: str | None = Field(default=None, description="API key id or user name; without it Klarna is off")
    klarna_password: SecretStr | None = Field(default=None, description="klarna_live_api_… or klarna_test_api_…")
    klarna_region: Region = Field(default="eu", description="Region of the account: eu, na or oc")
    klarna_api_base: str | None = Field(
        default=None, description="Klarna's host, or a sandbox's; by default that of region and kind of credentials"
    )
    klarna_callback_secret: Secrets = Field(
        default=(),
        description="Put into the address of callbacks, which Klarna does not sign: at least 32 letters and digits; "
        "several, comma-separated, all open, the first is given to Klarna, so that secrets can rotate",
    )

    @property
    def is_on(self) -> bool:
        """Whether Klarna is served."""
        return bool(self.klarna_username) and self.klarna_password is not None

    def problems(self) -> list[str]:
        """Return what is wrong, each with its variable and what to do."""
        username, password = self.klarna_username, revealed(self.klarna_password)
        if not username and not password:
            return []
        if not username or not password:
            missing = "KLARNA_PASSWORD" if username else "KLARNA_USERNAME"
            return [f"{missing} is missing; set both it and its counterpart, or neither"]
        secrets = all_revealed(self.klarna_callback_secret)
        return [*_problems_of_secrets(secrets), *self._problems_of_base(username, password)]

    def make(self, context: GatewayContext) -> KlarnaGateway | None:
        """Return the gateway, None without credentials."""
        username, password = self.klarna_username, revealed(self.klarna_password)
        if not username or not password:
            return None
        return KlarnaGateway(
            username,
            password,
            api_url=context.api_url,
            region=self.klarna_region,
            callback_secrets=all_revealed(self.klarna_callback_secret),
            base=self.klarna_api_base,
            read_seconds=context.read_seconds,
        )

    def _problems_of_base(self, username: str, password: str) -> list[str]:
        base = self.klarna_api_base or default_host(self.klarna_region, username, password)
        host, is_sandbox_key = f"https://{urlsplit(base).hostname}", is_of_sandbox(username, password)
        is_klarna = host.endswith(".klarna.com")
        if is_klarna and is_sandbox_key:
            return ["KLARNA_PASSWORD is a sandbox's but KLARNA_API_BASE is Klarna; set the sandbox's address"]
        if host in LIVE_HOSTS.values() and _is_test(username, password):
            return ["KLARNA_PASSWORD is a test key but KLARNA_API_BASE is live; remove KLARNA_API_BASE"]
        if host not in LIVE_HOSTS.values() and "klarna_live_api_" in password:
            return ["KLARNA_PASSWORD is a live key but KLARNA_API_BASE is not Klarna's live host; use a test key"]
        hosts = (LIVE_HOSTS[self.klarna_region], PLAYGROUND_HOSTS[self.klarna_region])
        if is_klarna and host not in hosts:
            return [f"KLARNA_API_BASE is of another region than KLARNA_REGION ({self.klarna_region}); remove it"]
        return []


def _problems_of_secrets(secrets: tuple[str, ...]) -> list[str]:
    if not secrets:
        return ["KLARNA_CALLBACK_SECRET is missing; without it no callback can be trusted; set 32 random letters"]
    if not all(_SECRET.fullmatch(secret) for secret in secrets):
        return ["KLARNA_CALLBACK_SECRET must be 32 to 128 letters, digits, - and _; several with commas between"]
    return []
