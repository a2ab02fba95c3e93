"""PayPal: the buyer approves an order there, or has saved an account to be charged again, and we capture the order.

Create, save the order's id, then capture or authorize: an order moves nothing by itself, not even an approved one.
Sources: PayPal's Orders v2 and Payments v2 (OpenAPI), developer.paypal.com, read 2026-11-23."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from urllib.parse import urlsplit

from cryptography import x509

from domain.disputes import SHOWN_BY_DISPUTE
from domain.outcome import AuthenticationRequired, Declined, InDoubt, NotSent, Outcome
from domain.payment import Verb
from gateways.base import (
    AttemptRequest,
    GatewayError,
    SaveReference,
    TokenStore,
    VerifiedWebhook,
    WebhookEvent,
)
from gateways.failures import CallFailed, MalformedResponse
from gateways.json_api import JsonApi, ProviderResponse, looked_up, segment
from gateways.paypal.certificates import PAYPAL_HOSTS, Certificates, paypal_place, sandbox_place
from gateways.paypal.client import PayPalClient
from gateways.paypal.errors import SEND_BACK, is_missing, issue_of, outcome_of_refusal
from gateways.paypal.outcomes import (
    outcome_of_capture,
    outcome_of_closing,
    outcome_of_missing,
    outcome_of_order,
    outcome_of_refund,
    outcome_of_void,
    waiting_for_buyer,
)
from gateways.paypal.readings import REFUNDS, PayPalReadings, noted
from gateways.paypal.requests import (
    DecimalsNotSupported,
    capture_request,
    order_request,
    pay_request,
    refund_request,
)
from gateways.paypal.responses import (
    Capture,
    Linked,
    Order,
    Refund,
    WebhookRegistration,
    approve_link,
    authorization_of,
    capture_of,
    doubt_about_payments,
    made_by,
    read_order,
)
from gateways.paypal.token import AccessToken, TokenUnavailable
from gateways.paypal.vault import PayPalVault
from gateways.paypal.webhooks import Webhooks, read_event

BASES = {"sandbox": "https://api-m.sandbox.paypal.com", "live": "https://api-m.paypal.com"}

_ActOnOrder = Callable[[AttemptRequest, Order], Outcome]


class PayPalGateway(PayPalReadings, PayPalVault):
    """PayPal's gateway, with one pooled session per process. The id of each call belongs to the attempt."""

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
        authorities: Sequence[x509.Certificate] = (),
    ) -> None:
        # A 403 of PayPal is about what a call does, or the buyer's account.
        api = JsonApi(base, read_seconds, refusals=(401,))
        super().__init__(PayPalClient(api, AccessToken(api, client_id, client_secret, tokens, read_seconds)))
        self._api_url = api_url.rstrip("/")
        self._webhook_id = webhook_id
        # Only a simulated PayPal may publish its own certificates, and live credentials never go to one.
        is_simulated = not is_live and urlsplit(base).hostname not in PAYPAL_HOSTS
        place = sandbox_place(base, authorities) if is_simulated else paypal_place(authorities)
        self._webhooks = Webhooks(webhook_id, Certificates(place), self._client.is_genuine_webhook)

    def charge(self, attempt: AttemptRequest, save_reference: SaveReference) -> Outcome:
        """Create the order and save its id; capture or authorize it once the buyer has approved."""
        reference = attempt.reference
        if attempt.is_off_session and attempt.method_token is None:
            # An absent buyer cannot approve an order.
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
            # Saving the reference again checks the lease: a worker that has lost it must not capture.
            save_reference(reference)
        return self._pay(attempt, reference)

    def capture(self, attempt: AttemptRequest) -> Outcome:
        """Take the amount of an authorization; PayPal releases what is left of it."""
        return self._with_order(attempt, self._capture)

    def void(self, attempt: AttemptRequest) -> Outcome:
        """Release an authorization, or leave an order that was not paid.

        PayPal cannot cancel an order. Leaving one closes it, also after the buyer has approved it: PayPal lets the
        approval lapse within hours. Only our own capture that is still under way could charge it."""
        return self._with_order(attempt, self._void)

    def refund(self, attempt: AttemptRequest) -> Outcome:
        """Give part or all of a capture back. A refund that the order shows already is not made again."""
        outcome = self._with_order(attempt, self._refund)
        # A refund's reference is its own id, never the order's.
        if isinstance(outcome, InDoubt):
            return InDoubt(outcome.reason)
        return NotSent(outcome.reason, outcome.is_retryable) if isinstance(outcome, NotSent) else outcome

    def retrieve(self, attempt: AttemptRequest) -> Outcome:
        """Look up the order or the refund. Without a stored reference, nothing but a refund can have moved."""
        if attempt.verb is Verb.REFUND:
            return looked_up(attempt.reference, lambda: self._retrieve_refund(attempt))
        reference = attempt.charge_reference or attempt.reference
        if reference is None:
            return NotSent("not_created")
        return looked_up(reference, lambda: self._retrieve_order(attempt, reference))

    def verify_webhook(self, body: bytes, headers: Mapping[str, str], now: datetime, url: str = "") -> VerifiedWebhook:
        """Accept what PayPal signed for our webhook within the three days of its delivery attempts."""
        return self._webhooks.verify(body, headers, now)

    def read_webhook(self, payload: str) -> WebhookEvent | None:
        """Read events of orders, authorizations, captures and refunds, and side events. Raises MalformedResponse."""
        return read_event(payload)

    def check(self) -> str:
        """Try the credentials and the webhook registration; return one line. Raises GatewayError."""
        try:
            self._client.authenticate()
            if not self._webhook_id:
                return "credentials accepted; PAYPAL_WEBHOOK_ID is not set"
            response = self._client.get(f"/v1/notifications/webhooks/{segment(self._webhook_id)}")
            if not response.is_good:
                raise GatewayError(f"webhook {self._webhook_id} cannot be read: {issue_of(response)}")
            names = [event.name for event in WebhookRegistration.parse(response.body).event_types]
        except TokenUnavailable as error:
            raise GatewayError(f"credentials not accepted: {error}") from None
        except MalformedResponse as error:
            raise GatewayError(f"PayPal's response does not have the documented form: {error.field}") from None
        except CallFailed:
            raise GatewayError("PayPal gave no response") from None
        count = "all" if "*" in names else str(len(names))
        return f"credentials accepted; webhook {self._webhook_id} registered for {count} events"

    # --- charging ---

    def _create(self, attempt: AttemptRequest) -> Outcome:
        """Create the order. It moves nothing, so a lost response is no doubt."""
        try:
            request = order_request(attempt, self._api_url)
        except DecimalsNotSupported:
            return NotSent("decimals_not_supported", is_retryable=False, param="amount")
        outcome = self._client.submit(
            attempt,
            "/v2/checkout/orders",
            request,
            None,
            lambda body: outcome_of_order(Order.parse(body), attempt),
        )
        if isinstance(outcome, InDoubt):
            return NotSent(outcome.reason)
        if isinstance(outcome, Declined | AuthenticationRequired) and outcome.reference is None:
            return NotSent(outcome.decline.code, is_retryable=False)
        return outcome

    def _pay(self, attempt: AttemptRequest, reference: str) -> Outcome:
        """Capture or authorize the order: the call that moves the money."""
        name = "authorize" if attempt.verb is Verb.AUTHORIZE else "capture"
        return self._client.submit(
            attempt,
            f"/v2/checkout/orders/{segment(reference)}/{name}",
            pay_request(attempt),
            reference,
            lambda body: outcome_of_order(read_order(body, reference), attempt),
            lambda refusal: self._outcome_of_unpaid(attempt, refusal, reference),
        )

    def _outcome_of_unpaid(self, attempt: AttemptRequest, refusal: ProviderResponse, reference: str) -> Outcome:
        """Return that the buyer chooses other funding at PayPal, where they can; else what the refusal means."""
        can_go_back = refusal.status == 422 and issue_of(refusal) in SEND_BACK and attempt.method_token is None
        if not can_go_back:
            return outcome_of_refusal(refusal, reference)
        try:
            link = approve_link(Linked.parse(refusal.body))
            link = link or approve_link(Linked.parse(self._get_order(reference).body))
        except CallFailed:
            return InDoubt(issue_of(refusal), reference)
        return waiting_for_buyer(reference, link) if link else outcome_of_refusal(refusal, reference)

    # --- operations on a charge ---

    def _with_order(self, attempt: AttemptRequest, act: _ActOnOrder) -> Outcome:
        """Act on the order as PayPal shows it."""
        reference = attempt.charged_reference
        try:
            response = self._get_order(reference)
            if attempt.verb is Verb.VOID and is_missing(response):
                return outcome_of_missing(reference)
            if not response.is_good:
                return NotSent(issue_of(response), reference=reference)
            order = noted(read_order(response.body, reference))
            return doubt_about_payments(order) or act(attempt, order)
        except DecimalsNotSupported:
            return NotSent("decimals_not_supported", is_retryable=False, reference=reference)
        except (MalformedResponse, TokenUnavailable) as failure:
            return failure.outcome(reference)
        except CallFailed:
            # Only the order was read: the call that moves money was not sent.
            return NotSent("not_looked_up", reference=reference)

    def _capture(self, attempt: AttemptRequest, order: Order) -> Outcome:
        authorization = authorization_of(order)
        if authorization is None:
            return NotSent("not_authorized", is_retryable=False, reference=order.id)
        if made_by(attempt.attempt_id, order.captures):
            return outcome_of_order(order, attempt)
        held = authorization.amount.money
        if held.currency != attempt.money.currency or attempt.money.minor > held.minor:
            # PayPal itself would take up to 15 percent more than was authorized.
            return NotSent("amount_above_authorized", is_retryable=False, reference=order.id)
        return self._client.submit(
            attempt,
            f"/v2/payments/authorizations/{segment(authorization.id)}/capture",
            capture_request(attempt),
            order.id,
            lambda body: outcome_of_capture(Capture.parse(body), attempt, order.id, held.minor),
        )

    def _void(self, attempt: AttemptRequest, order: Order) -> Outcome:
        authorization = authorization_of(order)
        if authorization is None or authorization.status == "VOIDED":
            return outcome_of_closing(order, attempt)
        return self._client.submit(
            attempt,
            f"/v2/payments/authorizations/{segment(authorization.id)}/void",
            None,
            order.id,
            lambda body: outcome_of_void(body, order.id),
        )

    def _refund(self, attempt: AttemptRequest, order: Order) -> Outcome:
        made = made_by(attempt.attempt_id, order.refunds)
        if made is not None:
            return outcome_of_refund(made, attempt.money)
        capture = capture_of(order)
        if capture is None:
            return NotSent("not_captured", is_retryable=False)
        return self._client.submit(
            attempt,
            f"/v2/payments/captures/{segment(capture.id)}/refund",
            refund_request(attempt),
            None,
            lambda body: outcome_of_refund(Refund.parse(body), attempt.money),
        )

    # --- look-ups ---

    def _retrieve_order(self, attempt: AttemptRequest, reference: str) -> Outcome:
        response = self._get_order(reference)
        if is_missing(response) and attempt.verb is Verb.VOID:
            return outcome_of_missing(reference)
        if is_missing(response) and attempt.verb.is_collecting and attempt.method_token is None:
            # PayPal deletes an order that is not approved. The buyer has until the payment expires here.
            return waiting_for_buyer(reference, None)
        if not response.is_good:
            return InDoubt(issue_of(response), reference)
        order = noted(read_order(response.body, reference))
        return (outcome_of_closing if attempt.verb is Verb.VOID else outcome_of_order)(order, attempt)

    def _retrieve_refund(self, attempt: AttemptRequest) -> Outcome:
        if attempt.reference is None:
            return self._find_refund(attempt)
        response = self._client.get(f"{REFUNDS}/{segment(attempt.reference)}")
        if not response.is_good:
            return InDoubt(issue_of(response), attempt.reference)
        refund = Refund.parse(response.body)
        if refund.id != attempt.reference:
            return InDoubt("another_object", attempt.reference)
        if refund.is_made_elsewhere and refund.id in self._refunds_in_disputes(self._order_of(refund, attempt)):
            return Declined(refund.id, SHOWN_BY_DISPUTE)
        return outcome_of_refund(refund, attempt.money)

    def _find_refund(self, attempt: AttemptRequest) -> Outcome:
        """Look for a refund whose id was lost among those that the order shows."""
        response = self._get_order(attempt.charged_reference)
        if not response.is_good:
            return InDoubt(issue_of(response))
        order = noted(read_order(response.body, attempt.charged_reference))
        made = made_by(attempt.attempt_id, order.refunds)
        if made is not None:
            return outcome_of_refund(made, attempt.money)
        doubt = doubt_about_payments(order)
        if doubt is not None:
            return InDoubt(doubt.reason)
        capture = capture_of(order)
        if capture is None:
            return InDoubt("nothing_shown")
        if capture.status == "REFUNDED":
            # Others have given everything back, so that no repeat of our call could succeed.
            return NotSent("fully_refunded", is_retryable=False)
        return NotSent("not_created")
