"""What Stripe's refusals mean: a closed table from the SDK's exceptions to failures."""

from __future__ import annotations

from collections.abc import Callable

import stripe

from domain.outcome import NotSent, Outcome
from gateways.failures import CallFailed, FailureKind, reason_word
from gateways.http import was_never_sent
from gateways.stripe.responses import PaymentError, outcome_of_decline

# The object is not in the state that the request expects: another call came first, or the response to an earlier one
# was lost. Only a look-up shows how it stands.
_LOOK_UP_CODES = frozenset(
    {
        "charge_already_captured",
        "idempotency_key_in_use",
        "intent_invalid_state",
        "lock_timeout",
        "payment_intent_unexpected_state",
    }
)
# Stripe's parameters that are fields of the application's request.
_FIELDS = {
    "amount": "amount",
    "currency": "currency",
    "customer": "customer_token",
    "email": "email",
    "payment_method": "payment_method_token",
    "return_url": "return_url",
}
# Sentences about other codes repeat what was sent: a token, or an e-mail address.
_PLAIN_SENTENCES = frozenset({"amount_too_large", "amount_too_small"})
_LONGEST_MESSAGE = 300
_MISSING = "resource_missing"


class CardDeclined(CallFailed):
    """The issuer refused; nothing was charged. A repeat under the same key is refused as well.

    The sentence is for the customer, and holds nothing that was sent [docs.stripe.com/api/errors, read 2026-11-28]."""

    param = "payment_method_token"

    def __init__(self, error: PaymentError) -> None:
        super().__init__(error.code or "card_declined", FailureKind.AT_FAULT)
        self._error = error
        self.message = _short(error.message)

    def outcome(self, reference: str | None = None) -> Outcome:
        """Return the decline with its codes."""
        return outcome_of_decline(reference, self._error)


class RequestRefused(CallFailed):
    """The request is at fault; a repeat is refused as well. The application can mend a field of its own.

    `subject`: the parameter that is at fault where Stripe names it, else the reason."""

    def __init__(self, reason: str, error: PaymentError | None) -> None:
        super().__init__(reason, FailureKind.AT_FAULT)
        self.subject = reason_word(error.param if error else None, reason)
        self.param = _FIELDS.get(error.param or "") if error else None
        has_plain_sentence = error is not None and error.code in _PLAIN_SENTENCES
        self.message = _short(error.message) if error and has_plain_sentence else None

    def outcome(self, reference: str | None = None) -> Outcome:
        """Return that nothing was executed, and what to mend."""
        return NotSent(self.reason, False, reference, self.param, self.message)


class CustomerMissing(RequestRefused):
    """Stripe has no Customer of the id that the request names, or it was deleted."""


class KeyReused(CallFailed):
    """The idempotency key belongs to another request. What that request did is unknown."""


class PermissionMissing(CallFailed):
    """The key is valid and may not make this call: a restricted key."""


def is_missing(failure: CallFailed) -> bool:
    """Tell whether Stripe has no object with the id of a path."""
    return isinstance(failure, RequestRefused) and failure.reason == _MISSING


def failure_of(error: stripe.StripeError) -> CallFailed:
    """Return what an exception of the SDK means; one that the table does not know leaves the attempt in doubt.

    Raises MalformedResponse when the error body does not have the documented form."""
    for kind in type(error).__mro__:
        if kind in ERRORS:
            return ERRORS[kind](error)
    return _unknown(error)


def _refused_by_issuer(error: stripe.StripeError) -> CallFailed:
    # The SDK raises CardError for every 402, also when the request itself was refused.
    refusal = _refusal_of(error)
    if refusal is None:
        return _unknown(error)
    match refusal.type:
        case "card_error":
            return CardDeclined(refusal)
        case "invalid_request_error":
            return _refused_as_invalid(error)
        case "api_error" | "idempotency_error":
            return _unknown(error)
    return CallFailed(refusal.in_doubt("type").reason, FailureKind.UNKNOWN)


def _refused_as_invalid(error: stripe.StripeError) -> CallFailed:
    code = _code_of(error)
    if code in _LOOK_UP_CODES:
        return _unknown(error)
    if code == "rate_limit":
        return CallFailed(_reason_of(error), FailureKind.NOT_EXECUTED)
    refusal = _refusal_of(error)
    is_customer = code == _MISSING and refusal is not None and refusal.param == "customer"
    return (CustomerMissing if is_customer else RequestRefused)(_reason_of(error), refusal)


def _refused_before_execution(error: stripe.StripeError) -> CallFailed:
    if _code_of(error) in _LOOK_UP_CODES:
        return _unknown(error)
    return CallFailed(_reason_of(error), FailureKind.NOT_EXECUTED)


def _not_permitted(error: stripe.StripeError) -> CallFailed:
    return PermissionMissing(_reason_of(error), FailureKind.NOT_EXECUTED)


def _reused(error: stripe.StripeError) -> CallFailed:
    return KeyReused(_reason_of(error), FailureKind.UNKNOWN)


def _unreachable(error: stripe.StripeError) -> CallFailed:
    if was_never_sent(error.__cause__):
        return CallFailed("unreachable", FailureKind.NOT_EXECUTED)
    return CallFailed("no_answer", FailureKind.UNKNOWN)


def _unknown(error: stripe.StripeError) -> CallFailed:
    return CallFailed(_reason_of(error), FailureKind.UNKNOWN)


# Closed: a test walks the SDK's exception classes and fails when one is not decided here.
ERRORS: dict[type[BaseException], Callable[[stripe.StripeError], CallFailed]] = {
    stripe.CardError: _refused_by_issuer,
    stripe.InvalidRequestError: _refused_as_invalid,
    stripe.IdempotencyError: _reused,
    stripe.RateLimitError: _refused_before_execution,
    stripe.AuthenticationError: _refused_before_execution,
    stripe.PermissionError: _not_permitted,
    stripe.APIConnectionError: _unreachable,
    stripe.APIError: _unknown,
    stripe.SignatureVerificationError: _unknown,
    stripe.StripeError: _unknown,
}


def _short(sentence: str | None) -> str | None:
    return sentence[:_LONGEST_MESSAGE] if sentence else None


def _refusal_of(error: stripe.StripeError) -> PaymentError | None:
    """Return the error object of the response, where there is one."""
    body = error.json_body
    return PaymentError.parse(body["error"]) if isinstance(body, dict) and "error" in body else None


def _code_of(error: stripe.StripeError) -> str | None:
    # Most of the SDK's exceptions keep the code only in the error object.
    refusal = _refusal_of(error)
    return error.code or (refusal.code if refusal else None)


def _reason_of(error: stripe.StripeError) -> str:
    """Return a short stable word, never the message: that may repeat what was sent."""
    return _code_of(error) or (f"http_{error.http_status}" if error.http_status else "no_answer")
