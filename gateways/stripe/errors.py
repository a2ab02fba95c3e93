"""What Stripe's refusals mean: a closed table from the SDK's exceptions to outcomes."""

from __future__ import annotations

from collections.abc import Callable

import stripe

from domain.outcome import InDoubt, NotSent, Outcome
from gateways.http import was_never_sent
from gateways.stripe.next_actions import field
from gateways.stripe.responses import decline_of

# An intent that is not in the state we thought: somebody was faster, or an answer of ours was lost. Look.
LOOK_UP_CODES = frozenset(
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
    return InDoubt(reason(error), reference)


def _refused_by_issuer(error: stripe.StripeError, reference: str | None) -> Outcome:
    # The SDK raises CardError for every 402, also when the request itself was refused.
    if error.error is None or error.error["type"] != "card_error":
        return _refused_as_invalid(error, reference)
    return decline_of(reference, error.error)


def _refused_as_invalid(error: stripe.StripeError, reference: str | None) -> Outcome:
    if code_of(error) in LOOK_UP_CODES:
        return InDoubt(reason(error), reference)
    if code_of(error) == "rate_limit":
        return NotSent(reason(error), reference=reference)
    return NotSent(reason(error), is_retryable=False, reference=reference)


def _refused_before_execution(error: stripe.StripeError, reference: str | None) -> Outcome:
    if code_of(error) in LOOK_UP_CODES:
        return InDoubt(reason(error), reference)
    return NotSent(reason(error), reference=reference)


def _unreachable(error: stripe.StripeError, reference: str | None) -> Outcome:
    if was_never_sent(error.__cause__):
        return NotSent("unreachable", reference=reference)
    return InDoubt("no_answer", reference)


def _unknown(error: stripe.StripeError, reference: str | None) -> Outcome:
    return InDoubt(reason(error), reference)


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


def nothing_moved(error: stripe.StripeError) -> Outcome:
    """An intent that could not be created, or whose id was lost, was never confirmed: nothing was charged."""
    outcome = outcome_of_error(error, None)
    return NotSent(outcome.reason) if isinstance(outcome, InDoubt) else outcome


def unanswered(error: stripe.StripeError, reference: str | None) -> Outcome:
    """A look-up that failed says nothing about the attempt, whatever the error is."""
    return InDoubt(reason(error), reference)


def code_of(error: stripe.StripeError) -> str | None:
    """Return Stripe's code of a refusal, where it has one."""
    # Most of the SDK's exceptions keep the code only in the error object that came with the answer.
    code: str | None = error.code or field(error.error, "code")
    return code


def reason(error: stripe.StripeError) -> str:
    """Return a short stable word for what went wrong, never the message."""
    return str(code_of(error) or (f"http_{error.http_status}" if error.http_status else "no_answer"))
