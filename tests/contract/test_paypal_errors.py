"""PayPal's refusals: a closed table decides each issue and code, and a refused call moves nothing."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from domain.decline import Decline, DeclineClass
from domain.declines.paypal import RESPONSE_CODES
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
from gateways.failures import FailureKind
from gateways.json_api import ProviderResponse
from gateways.paypal.errors import (
    ISSUES,
    SEND_BACK,
    issue_of,
    outcome_of_refusal,
)
from gateways.paypal.outcomes import outcome_of_refund
from gateways.paypal.responses import Capture, Refund, decline_of

from . import paypal_spec
from .bench import Books, new_attempt
from .bench import ready_attempt as approved_order
from .benches.paypal import ProviderBench
from .test_gateway_operations import charged, operation


def refusal(issue: str, status: int = 422) -> ProviderResponse:
    """Return PayPal's refusal with one issue."""
    return ProviderResponse(status, {"name": "UNPROCESSABLE_ENTITY", "details": [{"issue": issue}], "debug_id": "x"})


def declined(**codes: Any) -> Capture:
    """Return a declined capture with these codes."""
    amount = {"value": "10.00", "currency_code": "EUR"}
    return Capture.parse({"id": "C1", "status": "DECLINED", "amount": amount, **codes})


# --- what is stored of them ---


@pytest.mark.parametrize("strange", ["x" * 65, "Jo Example", "jo@example.org", "", 7, ["x"], {"x": 1}, "\u00e4"])
def test_only_a_word_is_a_code(strange: Any) -> None:
    codes = {
        "processor_response": {"response_code": strange, "payment_advice_code": strange},
        "status_details": {"reason": strange},
    }
    for network in (None, "VISA"):
        decline = decline_of(declined(**codes, network_transaction_reference={"network": network}))
        assert decline == Decline("DECLINED", DeclineClass.SOFT)
    refund = Refund.parse({"id": "R1", "status": "FAILED", "status_details": {"reason": strange}})
    assert outcome_of_refund(refund) == Declined("R1", Decline("FAILED", DeclineClass.HARD))


def test_codes_fit_their_columns() -> None:
    response = {"response_code": "5120", "payment_advice_code": "x" * 21}
    decline = decline_of(declined(processor_response=response))
    assert (decline.decline_code, decline.network_advice_code) == ("5120", None)


# --- the tables are closed ---


def test_every_issue_of_a_used_operation_is_in_the_table() -> None:
    assert set(paypal_spec.issues()) <= set(ISSUES)


def test_no_issue_of_the_table_is_invented() -> None:
    documented = paypal_spec.issues()
    assert not documented or set(ISSUES) <= set(documented)


def test_every_processor_code_is_in_the_table() -> None:
    assert not paypal_spec.response_codes() or set(paypal_spec.response_codes()) == set(RESPONSE_CODES)


@pytest.mark.parametrize("issue", sorted(ISSUES))
def test_an_issue_becomes_what_the_table_says(issue: str) -> None:
    outcome, meaning = outcome_of_refusal(refusal(issue), "5O1"), ISSUES[issue]
    if isinstance(meaning, DeclineClass):
        assert isinstance(outcome, Declined | AuthenticationRequired)
        assert (outcome.decline.code, outcome.decline.decline_class) == (issue, meaning)
    elif meaning is FailureKind.UNKNOWN:
        assert outcome == InDoubt(issue, "5O1")
    else:
        assert outcome == NotSent(issue, meaning is FailureKind.NOT_EXECUTED, "5O1")


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
def test_the_status_decides_a_refusal_without_a_known_issue(response: ProviderResponse, expected: Any) -> None:
    assert outcome_of_refusal(response, None) == expected


def test_of_several_issues_a_known_one_counts() -> None:
    body = {"details": [{"issue": "NEW_ONE"}, {"issue": "TRANSACTION_REFUSED"}]}
    assert issue_of(ProviderResponse(422, body)) == "TRANSACTION_REFUSED"


@pytest.mark.parametrize(
    ("codes", "expected"),
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
def test_the_strictest_code_decides_the_class_of_a_decline(codes: dict[str, Any], expected: DeclineClass) -> None:
    assert decline_of(declined(**codes)).decline_class is expected


# --- through the gateway ---


@pytest.mark.parametrize("verb", [Verb.CHARGE, Verb.AUTHORIZE])
@pytest.mark.parametrize("issue", ["INSTRUMENT_DECLINED", "PAYER_ACTION_REQUIRED"])
def test_the_buyer_goes_back_and_chooses_other_funding(
    paypal: ProviderBench, books: Books, issue: str, verb: Verb
) -> None:
    gateway, attempt = paypal.gateway(), paypal.approved_in_scenario(issue, verb)
    outcome = gateway.charge(attempt, lambda _: None)
    assert isinstance(outcome, ActionRequired)
    assert attempt.reference in outcome.next_action["redirect_url"]
    assert gateway.retrieve(attempt) == outcome
    assert books.movements(attempt.payment_id) == []

    paypal.let_customer_act(attempt.reference, is_good=True)
    assert gateway.retrieve(attempt) == CustomerApproved(attempt.reference)
    assert isinstance(gateway.charge(attempt, lambda _: None), Approved)
    assert len(books.movements(attempt.payment_id)) == 1


@pytest.mark.parametrize("issue", sorted(SEND_BACK))
@pytest.mark.parametrize("is_off_session", [True, False])
def test_a_saved_account_that_is_refused_is_a_decline(
    paypal: ProviderBench, books: Books, issue: str, is_off_session: bool
) -> None:
    attempt = new_attempt(paypal, method_token=f"sandbox_{issue}", is_off_session=is_off_session)
    outcome = paypal.gateway().charge(attempt, lambda _: None)
    assert isinstance(outcome, Declined | AuthenticationRequired)
    assert outcome.decline.decline_class is ISSUES[issue]
    assert books.movements(attempt.payment_id) == []


def test_a_buyer_who_has_not_approved_is_sent_back(paypal: ProviderBench, books: Books) -> None:
    gateway, attempt = paypal.gateway(), new_attempt(paypal)
    waiting = gateway.charge(attempt, lambda _: None)
    assert gateway.charge(replace(attempt, reference=waiting.reference), lambda _: None) == waiting
    assert books.movements(attempt.payment_id) == []


@pytest.mark.parametrize("issue", ["TRANSACTION_REFUSED", "PAYER_ACCOUNT_RESTRICTED", "TRANSACTION_LIMIT_EXCEEDED"])
def test_a_refused_order_is_a_decline(paypal: ProviderBench, books: Books, issue: str) -> None:
    attempt = paypal.approved_in_scenario(issue)
    outcome = paypal.gateway().charge(attempt, lambda _: None)
    assert isinstance(outcome, Declined)
    assert (outcome.reference, outcome.decline.code) == (attempt.reference, issue)
    assert books.movements(attempt.payment_id) == []


@pytest.mark.parametrize("issue", ["PAYEE_ACCOUNT_RESTRICTED", "NOT_ENABLED_FOR_CARD_PROCESSING"])
def test_a_fault_of_our_own_account_is_not_retryable(paypal: ProviderBench, issue: str) -> None:
    attempt = paypal.approved_in_scenario(issue)
    assert paypal.gateway().charge(attempt, lambda _: None) == NotSent(issue, False, attempt.reference)


def test_an_unknown_vault_id_is_a_decline(paypal: ProviderBench, books: Books) -> None:
    attempt = new_attempt(paypal, method_token="none", is_off_session=True)
    outcome = paypal.gateway().charge(attempt, lambda _: None)
    assert isinstance(outcome, Declined)
    assert outcome.decline.code == "TOKEN_ID_NOT_FOUND"
    assert books.movements(attempt.payment_id) == []


def test_an_invoice_that_was_already_paid_is_doubt(paypal: ProviderBench, books: Books) -> None:
    """The second order of the attempt was created after PayPal had dropped the request id of the first."""
    gateway, first = paypal.gateway(), approved_order(paypal)
    assert isinstance(gateway.charge(first, lambda _: None), Approved)
    second = approved_order(paypal, payment_id=first.payment_id)
    order = paypal.account.orders[second.reference]
    order.unit["invoice_id"] = first.attempt_id
    assert gateway.charge(second, lambda _: None) == InDoubt("DUPLICATE_INVOICE_ID", second.reference)
    assert books.movements(first.payment_id) == [("charge", 1000)]


def test_a_capture_above_the_authorization_is_not_sent(paypal: ProviderBench) -> None:
    """PayPal itself would take up to 15 percent more."""
    gateway = paypal.gateway()
    capture = operation(charged(paypal, gateway, Verb.AUTHORIZE), Verb.CAPTURE, 1100)
    assert gateway.capture(capture) == NotSent("amount_above_authorized", False, capture.charge_reference)


@pytest.mark.parametrize("scenario", ["5120", "9520"])
def test_a_denied_authorization_is_a_decline(paypal: ProviderBench, books: Books, scenario: str) -> None:
    gateway, attempt = paypal.gateway(), paypal.approved_in_scenario(scenario, Verb.AUTHORIZE)
    outcome = gateway.charge(attempt, lambda _: None)
    assert isinstance(outcome, Declined)
    assert outcome.decline.decline_code == scenario
    assert gateway.retrieve(attempt) == outcome
    assert books.movements(attempt.payment_id) == []


def test_a_refund_while_the_capture_is_pending_comes_later(paypal: ProviderBench) -> None:
    gateway, attempt = paypal.gateway(), paypal.approved_in_scenario("PENDING")
    gateway.charge(attempt, lambda _: None)
    assert gateway.refund(operation(attempt, Verb.REFUND)) == NotSent("PENDING_CAPTURE")
