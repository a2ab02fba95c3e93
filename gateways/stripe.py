"""Stripe through its official SDK: cards, SEPA and ACH debits as PaymentIntents.

Create, remember the id, then confirm: until the confirm no money can move, and after it the intent
can always be looked up. Sources: docs.stripe.com/api and the SDK 16.1.0, read 2026-11-23."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import stripe

from domain.decline import Decline, classify
from domain.errors import WebhookRefused
from domain.methods import PaymentMethod
from domain.money import Money, exponent
from domain.outcome import (
    ActionRequired,
    Approved,
    AuthenticationRequired,
    Declined,
    InDoubt,
    NotSent,
    Outcome,
    Pending,
)
from domain.payment import Verb
from gateways.base import Delivery, GatewayError, Notice, Order, Remember
from gateways.http import CONNECT_SECONDS, make_session, was_never_sent

DEFAULT_BASE = "https://api.stripe.com"
# Stripe allows five minutes between signing and receiving; a stamp from the future is as wrong as an old one.
_WEBHOOK_TOLERANCE = timedelta(minutes=5)
# Card authorizations last seven days when the charge does not say (docs: place a hold on a payment method).
_AUTHORIZATION_WINDOW = timedelta(days=7)

# What reading an answer raises that is not what Stripe documents: nothing can be concluded from it.
_MALFORMED = (KeyError, TypeError, ValueError, AttributeError)

_METHOD_TYPES = {
    PaymentMethod.SEPA_DEBIT: "sepa_debit",
    PaymentMethod.ACH_DEBIT: "us_bank_account",
}
# Stripe's minor units that differ from ISO 4217 (docs.stripe.com/currencies): Ariary is sent whole, Krona
# and Shilling with two decimals that must be zero.
_STRIPE_DECIMALS = {"MGA": 0, "ISK": 2, "UGX": 2}


class StripeGateway:
    """One pooled session a process; every call carries a key that is the attempt's own."""

    provider = "stripe"
    region: str | None = None

    def __init__(
        self,
        secret_key: str,
        webhook_secrets: tuple[str, ...] = (),
        base: str = DEFAULT_BASE,
        read_seconds: float = 30,
    ) -> None:
        self._is_live = "_live_" in secret_key
        self._webhook_secrets = webhook_secrets
        self._client = stripe.StripeClient(
            secret_key,
            base_addresses={"api": base},
            max_network_retries=0,
            http_client=stripe.RequestsClient(timeout=(CONNECT_SECONDS, read_seconds), session=make_session(base)),
        )

    def charge(self, order: Order, remember: Remember) -> Outcome:
        """Create the intent, remember it, confirm it."""
        reference = order.reference
        if reference is None:
            try:
                reference = str(self._create(order, _create_params(order))["id"])
            except stripe.StripeError as error:
                return _nothing_moved(error)
            except _MALFORMED:
                return NotSent("malformed_answer")
        # Also when it is known already: whoever lost the lease meanwhile must not confirm.
        remember(reference)
        return self._answer(
            order.verb,
            reference,
            lambda: self._post(
                f"/v1/payment_intents/{reference}/confirm", _confirm_params(order), _key(order, "confirm")
            ),
        )

    def capture(self, order: Order) -> Outcome:
        """Take the amount of an authorized intent; the rest is released."""
        reference = _charge_reference(order)
        params: Any = {"amount_to_capture": _to_stripe(order.money)}
        return self._answer(
            order.verb,
            reference,
            lambda: self._client.v1.payment_intents.capture(reference, params=params, options=_key(order, "capture")),
        )

    def void(self, order: Order) -> Outcome:
        """Cancel an intent that has not succeeded; an authorization is released."""
        reference = _charge_reference(order)
        params: Any = {"cancellation_reason": "abandoned" if order.reason == "expired" else "requested_by_customer"}
        return self._answer(
            order.verb,
            reference,
            lambda: self._client.v1.payment_intents.cancel(reference, params=params, options=_key(order, "cancel")),
        )

    def refund(self, order: Order) -> Outcome:
        """Refund part or all of a captured intent. The key never changes: a repeat is the same refund."""
        params: Any = {
            "payment_intent": _charge_reference(order),
            "amount": _to_stripe(order.money),
            "metadata": _metadata(order),
        }
        if order.reason:
            params["reason"] = order.reason
        try:
            refund = self._client.v1.refunds.create(params=params, options={"idempotency_key": order.attempt_id})
            return _outcome_of_refund(refund)
        except stripe.StripeError as error:
            return outcome_of_error(error, None)
        except _MALFORMED:
            return InDoubt("malformed_answer")

    def retrieve(self, order: Order) -> Outcome:
        """Look the intent or refund up. Without a stored reference nothing can have moved, refunds aside."""
        if order.verb is Verb.REFUND:
            return self._retrieve_refund(order)
        reference = order.reference or order.charge_reference
        if reference is None:
            return NotSent("not_created")
        try:
            return outcome_of_intent(
                self._client.v1.payment_intents.retrieve(reference, params={"expand": ["latest_charge"]})
            )
        except stripe.StripeError as error:
            return _unanswered(error, reference)
        except _MALFORMED:
            return InDoubt("malformed_answer", reference)

    def open_intent(self, order: Order, remember: Remember) -> str:
        """Create an intent that the front end confirms with any method the account offers."""
        params = _base_params(order) | {"automatic_payment_methods": {"enabled": True}}
        try:
            intent = self._create(order, params)
        except stripe.StripeError as error:
            raise GatewayError(_reason(error)) from None
        remember(intent["id"])
        return str(intent["client_secret"])

    def client_secret(self, reference: str) -> str:
        """Read the secret again for a repeated request."""
        try:
            return str(self._client.v1.payment_intents.retrieve(reference)["client_secret"])
        except stripe.StripeError as error:
            raise GatewayError(_reason(error)) from None

    def verify_webhook(self, body: bytes, headers: Mapping[str, str], now: datetime, url: str = "") -> Delivery:
        """Accept a body signed with any of the secrets, at most five minutes from now, of our mode."""
        header = headers.get("Stripe-Signature", "")
        if not any(_is_signed(body, header, secret) for secret in self._webhook_secrets):
            raise WebhookRefused("bad signature")
        stamp = next(int(part[2:]) for part in header.split(",") if part.startswith("t="))
        if abs(now.timestamp() - stamp) > _WEBHOOK_TOLERANCE.total_seconds():
            raise WebhookRefused("signed too long ago or in the future")
        try:
            event = json.loads(body)
            delivery = Delivery(str(event["id"]), str(event["type"]), _without_secrets(body, event))
        except (ValueError, KeyError, TypeError, RecursionError):
            raise WebhookRefused("not a Stripe event") from None
        names = (delivery.event_id, delivery.type)
        if not all(len(name) <= 100 and name.isascii() and name.isprintable() for name in names):
            raise WebhookRefused("not a Stripe event")
        if bool(event.get("livemode")) != self._is_live:
            raise WebhookRefused("event of the other mode (live or test)")
        return delivery

    def read_webhook(self, payload: str) -> Notice | None:
        """Read intents and refunds; every other object tells nothing that those do not."""
        event = json.loads(payload)
        thing = event.get("data", {}).get("object", {})
        attempt_id = (thing.get("metadata") or {}).get("attempt_id")
        if event["type"].startswith("payment_intent.") and thing.get("object") == "payment_intent":
            return Notice(thing["id"], attempt_id, _told(outcome_of_intent, thing))
        if event["type"].startswith("refund.") and thing.get("object") == "refund":
            return Notice(thing["id"], attempt_id, _told(_outcome_of_refund, thing), thing.get("payment_intent"))
        return None

    def _create(self, order: Order, params: Any) -> Any:
        # A stored 500 is replayed for a day. An unconfirmed intent moves nothing, so a second one does no harm.
        options: Any = {"idempotency_key": f"{order.attempt_id}-create-{order.retries}"}
        return self._post("/v1/payment_intents", params, options)

    def _post(self, path: str, params: Any, options: Any) -> Any:
        # The SDK's services wrap the answer, field by field, in objects that nobody asks for here; that takes
        # as long as the rest of the call. Request, key and errors are the SDK's all the same.
        return self._client.raw_request("post", path, **params, **options).data

    def _answer(self, verb: Verb, reference: str, call: Callable[[], Any]) -> Outcome:
        try:
            return outcome_of_intent(call())
        except stripe.StripeError as error:
            return outcome_of_error(error, reference)
        except _MALFORMED:
            return InDoubt("malformed_answer", reference)

    def _retrieve_refund(self, order: Order) -> Outcome:
        refunds = self._client.v1.refunds
        try:
            if order.reference is not None:
                return _outcome_of_refund(refunds.retrieve(order.reference))
            listed = refunds.list(params={"payment_intent": _charge_reference(order), "limit": 100})
            for refund in listed.auto_paging_iter():
                if "attempt_id" in refund["metadata"] and refund["metadata"]["attempt_id"] == order.attempt_id:
                    return _outcome_of_refund(refund)
        except stripe.StripeError as error:
            return _unanswered(error, order.reference)
        except _MALFORMED:
            return InDoubt("malformed_answer", order.reference)
        return NotSent("not_created")


# --- requests ---------------------------------------------------------------------------------------


def _base_params(order: Order) -> dict[str, Any]:
    params: dict[str, Any] = {
        "amount": _to_stripe(order.money),
        "currency": order.money.currency.lower(),
        "metadata": _metadata(order),
    }
    if order.customer_token:
        params["customer"] = order.customer_token
    return params


def _create_params(order: Order) -> dict[str, Any]:
    return _base_params(order) | {
        "payment_method": order.method_token,
        "allowed_payment_method_types": [_METHOD_TYPES.get(order.method, "card")],
        "capture_method": "manual" if order.verb is Verb.AUTHORIZE else "automatic",
    }


def _confirm_params(order: Order) -> Any:
    params: dict[str, Any] = {}
    if order.is_off_session:
        params["off_session"] = True
    elif order.return_url:
        params["return_url"] = order.return_url
    if order.method in _METHOD_TYPES:
        # The application has shown the mandate text and taken the customer's consent.
        params["mandate_data"] = {"customer_acceptance": {"type": "offline"}}
    elif order.wants_authentication:
        params["payment_method_options"] = {"card": {"request_three_d_secure": "any"}}
    if order.verb is Verb.AUTHORIZE:
        params["expand"] = ["latest_charge"]
    return params


def _metadata(order: Order) -> dict[str, str]:
    return {"payment_id": order.payment_id, "attempt_id": order.attempt_id}


def _key(order: Order, call: str) -> Any:
    # Never another key for the same call: while the first is still running at Stripe, the second is refused.
    return {"idempotency_key": f"{order.attempt_id}-{call}"}


def _charge_reference(order: Order) -> str:
    if order.charge_reference is None:
        raise AssertionError(f"bug: {order.verb} of a payment that never reached Stripe")
    return order.charge_reference


def _stripe_decimals(currency: str) -> int:
    return _STRIPE_DECIMALS.get(currency, exponent(currency))


def _to_stripe(money: Money) -> int:
    """Return Stripe's minor units.

    >>> _to_stripe(Money(500, "ISK")), _to_stripe(Money(500, "MGA")), _to_stripe(Money(500, "EUR"))
    (50000, 5, 500)
    """
    shift = _stripe_decimals(money.currency) - exponent(money.currency)
    return money.minor * 10**shift if shift >= 0 else money.minor // 10**-shift


def _from_stripe(amount: int, currency: str) -> int:
    code = currency.upper()
    shift = _stripe_decimals(code) - exponent(code)
    return amount // 10**shift if shift >= 0 else amount * 10**-shift


# --- answers ----------------------------------------------------------------------------------------


def outcome_of_intent(intent: Any) -> Outcome:
    """Return what a PaymentIntent, as object or as JSON, says about its attempt."""
    reference, status, currency = intent["id"], intent["status"], intent["currency"]
    match status:
        case "succeeded":
            received = _from_stripe(intent["amount_received"], currency)
            return Approved(reference, authorized=_from_stripe(intent["amount"], currency), captured=received)
        case "requires_capture":
            capturable = _from_stripe(intent["amount_capturable"], currency)
            return Approved(reference, authorized=capturable, authorization_expires_at=_capture_before(intent))
        case "canceled":
            return Approved(reference, voided=True)
        case "processing":
            return Pending(reference)
        case "requires_action":
            return ActionRequired(reference, _next_action(_field(intent, "next_action")))
        case "requires_payment_method" if _field(intent, "last_payment_error"):
            return _declined(reference, intent["last_payment_error"])
        case "requires_payment_method" | "requires_confirmation":
            return NotSent("not_confirmed", reference=reference)
    return InDoubt(f"unknown intent status {status}", reference)


def _told(read: Callable[[Any], Outcome], thing: Any) -> Outcome | None:
    """Return what an event says of its object; None when it says too little."""
    try:
        return read(thing)
    except _MALFORMED:
        return None


def _capture_before(intent: Any) -> datetime:
    fallback = datetime.fromtimestamp(intent["created"], UTC) + _AUTHORIZATION_WINDOW
    charge = _field(intent, "latest_charge")
    if charge is None or isinstance(charge, str):
        return fallback
    details = _field(charge, "payment_method_details")
    stamp = _field(_field(details, "card"), "capture_before")
    return datetime.fromtimestamp(stamp, UTC) if stamp else fallback


def _next_action(action: Any) -> dict[str, str]:
    found = {"type": str(action["type"])} if action else {"type": "unknown"}
    url = _field(_field(action, "redirect_to_url"), "url")
    return found | {"redirect_url": url} if url else found


def _field(thing: Any, name: str) -> Any:
    return thing[name] if thing is not None and name in thing else None


def _outcome_of_refund(refund: Any) -> Outcome:
    status = refund["status"]
    if status == "succeeded":
        return Approved(refund["id"], refunded=_from_stripe(refund["amount"], refund["currency"]))
    if status in ("pending", "requires_action"):
        return Pending(refund["id"])
    code = _field(refund, "failure_reason") or f"refund_{status}"
    return Declined(refund["id"], Decline(code, classify(code)))


def _declined(reference: str | None, error: Any) -> Outcome:
    codes = {
        name: _field(error, name)
        for name in ("code", "decline_code", "advice_code", "network_advice_code", "network_decline_code")
    }
    code = codes.pop("code") or "card_declined"
    decline_class = classify(code, codes["decline_code"], codes["advice_code"], codes["network_advice_code"])
    decline = Decline(code, decline_class, **codes)
    if code == "authentication_required":
        return AuthenticationRequired(reference, decline)
    return Declined(reference, decline)


# --- errors -----------------------------------------------------------------------------------------

# An intent that is not in the state we thought: somebody was faster, or an answer of ours was lost. Look.
_LOOK_UP_CODES = frozenset(
    {
        "charge_already_captured",
        "idempotency_key_in_use",
        "intent_invalid_state",
        "lock_timeout",
        "payment_intent_unexpected_state",
    }
)


def outcome_of_error(error: stripe.StripeError, reference: str | None) -> Outcome:
    """Map every exception of the SDK; one that the table does not know leaves the attempt in doubt."""
    for kind in type(error).__mro__:
        if kind in ERRORS:
            return ERRORS[kind](error, reference)
    return InDoubt(_reason(error), reference)


def _refused_by_issuer(error: stripe.StripeError, reference: str | None) -> Outcome:
    # The SDK raises CardError for every 402, also when the request itself was refused.
    if error.error is None or error.error["type"] != "card_error":
        return _refused_as_invalid(error, reference)
    return _declined(reference, error.error)


def _refused_as_invalid(error: stripe.StripeError, reference: str | None) -> Outcome:
    if _code(error) in _LOOK_UP_CODES:
        return InDoubt(_reason(error), reference)
    if _code(error) == "rate_limit":
        return NotSent(_reason(error), reference=reference)
    return NotSent(_reason(error), is_retryable=False, reference=reference)


def _refused_before_execution(error: stripe.StripeError, reference: str | None) -> Outcome:
    if _code(error) in _LOOK_UP_CODES:
        return InDoubt(_reason(error), reference)
    return NotSent(_reason(error), reference=reference)


def _unreachable(error: stripe.StripeError, reference: str | None) -> Outcome:
    if was_never_sent(error.__cause__):
        return NotSent("unreachable", reference=reference)
    return InDoubt("no_answer", reference)


def _unknown(error: stripe.StripeError, reference: str | None) -> Outcome:
    return InDoubt(_reason(error), reference)


# Closed: a test walks the SDK's exception classes and fails when one is not decided here.
ERRORS: dict[type[BaseException], Callable[[stripe.StripeError, str | None], Outcome]] = {
    stripe.CardError: _refused_by_issuer,
    stripe.InvalidRequestError: _refused_as_invalid,
    stripe.IdempotencyError: _unknown,
    stripe.RateLimitError: _refused_before_execution,
    stripe.AuthenticationError: _refused_before_execution,
    stripe.PermissionError: _refused_before_execution,
    stripe.APIConnectionError: _unreachable,
    stripe.APIError: _unknown,
    stripe.SignatureVerificationError: _unknown,
    stripe.StripeError: _unknown,
}


def _nothing_moved(error: stripe.StripeError) -> Outcome:
    """An intent that could not be created, or whose id was lost, was never confirmed: nothing was charged."""
    outcome = outcome_of_error(error, None)
    return NotSent(outcome.reason) if isinstance(outcome, InDoubt) else outcome


def _unanswered(error: stripe.StripeError, reference: str | None) -> Outcome:
    """A look-up that failed says nothing about the attempt, whatever the error is."""
    return InDoubt(_reason(error), reference)


def _code(error: stripe.StripeError) -> str | None:
    # Most of the SDK's exceptions keep the code only in the error object that came with the answer.
    code: str | None = error.code or _field(error.error, "code")
    return code


def _reason(error: stripe.StripeError) -> str:
    return str(_code(error) or (f"http_{error.http_status}" if error.http_status else "no_answer"))


def _without_secrets(body: bytes, event: Any) -> str:
    """Return the event as text; a client secret in it is a credential and is not kept."""
    if b"client_secret" in body:
        return json.dumps(_strip(event))
    return body.decode()


def _strip(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _strip(item) for key, item in value.items() if key != "client_secret"}
    return [_strip(item) for item in value] if isinstance(value, list) else value


def _is_signed(body: bytes, header: str, secret: str) -> bool:
    try:
        return bool(stripe.WebhookSignature.verify_header(body, header, secret))
    except (stripe.SignatureVerificationError, ValueError, TypeError):
        return False  # TypeError: a signature that is not ASCII
