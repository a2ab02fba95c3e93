"""Coinbase Business: checkouts in USDC on Base, priced in the payment's currency and paid on Coinbase's page.

The customer moves the money, so a charge creates, shows the page, and from then on only looks.
Sources: docs.cdp.coinbase.com (coinbase-business/checkout-apis), read 2026-11-23."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from pydantic import Field, SecretStr

from domain.decline import Decline, DeclineClass
from domain.outcome import ActionRequired, Approved, Declined, InDoubt, NotSent, Outcome, Pending
from domain.payment import Verb
from gateways.base import AttemptRequest, GatewayContext, GatewayError, SaveReference, VerifiedWebhook, WebhookEvent
from gateways.coinbase import webhook_signatures
from gateways.coinbase.amounts import is_another, json_of, minor_units, outcome_of_transition
from gateways.coinbase.jwt import Signer, read_key
from gateways.failures import CallFailed, FailureKind, reason_word
from gateways.idempotency import key_of
from gateways.json_api import MALFORMED, JsonApi, decided, looked_up, segment, text
from gateways.settings import CryptoSettings, Secrets, all_revealed, is_of_sandbox, revealed
from gateways.signatures import picked, verified_webhook

DEFAULT_BASE = "https://business.coinbase.com/api/v1"
_HOST = "https://business.coinbase.com/"
# What Coinbase converts to USDC; all of them have two decimals, and an amount may have no more.
CURRENCIES = frozenset({"EUR", "GBP", "SGD", "USD"})
_NOT_SUPPORTED = NotSent("not_supported", is_retryable=False)


class CoinbaseGateway:
    """One pooled session a process, one token a request, one idempotency key an attempt."""

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
        self._signer = Signer(api_key_name, api_key_secret)
        self._webhook_secrets = webhook_secrets
        self._api_url = api_url.rstrip("/")
        self._api = JsonApi(base, read_seconds)

    def charge(self, attempt: AttemptRequest, save_reference: SaveReference) -> Outcome:
        """Create the checkout and send the customer to its page; one that is known already is looked up."""
        if attempt.verb is Verb.AUTHORIZE:
            return _NOT_SUPPORTED
        if attempt.reference is not None:
            save_reference(attempt.reference)
            return self.retrieve(attempt)
        if attempt.money.currency not in CURRENCIES:
            return NotSent("currency_not_supported", is_retryable=False)
        try:
            checkout = self._call(
                "POST", "/checkouts", self._checkout_of(attempt), key_of(attempt.attempt_id, "charge")
            )
            reference = text(checkout["id"])
        except CallFailed as failure:
            return failure.outcome_of_creation()
        except MALFORMED:
            return NotSent("malformed_response")
        save_reference(reference)
        return decided(reference, lambda: outcome_of_checkout(checkout, attempt))

    def capture(self, attempt: AttemptRequest) -> Outcome:
        """Checkouts have no authorization."""
        return _NOT_SUPPORTED

    def void(self, attempt: AttemptRequest) -> Outcome:
        """Deactivate a checkout that nobody has paid yet."""
        reference = attempt.charged
        try:
            checkout = self._call("POST", f"/checkouts/{segment(reference)}/deactivate")
        except CallFailed as failure:
            return outcome_of_transition(failure, reference)
        return decided(reference, lambda: outcome_of_checkout(checkout, attempt))

    def refund(self, attempt: AttemptRequest) -> Outcome:
        """Send part or all of a paid checkout back. The key never changes: a repeat is the same refund."""
        # Refunds have no metadata: the reason tells two of the same amount apart.
        amount = {"amount": str(attempt.money), "currency": attempt.money.currency, "reason": attempt.attempt_id}
        path = f"/checkouts/{segment(attempt.charged)}/refund"

        def send() -> Outcome:
            response = self._call("POST", path, amount, key_of(attempt.attempt_id, "refund"))
            checkout = response.get("checkout", response)
            if is_another(checkout, attempt):
                return InDoubt("another_object")
            refund = _find_refund(checkout, attempt)
            return InDoubt("malformed_response") if refund is None else _outcome_of_refund(refund, attempt)

        return decided(None, send)

    def retrieve(self, attempt: AttemptRequest) -> Outcome:
        """Look the checkout up, and a refund in it. Without a stored reference nobody was shown a page."""
        is_refund = attempt.verb is Verb.REFUND
        reference = attempt.charged if is_refund else attempt.reference or attempt.charge_reference
        if reference is None:
            return NotSent("not_created")
        known = attempt.reference if is_refund else reference

        def look() -> Outcome:
            checkout = self._call("GET", f"/checkouts/{segment(reference)}")
            if not is_refund:
                return outcome_of_checkout(checkout, attempt)
            if is_another(checkout, attempt):
                return InDoubt("another_object", known)
            refund = _find_refund(checkout, attempt)
            if refund is None:
                return NotSent("not_created") if known is None else InDoubt("refund_not_found", known)
            return _outcome_of_refund(refund, attempt)

        return looked_up(known, look)

    def verify_webhook(self, body: bytes, headers: Mapping[str, str], now: datetime, url: str = "") -> VerifiedWebhook:
        """Accept a checkout with its event type, signed with any of the secrets at most five minutes from now."""
        signature = webhook_signatures.verify(body, headers, self._webhook_secrets, now)
        # The body has no id of the event. One in a header is as good as the body only where it is signed too.
        signed_id = headers.get("X-Event-Id", "") if signature.covers("X-Event-Id") else None

        def identify(event: Any) -> tuple[Any, Any]:
            derived = _event_id(event)
            return (derived if signed_id is None else signed_id), event["eventType"]

        return verified_webhook(body, "a Coinbase event", identify, lambda event: picked(event, _KEPT))

    def read_webhook(self, payload: str) -> WebhookEvent | None:
        """Name the checkout or refund that an event is about; Coinbase is then asked how it stands.

        What a refund says of itself goes with it, by which one that was made in the dashboard is known."""
        event = json.loads(payload)
        try:
            if event["eventType"] in _PAYMENT_EVENTS:
                return WebhookEvent(str(event["id"]), _text((event.get("metadata") or {}).get("attempt_id")), None)
            if event["eventType"] in _REFUND_EVENTS:
                refund, is_sure = _last_refund(event, _REFUND_EVENTS[event["eventType"]])
                told = _told_of_refund(refund, refund.get("fiatCurrency") or refund["currency"]) if is_sure else None
                outcome = None if isinstance(told, InDoubt) else told
                return WebhookEvent(text(refund["id"]), _text(refund.get("reason")), outcome, text(event["id"]))
        except MALFORMED:
            return None
        return None

    def timeline(self, reference: str) -> list[dict[str, str]]:
        """Return how a checkout went: `status` (lower-case), `time` (RFC 3339), `context`; oldest first.

        Coinbase tells only when it was created and when it last changed. `context` is empty, or "refund". A row may
        have `transaction`, the hash on the network, and `network`. Raises GatewayError."""
        try:
            checkout = self._call("GET", f"/checkouts/{segment(reference)}")
            rows = [_row("ACTIVE", checkout["createdAt"])]
            if checkout["status"] != "ACTIVE":
                rows.append(_row(checkout["status"], checkout["updatedAt"], checkout.get("transactionHash")))
            for refund in checkout.get("refunds") or ():
                at = refund.get("completedAt") or checkout["updatedAt"]
                rows.append(_row(refund["status"], at, refund.get("transactionHash"), "refund"))
            return rows
        except CallFailed as failure:
            raise GatewayError(failure.reason) from None
        except MALFORMED:
            raise GatewayError("malformed_response") from None

    def check(self) -> str:
        """Say in one line that the credentials are accepted; raise GatewayError if they are not."""
        try:
            self._call("GET", "/checkouts", query={"pageSize": 1})
        except CallFailed as failure:
            raise GatewayError(f"Coinbase does not accept the API key: {failure.reason}") from None
        return f"Coinbase Business accepts the API key at {self._api.base}"

    def _checkout_of(self, attempt: AttemptRequest) -> dict[str, Any]:
        back = attempt.way_back(self._api_url)
        return {
            "amount": str(attempt.money),
            "currency": attempt.money.currency,
            "description": f"Payment {attempt.payment_id}",
            "metadata": {"payment_id": attempt.payment_id, "attempt_id": attempt.attempt_id},
            "successRedirectUrl": back,
            "failRedirectUrl": back,
        }

    def _call(self, method: str, path: str, body: Any = None, key: str | None = None, query: Any = None) -> Any:
        headers = {"Authorization": f"Bearer {self._signer.token(method, self._api.base + path)}"}
        if key is not None:
            headers["X-Idempotency-Key"] = key
        response = self._api.send(method, path, json=body, query=query, headers=headers)
        if not response.is_good:
            reason = reason_word(response.fields.get("errorType"), f"http_{response.status}")
            raise CallFailed(reason, FATES.get(response.status, FailureKind.UNKNOWN))
        return json_of(response)


# --- answers ----------------------------------------------------------------------------------------


def outcome_of_checkout(checkout: Any, attempt: AttemptRequest) -> Outcome:
    """Return what a checkout says about its payment; refunds are told apart from it."""
    if is_another(checkout, attempt):
        return InDoubt("another_object", attempt.charge_reference or attempt.reference)
    reference = text(checkout["id"])
    match checkout["status"]:
        case "ACTIVE":
            return ActionRequired(reference, {"type": "redirect", "redirect_url": str(checkout["url"])})
        case "PROCESSING":
            return Pending(reference)
        case "COMPLETED" | "PARTIALLY_REFUNDED" | "REFUNDED":
            paid = _amount(checkout, attempt.money.currency)
            # A void asks for no amount: what was paid is then taken into the books as it is.
            if paid is None or (attempt.verb is Verb.CHARGE and paid != attempt.money.minor):
                return InDoubt("amount_differs", reference)
            return Approved(reference, authorized=paid, captured=paid)
        case "FAILED":
            return Declined(reference, Decline("payment_failed", DeclineClass.HARD))
        case "EXPIRED" | "DEACTIVATED":
            return Approved(reference, voided=True)
    return InDoubt("unknown_status", reference)


def _outcome_of_refund(refund: Any, attempt: AttemptRequest) -> Outcome:
    outcome = _told_of_refund(refund, attempt.money.currency)
    if isinstance(outcome, Approved) and outcome.refunded != attempt.money.minor:
        return InDoubt("amount_differs", outcome.reference)
    return outcome


def _told_of_refund(refund: Any, currency: str) -> Outcome:
    """Return what a refund says of itself, in minor units of its price's currency."""
    reference = text(refund["id"])
    match refund["status"]:
        case "PENDING":
            return Pending(reference)
        case "COMPLETED":
            given = _amount(refund, currency)
            return InDoubt("amount_differs", reference) if given is None else Approved(reference, refunded=given)
        case "FAILED":
            return Declined(reference, Decline("refund_failed", DeclineClass.HARD))
    return InDoubt("unknown_status", reference)


def _amount(thing: Any, currency: str) -> int | None:
    """Return the minor units of a checkout or refund in its price's currency, which USDC stands beside."""
    for amount, code in (("fiatAmount", "fiatCurrency"), ("amount", "currency")):
        if thing.get(code) == currency:
            return minor_units(thing[amount], currency)
    return None


def _find_refund(checkout: Any, attempt: AttemptRequest) -> Any:
    """Return the refund with the order's reference, or the one that names its attempt; None if there is none."""
    for refund in checkout.get("refunds") or ():
        if text(refund["id"]) == attempt.reference or refund.get("reason") == attempt.attempt_id:
            return refund
    return None


def _row(status: str, time: str, transaction: str | None = None, context: str = "") -> dict[str, str]:
    row = {"status": str(status).lower(), "time": str(time), "context": context}
    return row | {"transaction": str(transaction), "network": "base"} if transaction else row


# --- events -----------------------------------------------------------------------------------------

_PAYMENT_EVENTS = frozenset({"checkout.payment.success", "checkout.payment.failed", "checkout.payment.expired"})
# What is read of an event; the rest is not stored.
_KEPT = {
    "id": None,
    "eventType": None,
    "metadata": {"attempt_id": None},
    "refunds": dict.fromkeys(
        ("id", "status", "reason", "completedAt", "amount", "currency", "fiatAmount", "fiatCurrency")
    ),
}
# The status that the refund of an event has.
_REFUND_EVENTS = {"checkout.refund.success": "COMPLETED", "checkout.refund.failed": "FAILED"}


def _event_id(event: Any) -> str:
    # Time and sum tell two partial refunds apart, after which the status is the same.
    told = (event["id"], event["eventType"], event["status"], event.get("updatedAt"), event.get("refundedAmount"))
    return ":".join(str(part) for part in told if part is not None)


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _last_refund(checkout: Any, status: str) -> tuple[Any, bool]:
    """Return the refund that such an event is most likely about, which does not say so itself, and whether no other
    can be meant: none ended at the same time."""
    ended = [refund for refund in checkout["refunds"] if refund["status"] == status]
    last = max(reversed(ended), key=_ended_at)
    return last, [_ended_at(refund) for refund in ended].count(_ended_at(last)) == 1


def _ended_at(refund: Any) -> str:
    return refund.get("completedAt") or ""


# --- errors -----------------------------------------------------------------------------------------

# The documented statuses, and 409 for a key whose first request is still running. Any other proves nothing.
FATES: dict[int, FailureKind] = {
    400: FailureKind.AT_FAULT,
    401: FailureKind.NOT_EXECUTED,
    403: FailureKind.NOT_EXECUTED,
    404: FailureKind.AT_FAULT,
    409: FailureKind.NOT_EXECUTED,
    429: FailureKind.NOT_EXECUTED,
    500: FailureKind.UNKNOWN,
}


# --- settings ---------------------------------------------------------------------------------------


class CoinbaseSettings(CryptoSettings):
    """What the environment says of Coinbase Business."""

    coinbase_api_key_name: str | None = Field(
        default=None, description="Name (id) of a CDP API key; without it Coinbase Business is off"
    )
    coinbase_api_key_secret: SecretStr | None = Field(
        default=None, description="Its secret: base64 (Ed25519) or PEM (EC P-256)"
    )
    coinbase_webhook_secret: Secrets = Field(
        default=(), description="Secret of the webhook subscription; several, comma-separated, all verify"
    )
    coinbase_api_base: str = Field(
        default=DEFAULT_BASE, description="Coinbase's API, https://business.coinbase.com/sandbox/api/v1, or a sandbox's"
    )

    @property
    def is_on(self) -> bool:
        """Whether Coinbase Business is served."""
        has_key = self.coinbase_api_key_name is not None and self.coinbase_api_key_secret is not None
        return self.crypto_payment_enabled and has_key

    def problems(self) -> list[str]:
        """Return what is wrong, each naming its variable and what to do."""
        name, secret = self.coinbase_api_key_name, self.coinbase_api_key_secret
        if not self.crypto_payment_enabled or (name is None and secret is None):
            return []
        if name is None or secret is None:
            missing = "COINBASE_API_KEY_NAME" if name is None else "COINBASE_API_KEY_SECRET"
            return [f"{missing} is missing; set both parts of the API key, or neither"]
        found = []
        try:
            read_key(revealed(secret))
        except ValueError as error:
            found.append(f"COINBASE_API_KEY_SECRET {error}")
        is_coinbase = self.coinbase_api_base.startswith(_HOST)
        if is_coinbase and is_of_sandbox(name):
            found.append(
                "COINBASE_API_KEY_NAME is a sandbox key but COINBASE_API_BASE is Coinbase; set the sandbox's URL"
            )
        if not is_coinbase and not is_of_sandbox(name):
            found.append("COINBASE_API_KEY_NAME is a real key but COINBASE_API_BASE is not Coinbase; use a sandbox key")
        if not self.coinbase_webhook_secret:
            found.append("COINBASE_WEBHOOK_SECRET is missing; without it no webhook can be trusted")
        return found

    def make(self, context: GatewayContext) -> CoinbaseGateway | None:
        """Return the gateway, or None where it is off."""
        name, secret = self.coinbase_api_key_name, self.coinbase_api_key_secret
        if not self.crypto_payment_enabled or name is None or secret is None:
            return None
        return CoinbaseGateway(
            api_key_name=name,
            api_key_secret=revealed(secret),
            webhook_secrets=all_revealed(self.coinbase_webhook_secret),
            base=self.coinbase_api_base,
            api_url=context.api_url,
            read_seconds=context.read_seconds,
        )
