"""PayPal's refusals: each issue and code is decided by a closed table, and what is refused moved nothing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from domain.decline import Decline, DeclineClass
from domain.outcome import (
    ActionRequired,
    Approved,
    AuthenticationRequired,
    CustomerApproved,
    Declined,
    InDoubt,
    NotSent,
)
from domain.payment import Verb
from gateways.base import AttemptRequest
from gateways.failures import FailureKind
from gateways.json_api import ProviderResponse
from gateways.paypal.errors import (
    _CODES,
    ISSUES,
    RESPONSE_CODES,
    SEND_BACK,
    decline_of,
    issue_of,
    outcome_of_refusal,
)
from gateways.paypal.responses import outcome_of_refund
from sandbox.server import RunningSandbox

from . import paypal_spec
from .bench import Books, attempt, new_order
from .benches.paypal import ProviderBench
from .test_gateway_operations import charged, operation


@pytest.fixture
def paypal(sandbox: RunningSandbox) -> Iterator[ProviderBench]:
    """PayPal's bench."""
    yield ProviderBench(sandbox)
    sandbox.state.faults.clear()


def refusal(issue: str, status: int = 422) -> ProviderResponse:
    """Return PayPal's answer with one issue."""
    return ProviderResponse(status, {"name": "UNPROCESSABLE_ENTITY", "details": [{"issue": issue}], "debug_id": "x"})


# --- what is kept of them ---


@pytest.mark.parametrize("strange", ["x" * 65, "Jo Example", "jo@example.org", "", 7, ["x"], {"x": 1}, "\u00e4"])
def test_only_a_word_is_a_code(strange: Any) -> None:
    response = {"response_code": strange, "payment_advice_code": strange}
    declined = {"status": "DECLINED", "processor_response": response, "status_details": {"reason": strange}}
    for network in (None, "VISA"):
        decline = decline_of(declined | {"network_transaction_reference": {"network": network}})
        assert decline == Decline("DECLINED", DeclineClass.SOFT)
    refund = outcome_of_refund({"id": "R1", "status": "FAILED", "status_details": {"reason": strange}})
    assert refund == Declined("R1", Decline("FAILED", DeclineClass.HARD))


def test_codes_fit_their_columns() -> None:
    response = {"response_code": "5120", "payment_advice_code": "x" * 21}
    decline = decline_of({"status": "DECLINED", "processor_response": response})
    assert (decline.decline_code, decline.network_advice_code) == ("5120", None)


# --- the tables are closed ---


def test_every_issue_of_our_operations_is_decided() -> None:
    assert set(paypal_spec.issues()) <= set(ISSUES)


def test_no_issue_is_made_up() -> None:
    listed = paypal_spec.issues()
    assert not listed or set(ISSUES) <= set(listed)


def test_every_processor_code_is_decided_once() -> None:
    codes = [code for text in _CODES.values() for code in text.split()]
    assert len(codes) == len(set(codes))
    assert not paypal_spec.response_codes() or set(paypal_spec.response_codes()) == set(RESPONSE_CODES)


@pytest.mark.parametrize("issue", sorted(ISSUES))
def test_an_issue_becomes_what_the_table_says(issue: str) -> None:
    outcome, means = outcome_of_refusal(refusal(issue), "5O1"), ISSUES[issue]
    if isinstance(means, DeclineClass):
        assert isinstance(outcome, Declined | AuthenticationRequired)
        assert (outcome.decline.code, outcome.decline.decline_class) == (issue, means)
    elif means is FailureKind.UNKNOWN:
        assert outcome == InDoubt(issue, "5O1")
    else:
        assert outcome == NotSent(issue, means is FailureKind.NOT_EXECUTED, "5O1")


@pytest.mark.parametrize(
    ("response", "expected"),
    [
        (ProviderResponse(401, {"error": "invalid_token"}), NotSent("invalid_token")),
        (ProviderResponse(401, refusal("INVALID_ACCOUNT_STATUS").body), NotSent("INVALID_ACCOUNT_STATUS")),
        (ProviderResponse(429, {"name": "RATE_LIMIT_REACHED"}), NotSent("RATE_LIMIT_REACHED")),
        (refusal("PREVIOUS_REQUEST_IN_PROGRESS", 409), InDoubt("PREVIOUS_REQUEST_IN_PROGRESS")),
        (ProviderResponse(500, {"name": "INTERNAL_SERVER_ERROR"}), InDoubt("INTERNAL_SERVER_ERROR")),
        (ProviderResponse(503, None), InDoubt("http_503")),
        (ProviderResponse(302, None), InDoubt("http_302")),
        (ProviderResponse(400, {"name": "INVALID_REQUEST"}), NotSent("INVALID_REQUEST", is_retryable=False)),
        (ProviderResponse(403, refusal("PERMISSION_DENIED").body), NotSent("PERMISSION_DENIED", is_retryable=False)),
        (refusal("OF_TOMORROW", 400), NotSent("OF_TOMORROW", is_retryable=False)),
        (refusal("OF_TOMORROW"), InDoubt("OF_TOMORROW")),
        (refusal("INVALID_RESOURCE_ID", 404), InDoubt("INVALID_RESOURCE_ID")),
        (ProviderResponse(422, ["what"]), InDoubt("http_422")),
        (ProviderResponse(422, {"details": 7, "name": "jo@example.org sent 12.30"}), InDoubt("http_422")),
        (ProviderResponse(422, {"details": [7, {}, {"issue": None}]}), InDoubt("http_422")),
    ],
)
def test_an_answer_by_its_status(response: ProviderResponse, expected: Any) -> None:
    assert outcome_of_refusal(response, None) == expected


def test_of_several_issues_a_known_one_counts() -> None:
    body = {"details": [{"issue": "NEW_ONE"}, {"issue": "TRANSACTION_REFUSED"}]}
    assert issue_of(ProviderResponse(422, body)) == "TRANSACTION_REFUSED"


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ({"processor_response": {"response_code": "5120"}}, DeclineClass.SOFT),
        ({"processor_response": {"response_code": "5650"}}, DeclineClass.NEEDS_CUSTOMER),
        ({"processor_response": {"response_code": "9520"}}, DeclineClass.HARD),
        ({"processor_response": {"response_code": "5120", "payment_advice_code": "03"}}, DeclineClass.HARD),
        ({"processor_response": {"response_code": "5120", "payment_advice_code": "02"}}, DeclineClass.SOFT),
        (
            {
                "processor_response": {"response_code": "5120", "payment_advice_code": "02"},
                "network_transaction_reference": {"network": "VISA"},
            },
            DeclineClass.HARD,
        ),
        (
            {
                "processor_response": {"payment_advice_code": "03"},
                "network_transaction_reference": {"network": "VISA"},
            },
            DeclineClass.CONSENT_WITHDRAWN,
        ),
        ({"status_details": {"reason": "DECLINED_BY_RISK_FRAUD_FILTERS"}}, DeclineClass.HARD),
        ({"processor_response": {"response_code": "new1"}}, DeclineClass.SOFT),
        ({}, DeclineClass.SOFT),
    ],
)
def test_why_a_capture_was_declined(said: dict[str, Any], expected: DeclineClass) -> None:
    assert decline_of({"status": "DECLINED", **said}).decline_class is expected


# --- through the gateway ---


def approved(paypal: ProviderBench, course: str, verb: Verb = Verb.CHARGE) -> AttemptRequest:
    """Return an approved order that takes this course."""
    asked = attempt(paypal, verb)
    paypal.set_course(asked.reference, course)
    return asked


@pytest.mark.parametrize("verb", [Verb.CHARGE, Verb.AUTHORIZE])
@pytest.mark.parametrize("issue", ["INSTRUMENT_DECLINED", "PAYER_ACTION_REQUIRED"])
def test_the_buyer_goes_back_and_chooses_other_funding(
    paypal: ProviderBench, books: Books, issue: str, verb: Verb
) -> None:
    gateway, asked = paypal.gateway(), approved(paypal, issue, verb)
    outcome = gateway.charge(asked, lambda _: None)
    assert isinstance(outcome, ActionRequired)
    assert asked.reference in outcome.next_action["redirect_url"]
    assert gateway.retrieve(asked) == outcome
    assert books.movements(asked.payment_id) == []

    paypal.let_customer_act(asked.reference, is_good=True)
    assert gateway.retrieve(asked) == CustomerApproved(asked.reference)
    assert isinstance(gateway.charge(asked, lambda _: None), Approved)
    assert len(books.movements(asked.payment_id)) == 1


@pytest.mark.parametrize("issue", sorted(SEND_BACK))
@pytest.mark.parametrize("is_off_session", [True, False])
def test_a_saved_account_that_is_refused_is_a_decline(
    paypal: ProviderBench, books: Books, issue: str, is_off_session: bool
) -> None:
    asked = new_order(paypal, method_token=f"sandbox_{issue}", is_off_session=is_off_session)
    outcome = paypal.gateway().charge(asked, lambda _: None)
    assert isinstance(outcome, Declined | AuthenticationRequired)
    assert outcome.decline.decline_class is SEND_BACK[issue]
    assert books.movements(asked.payment_id) == []


def test_the_buyer_goes_back_when_he_has_not_approved(paypal: ProviderBench, books: Books) -> None:
    gateway, asked = paypal.gateway(), new_order(paypal)
    waiting = gateway.charge(asked, lambda _: None)
    assert gateway.charge(replace(asked, reference=waiting.reference), lambda _: None) == waiting
    assert books.movements(asked.payment_id) == []


@pytest.mark.parametrize("issue", ["TRANSACTION_REFUSED", "PAYER_ACCOUNT_RESTRICTED", "TRANSACTION_LIMIT_EXCEEDED"])
def test_a_refused_order_is_a_decline(paypal: ProviderBench, books: Books, issue: str) -> None:
    asked = approved(paypal, issue)
    outcome = paypal.gateway().charge(asked, lambda _: None)
    assert isinstance(outcome, Declined)
    assert (outcome.reference, outcome.decline.code) == (asked.reference, issue)
    assert books.movements(asked.payment_id) == []


@pytest.mark.parametrize("issue", ["PAYEE_ACCOUNT_RESTRICTED", "NOT_ENABLED_FOR_CARD_PROCESSING"])
def test_an_account_of_ours_at_fault_is_not_tried_again(paypal: ProviderBench, issue: str) -> None:
    asked = approved(paypal, issue)
    assert paypal.gateway().charge(asked, lambda _: None) == NotSent(issue, False, asked.reference)


def test_an_unknown_vault_id_is_a_decline(paypal: ProviderBench, books: Books) -> None:
    asked = new_order(paypal, method_token="none", is_off_session=True)
    outcome = paypal.gateway().charge(asked, lambda _: None)
    assert isinstance(outcome, Declined)
    assert outcome.decline.code == "TOKEN_ID_NOT_FOUND"
    assert books.movements(asked.payment_id) == []


def test_an_invoice_that_was_paid_before_is_looked_up(paypal: ProviderBench, books: Books) -> None:
    """A second order of the same attempt, made after PayPal forgot the first one's request id."""
    gateway, first = paypal.gateway(), attempt(paypal)
    assert isinstance(gateway.charge(first, lambda _: None), Approved)
    second = attempt(paypal, payment_id=first.payment_id)
    forgotten = paypal.account.orders[second.reference]
    forgotten.unit["invoice_id"] = first.attempt_id
    assert gateway.charge(second, lambda _: None) == InDoubt("DUPLICATE_INVOICE_ID", second.reference)
    assert books.movements(first.payment_id) == [("charge", 1000)]


def test_more_than_was_authorized_is_not_asked_for(paypal: ProviderBench) -> None:
    """PayPal itself would take it: up to 15 percent more."""
    gateway = paypal.gateway()
    asked = operation(charged(paypal, gateway, Verb.AUTHORIZE), Verb.CAPTURE, 1100)
    assert gateway.capture(asked) == NotSent("amount_above_authorized", False, asked.charge_reference)


@pytest.mark.parametrize("course", ["5120", "9520"])
def test_a_denied_authorization_is_a_decline(paypal: ProviderBench, books: Books, course: str) -> None:
    gateway, asked = paypal.gateway(), approved(paypal, course, Verb.AUTHORIZE)
    outcome = gateway.charge(asked, lambda _: None)
    assert isinstance(outcome, Declined)
    assert outcome.decline.decline_code == course
    assert gateway.retrieve(asked) == outcome
    assert books.movements(asked.payment_id) == []


def test_a_refund_while_the_capture_is_pending_comes_later(paypal: ProviderBench) -> None:
    gateway, asked = paypal.gateway(), approved(paypal, "PENDING")
    gateway.charge(asked, lambda _: None)
    assert gateway.refund(operation(asked, Verb.REFUND)) == NotSent("PENDING_CAPTURE")
