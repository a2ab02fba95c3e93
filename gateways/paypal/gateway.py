"""PayPal: the buyer approves an order there, or has left an account to be charged again, and we capture it.

Create, remember the order's id, then capture or authorize: an order moves nothing by itself, also one that the buyer
has approved. Sources: PayPal's Orders v2 and Payments v2 (OpenAPI), developer.paypal.com, read 2026-11-23."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, Field, SecretStr

from domain.errors import WebhookRefused
from domain.outcome import Approved, AuthenticationRequired, Declined, InDoubt, NotSent, Outcome, Pending
from domain.payment import Verb
from gateways.base import (
    AttemptRequest,
    GatewayContext,
    GatewayError,
    SaveReference,
    TokenStore,
    VerifiedWebhook,
    WebhookEvent,
)
from gateways.failures import CallFailed
from gateways.json_api import MALFORMED, JsonApi, ProviderResponse, looked_up, segment
from gateways.paypal.certificates import PAYPAL_HOSTS, Certificates, paypal_place, sandbox_place
from gateways.paypal.client import PayPalClient
from gateways.paypal.errors import SEND_BACK, is_missing, issue_of, outcome_of_refusal
from gateways.paypal.requests import (
    DecimalsNotSupported,
    capture_request,
    from_paypal,
    order_request,
    pay_request,
    refund_request,
)
from gateways.paypal.responses import (
    approve_link,
    authorization_of,
    capture_of,
    made_by,
    outcome_of_capture,
    outcome_of_order,
    outcome_of_refund,
    payments_of,
    waiting_for_buyer,
)
from gateways.paypal.token import AccessToken, TokenUnavailable
from gateways.paypal.webhooks import Webhooks, read_event
from gateways.settings import is_of_sandbox, revealed

BASES = {"sandbox": "https://api-m.sandbox.paypal.com", "live": "https://api-m.paypal.com"}
# The buyer himself comes before any capture of such an order.
_FOR_BUYER = "PAYER_ACTION_REQUIRED"


class PayPalGateway:
    """One pooled session a process; every call carries an id that is the attempt's own."""

    provider = "paypal"
    region: str | None = None

    def __init__(
        self,
        client_id: str,
        client_secret: str,
        tokens: TokenStore,
        webhook_id: str | None = None,
        base: str = BASES["sandbox"],
        api_url: str = "",
        read_seconds: float = 30,
        is_live: bool = False,
    ) -> None:
        api = JsonApi(base, read_seconds)
        self._calls = PayPalClient(api, AccessToken(api, client_id, client_secret, tokens, read_seconds))
        self._api_url = api_url.rstrip("/")
        self._webhook_id = webhook_id
        # Only an imitation may bring its own certificates, and it never holds live credentials.
        is_imitated = not is_live and urlsplit(base).hostname not in PAYPAL_HOSTS
        place = sandbox_place(base) if is_imitated else paypal_place()
        self._webhooks = Webhooks(webhook_id, Certificates(place), self._is_known_to_paypal)

    def charge(self, attempt: AttemptRequest, save_reference: SaveReference) -> Outcome:
        """Create the order and remember it; capture or authorize it once the buyer has agreed."""
        reference = attempt.reference
        if attempt.is_off_session and attempt.method_token is None:
            # Nobody is there to approve it.
            return NotSent("saved_account_required", is_retryable=False, reference=reference)
        if reference is None:
            created = self._create(attempt)
            if created.reference is None:
                return created
            reference = created.reference
            save_reference(reference)
            if attempt.method_token is None:
                return created
        else:
            # Whoever lost the lease meanwhile must not capture.
            save_reference(reference)
        return self._pay(attempt, reference)

    def capture(self, attempt: AttemptRequest) -> Outcome:
        """Take the amount of an authorization; the rest is released."""

        def capture(body: Any, reference: str) -> Outcome:
            held = authorization_of(body)
            if held is None:
                return NotSent("not_authorized", is_retryable=False, reference=reference)
            if made_by(attempt.attempt_id, payments_of(body, "captures")):
                return outcome_of_order(body, attempt)
            most = from_paypal(held["amount"])
            if most.currency != attempt.money.currency or attempt.money.minor > most.minor:
                # PayPal itself would take up to 15 percent more than was authorized.
                return NotSent("amount_above_authorized", is_retryable=False, reference=reference)
            return self._calls.move(
                attempt.attempt_id,
                f"/v2/payments/authorizations/{segment(held['id'])}/capture",
                capture_request(attempt),
                reference,
                lambda response: outcome_of_capture(response, attempt, reference, most.minor),
            )

        return self._with_order(attempt, capture)

    def void(self, attempt: AttemptRequest) -> Outcome:
        """Release an authorization, or leave an order that was not paid: only a call of ours could capture it.

        PayPal cannot cancel an order. Also one that the buyer has approved is closed by leaving it: PayPal lets the
        approval lapse within hours. Only a capture of ours that is still on its way could charge it."""

        def void(body: Any, reference: str) -> Outcome:
            held = authorization_of(body)
            if held is None or held["status"] == "VOIDED":
                return _closed(body, attempt)
            path = f"/v2/payments/authorizations/{segment(held['id'])}/void"
            return self._calls.move(
                attempt.attempt_id, path, None, reference, lambda response: _voided(response, reference)
            )

        return self._with_order(attempt, void)

    def refund(self, attempt: AttemptRequest) -> Outcome:
        """Give part or all of a capture back. A refund that is there already is not asked for again."""

        def refund(body: Any, reference: str) -> Outcome:
            made = made_by(attempt.attempt_id, payments_of(body, "refunds"))
            if made is not None:
                return outcome_of_refund(made, attempt.money)
            capture = capture_of(body)
            if capture is None:
                return NotSent("not_captured", is_retryable=False)
            path = f"/v2/payments/captures/{segment(capture['id'])}/refund"
            return self._calls.move(
                attempt.attempt_id,
                path,
                refund_request(attempt),
                None,
                lambda made: outcome_of_refund(made, attempt.money),
            )

        outcome = self._with_order(attempt, refund)
        # The order is not what the refund is known by.
        return _without_reference(outcome) if isinstance(outcome, NotSent | InDoubt) else outcome

    def retrieve(self, attempt: AttemptRequest) -> Outcome:
        """Look the order or refund up. Without a stored reference nothing can have moved, refunds aside."""
        if attempt.verb is Verb.REFUND:
            return looked_up(attempt.reference, lambda: self._retrieve_refund(attempt))
        reference = attempt.charge_reference or attempt.reference
        if reference is None:
            return NotSent("not_created")
        return looked_up(reference, lambda: self._retrieve_order(attempt, reference))

    def verify_webhook(self, body: bytes, headers: Mapping[str, str], now: datetime, url: str = "") -> VerifiedWebhook:
        """Accept what PayPal signed for our webhook within the three days that it tries for."""
        return self._webhooks.verify(body, headers, now)

    def read_webhook(self, payload: str) -> WebhookEvent | None:
        """Read orders, authorizations, captures and refunds, and the facts that are no payment's state."""
        return read_event(payload)

    def check(self) -> str:
        """Try the credentials and the webhook registration; return one line. Raises GatewayError."""
        try:
            self._calls.authenticate()
            if not self._webhook_id:
                return "credentials accepted; PAYPAL_WEBHOOK_ID is not set"
            response = self._calls.get(f"/v1/notifications/webhooks/{segment(self._webhook_id)}")
            if not response.is_good:
                raise GatewayError(f"webhook {self._webhook_id} cannot be read: {issue_of(response)}")
            names = [event["name"] for event in response.body["event_types"]]
        except TokenUnavailable as error:
            raise GatewayError(f"credentials not accepted: {error}") from None
        except CallFailed:
            raise GatewayError("PayPal gave no answer") from None
        except MALFORMED:
            raise GatewayError("PayPal answered with something else than its documents say") from None
        count = "all" if "*" in names else str(len(names))
        return f"credentials accepted; webhook {self._webhook_id} registered for {count} events"

    # --- steps ---

    def _create(self, attempt: AttemptRequest) -> Outcome:
        """Create the order. It moves nothing, so that an answer that got lost is no doubt."""
        try:
            request = order_request(attempt, self._api_url)
        except DecimalsNotSupported:
            return NotSent("decimals_not_supported", is_retryable=False)
        path = "/v2/checkout/orders"
        outcome = self._calls.move(
            attempt.attempt_id, path, request, None, lambda body: outcome_of_order(body, attempt)
        )
        if isinstance(outcome, InDoubt):
            return NotSent(outcome.reason)
        if isinstance(outcome, Declined | AuthenticationRequired) and outcome.reference is None:
            return NotSent(outcome.decline.code, is_retryable=False)
        return outcome

    def _pay(self, attempt: AttemptRequest, reference: str) -> Outcome:
        """Capture or authorize: the call that moves the money."""
        name = "authorize" if attempt.verb is Verb.AUTHORIZE else "capture"
        path = f"/v2/checkout/orders/{segment(reference)}/{name}"

        def refused(response: ProviderResponse) -> Outcome:
            outcome = outcome_of_refusal(response, reference)
            if issue_of(response) in SEND_BACK and attempt.method_token is None and response.status == 422:
                return self._send_back(response, reference) or outcome
            return outcome

        return self._calls.move(
            attempt.attempt_id,
            path,
            pay_request(attempt),
            reference,
            lambda body: outcome_of_order(body, attempt),
            refused,
        )

    def _send_back(self, refusal: ProviderResponse, reference: str) -> Outcome | None:
        """Return that the buyer chooses other funding at PayPal, if there is a link for him."""
        try:
            link = approve_link(refusal.body) or approve_link(self._get_order(reference).body)
        except (CallFailed, *MALFORMED):
            return InDoubt(issue_of(refusal), reference)
        return waiting_for_buyer(reference, link) if link else None

    def _with_order(self, attempt: AttemptRequest, act: Callable[[Any, str], Outcome]) -> Outcome:
        """Act on the order as PayPal shows it; what could not be read was not acted upon."""
        reference = attempt.charged
        try:
            response = self._get_order(reference)
            if attempt.verb is Verb.VOID and is_missing(response):
                return _forgotten(reference)
            if not response.is_good:
                return NotSent(issue_of(response), reference=reference)
            return act(response.body, reference)
        except DecimalsNotSupported:
            return NotSent("decimals_not_supported", is_retryable=False, reference=reference)
        except TokenUnavailable as error:
            return NotSent(str(error), reference=reference)
        except CallFailed:
            return NotSent("not_looked_up", reference=reference)
        except MALFORMED:
            return InDoubt("malformed_response", reference)

    def _retrieve_order(self, attempt: AttemptRequest, reference: str) -> Outcome:
        response = self._get_order(reference)
        if is_missing(response) and attempt.verb is Verb.VOID:
            return _forgotten(reference)
        if is_missing(response) and _is_for_buyer(attempt):
            # Forgotten because nobody approved it: he has until the payment expires here.
            return waiting_for_buyer(reference, None)
        if not response.is_good:
            return InDoubt(issue_of(response), reference)
        return (
            _closed(response.body, attempt) if attempt.verb is Verb.VOID else outcome_of_order(response.body, attempt)
        )

    def _retrieve_refund(self, attempt: AttemptRequest) -> Outcome:
        if attempt.reference is None:
            return self._find_refund(attempt)
        response = self._calls.get(f"/v2/payments/refunds/{segment(attempt.reference)}")
        if not response.is_good:
            return InDoubt(issue_of(response), attempt.reference)
        if response.body["id"] != attempt.reference:
            return InDoubt("another_object", attempt.reference)
        return outcome_of_refund(response.body, attempt.money)

    def _find_refund(self, attempt: AttemptRequest) -> Outcome:
        """Look for a refund whose id was never heard among those that the order shows."""
        response = self._get_order(attempt.charged)
        if not response.is_good:
            return InDoubt(issue_of(response))
        if capture_of(response.body) is None:
            return InDoubt("nothing_shown")
        made = made_by(attempt.attempt_id, payments_of(response.body, "refunds"))
        return NotSent("not_created") if made is None else outcome_of_refund(made, attempt.money)

    def _get_order(self, reference: str) -> ProviderResponse:
        return self._calls.get(f"/v2/checkout/orders/{segment(reference)}")

    def _is_known_to_paypal(self, question: bytes) -> bool:
        try:
            response = self._calls.post("/v1/notifications/verify-webhook-signature", question)
        except CallFailed:
            raise WebhookRefused("neither the certificate nor PayPal can be asked") from None
        return response.is_good and response.fields.get("verification_status") == "SUCCESS"


# --- answers ----------------------------------------------------------------------------------------


def _is_for_buyer(attempt: AttemptRequest) -> bool:
    """Whether the buyer has to approve the order at PayPal."""
    return attempt.verb.is_collecting and attempt.method_token is None


def _closed(body: Any, attempt: AttemptRequest) -> Outcome:
    """Return what leaving an order means: nothing moves any more, unless something has or may."""
    outcome = outcome_of_order(body, attempt)
    if isinstance(outcome, Approved | Pending | InDoubt):
        return outcome
    # A refused payment is the end of an order, and no capture passes its buyer; any other could be captured yet.
    is_over = isinstance(outcome, Declined) or body["status"] == _FOR_BUYER
    return Approved(outcome.reference or "", voided=True, may_still_charge=not is_over)


def _forgotten(reference: str) -> Outcome:
    """PayPal forgets within hours what nobody approved. An order that it does not show yet looks the same."""
    return Approved(reference, voided=True, may_still_charge=True)


def _voided(body: Any, reference: str) -> Outcome:
    if body is None or body["status"] == "VOIDED":
        return Approved(reference, voided=True)
    return InDoubt("not_voided", reference)


def _without_reference(outcome: NotSent | InDoubt) -> Outcome:
    if isinstance(outcome, InDoubt):
        return InDoubt(outcome.reason)
    return NotSent(outcome.reason, outcome.is_retryable)


# --- settings ---------------------------------------------------------------------------------------


class PayPalSettings(BaseModel):
    """What PayPal needs. The field names are the environment's variables in lower case."""

    paypal_client_id: str | None = Field(default=None, description="Client id of the app; without it PayPal is off")
    paypal_client_secret: SecretStr | None = Field(default=None, description="Secret of the app")
    paypal_mode: Literal["sandbox", "live"] = Field(default="sandbox", description="sandbox or live")
    paypal_webhook_id: str | None = Field(
        default=None, description="Id of the webhook registration, from the app's page or the webhooks API"
    )
    paypal_api_base: str | None = Field(default=None, description="PayPal's host, by mode, or a sandbox's")

    @property
    def is_on(self) -> bool:
        """Whether PayPal is served."""
        return bool(self.paypal_client_id) and self.paypal_client_secret is not None

    def problems(self) -> list[str]:
        """Return what is wrong, each in a line that says what to do."""
        secret = revealed(self.paypal_client_secret)
        if not self.paypal_client_id and not secret:
            return []
        wrong = []
        if not self.paypal_client_id:
            wrong.append("PAYPAL_CLIENT_ID is missing; set it beside PAYPAL_CLIENT_SECRET")
        if not secret:
            wrong.append("PAYPAL_CLIENT_SECRET is missing; set it beside PAYPAL_CLIENT_ID")
        if not self.paypal_webhook_id:
            wrong.append("PAYPAL_WEBHOOK_ID is missing; without it no webhook can be trusted")
        return [*wrong, *self._problems_of_base(secret)]

    def _problems_of_base(self, secret: str) -> list[str]:
        parts = urlsplit(self.base)
        host, is_paypal = parts.hostname or "", parts.hostname in PAYPAL_HOSTS
        is_live_host = is_paypal and ".sandbox." not in host
        wrong = []
        if self.paypal_mode == "live" and not is_live_host:
            wrong.append("PAYPAL_MODE is live but PAYPAL_API_BASE is not PayPal's live host; unset PAYPAL_API_BASE")
        if self.paypal_mode == "sandbox" and is_live_host:
            wrong.append("PAYPAL_API_BASE is PayPal's live host but PAYPAL_MODE is sandbox; set PAYPAL_MODE=live")
        if is_paypal and is_of_sandbox(secret, self.paypal_client_id or ""):
            wrong.append("PAYPAL_CLIENT_SECRET is an imitation's but PAYPAL_API_BASE is PayPal; set the sandbox's URL")
        if is_paypal and parts.scheme != "https":
            wrong.append("PAYPAL_API_BASE must begin with https://")
        return wrong

    @property
    def base(self) -> str:
        """Return the address of the API."""
        return self.paypal_api_base or BASES[self.paypal_mode]

    def make(self, context: GatewayContext) -> PayPalGateway | None:
        """Return the gateway, None if PayPal is not configured."""
        if not self.paypal_client_id or self.paypal_client_secret is None:
            return None
        return PayPalGateway(
            client_id=self.paypal_client_id,
            client_secret=revealed(self.paypal_client_secret),
            tokens=context.tokens,
            webhook_id=self.paypal_webhook_id,
            base=self.base,
            api_url=context.api_url,
            read_seconds=context.read_seconds,
            is_live=self.paypal_mode == "live",
        )
