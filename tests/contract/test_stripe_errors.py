"""Stripe's exceptions: the table decides each class of the SDK, and none is taken for a decision of the provider."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from typing import Any

import pytest
import requests
import stripe
from stripe._api_requestor import _APIRequestor

from domain.decline import DeclineClass
from domain.outcome import Approved, AuthenticationRequired, Declined, InDoubt, NotSent, Outcome
from gateways.stripe.errors import ERRORS, failure_of

REFERENCE = "pi_1"


def subclasses(kind: type[Any]) -> Iterator[type[Any]]:
    for sub in kind.__subclasses__():
        yield sub
        yield from subclasses(sub)


CLASSES = sorted({stripe.StripeError, *subclasses(stripe.StripeError)}, key=lambda kind: kind.__name__)
# what the SDK raises for a response of the v1 API, read from its own source, and without a response.
RAISED = [
    *re.findall(r"error\.(\w+)\(", inspect.getsource(_APIRequestor.specific_v1_api_error)),
    "APIConnectionError",
    "SignatureVerificationError",
]


def error_of(kind: type[Any], **how: Any) -> stripe.StripeError:
    """Make an exception without its constructor, because the arguments differ by class."""
    error: Any = kind.__new__(kind)
    stripe.StripeError.__init__(error, "message", **how)
    return error


def outcome_of(error: stripe.StripeError) -> Outcome:
    """Return the outcome of a call with a saved reference that ends with this exception."""
    return failure_of(error).outcome(REFERENCE)


def card_error(**fields: Any) -> stripe.StripeError:
    body = {"error": {"type": "card_error", "code": "card_declined", "message": "no"} | fields}
    return stripe.CardError("no", None, body["error"]["code"], http_status=402, json_body=body)


def test_the_walk_finds_the_classes() -> None:
    assert {stripe.CardError, stripe.APIConnectionError, stripe.RateLimitError} <= set(CLASSES)
    assert len(CLASSES) > 15


@pytest.mark.parametrize("name", sorted(set(RAISED)))
def test_every_class_that_the_v1_api_raises_has_a_line_of_its_own(name: str) -> None:
    assert getattr(stripe, name) in ERRORS


def test_the_source_of_the_sdk_was_understood() -> None:
    assert {"CardError", "InvalidRequestError", "RateLimitError", "APIError"} <= set(RAISED)


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)
def test_every_class_is_decided_by_the_table(kind: type[Any]) -> None:
    """The classes of the v2 API fall to the base class, which leaves doubt."""
    decided = next(base for base in kind.__mro__ if base in ERRORS)
    assert decided is kind or (decided is stripe.StripeError and kind not in {getattr(stripe, name) for name in RAISED})


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: f"{kind.__module__}.{kind.__name__}")
def test_no_class_is_taken_for_a_decision(kind: type[Any]) -> None:
    """Without a card error's body, an exception means only that nothing was sent, or doubt."""
    outcome = outcome_of(error_of(kind))
    assert isinstance(outcome, InDoubt | NotSent)
    assert outcome.reference == REFERENCE


def test_every_entry_of_the_table_is_a_class_of_the_sdk() -> None:
    assert set(ERRORS) <= set(CLASSES)


def test_an_unknown_class_leaves_doubt() -> None:
    class Invented(stripe.StripeError):
        pass

    assert isinstance(outcome_of(Invented("new")), InDoubt)


# --- card errors ---


@pytest.mark.parametrize(
    ("fields", "kind"),
    [
        ({"decline_code": "insufficient_funds"}, DeclineClass.SOFT),
        ({"decline_code": "lost_card"}, DeclineClass.HARD),
        ({"decline_code": "insufficient_funds", "advice_code": "do_not_try_again"}, DeclineClass.HARD),
        ({"decline_code": "generic_decline", "network_advice_code": "03"}, DeclineClass.HARD),
        ({"code": "expired_card"}, DeclineClass.NEEDS_CUSTOMER),
        ({"decline_code": "revocation_of_authorization"}, DeclineClass.CONSENT_WITHDRAWN),
        ({}, DeclineClass.SOFT),
    ],
    ids=str,
)
def test_a_card_error_is_a_decline_with_its_codes(fields: dict[str, str], kind: DeclineClass) -> None:
    outcome = outcome_of(card_error(**fields))
    assert isinstance(outcome, Declined)
    decline = outcome.decline
    assert decline.decline_class is kind
    raw = {"code": "card_declined"} | fields
    assert {name: getattr(decline, name) for name in raw} == raw


def test_authentication_required_is_its_own_outcome() -> None:
    outcome = outcome_of(card_error(code="authentication_required"))
    assert isinstance(outcome, AuthenticationRequired)


@pytest.mark.parametrize("kind", ["invalid_request_error", "api_error", "idempotency_error"])
def test_a_402_that_is_no_card_error_is_no_decline(kind: str) -> None:
    outcome = outcome_of(card_error(type=kind, code=None))
    assert isinstance(outcome, NotSent | InDoubt)


# --- requests ---


def invalid(code: str | None) -> stripe.StripeError:
    return stripe.InvalidRequestError("no", None, code, http_status=400)


@pytest.mark.parametrize(
    "code",
    [
        "payment_intent_unexpected_state",
        "charge_already_captured",
        "idempotency_key_in_use",
        "lock_timeout",
        "intent_invalid_state",
    ],
)
def test_an_unexpected_state_is_looked_up(code: str) -> None:
    assert isinstance(outcome_of(invalid(code)), InDoubt)


@pytest.mark.parametrize("code", ["resource_missing", "parameter_unknown", "amount_too_small", None])
def test_a_request_at_fault_is_not_retried(code: str | None) -> None:
    outcome = outcome_of(invalid(code))
    assert isinstance(outcome, NotSent)
    assert not outcome.is_retryable


@pytest.mark.parametrize(
    ("code", "param", "field", "has_sentence"),
    [
        ("resource_missing", "payment_method", "payment_method_token", False),
        ("resource_missing", "customer", "customer_token", False),
        ("amount_too_small", "amount", "amount", True),
        ("amount_too_large", "amount", "amount", True),
        ("email_invalid", "receipt_email", None, False),
        ("parameter_unknown", "capture_method", None, False),
    ],
)
def test_a_field_that_the_application_can_mend_is_named(
    code: str, param: str, field: str | None, has_sentence: bool
) -> None:
    body = {"error": {"type": "invalid_request_error", "code": code, "param": param, "message": "What is wrong"}}
    error = stripe.InvalidRequestError("What is wrong", param, code=code, http_status=400, json_body=body)
    sentence = "What is wrong" if has_sentence else None
    assert outcome_of(error) == NotSent(code, is_retryable=False, reference="pi_1", param=field, message=sentence)


@pytest.mark.parametrize("kind", [stripe.RateLimitError, stripe.AuthenticationError, stripe.PermissionError])
def test_a_refusal_before_execution_may_be_retried(kind: type[Any]) -> None:
    outcome = outcome_of(error_of(kind, http_status=429))
    assert isinstance(outcome, NotSent)
    assert outcome.is_retryable


# --- connections ---


def connection_error(cause: BaseException | None) -> stripe.StripeError:
    error = stripe.APIConnectionError("no")
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("cause", "kind"),
    [
        (requests.ConnectTimeout("no"), NotSent),
        (requests.exceptions.SSLError("no"), InDoubt),
        (requests.ReadTimeout("no"), InDoubt),
        (requests.ConnectionError("reset"), InDoubt),
        (requests.ConnectionError(), InDoubt),
        (requests.exceptions.ChunkedEncodingError("no"), InDoubt),
        (OSError("no"), InDoubt),
        (None, InDoubt),
    ],
    ids=repr,
)
def test_only_a_connection_that_was_never_made_was_not_sent(cause: BaseException | None, kind: type[Any]) -> None:
    outcome = outcome_of(connection_error(cause))
    assert type(outcome) is kind


@pytest.mark.parametrize("status", [500, 502, 503, 504, None])
def test_a_server_error_leaves_doubt(status: int | None) -> None:
    outcome = outcome_of(stripe.APIError("no", http_status=status))
    assert isinstance(outcome, InDoubt)
    assert not isinstance(outcome, Approved)
