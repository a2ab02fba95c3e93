"""Afterpay's error responses: every documented code has a kind, and an unknown one proves nothing."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
import requests

from domain.outcome import InDoubt, NotSent
from gateways.afterpay.errors import ERRORS, error_response
from gateways.failures import CallFailed, FailureKind
from gateways.json_api import ProviderResponse
from sandbox.server import RunningSandbox

from .bench import SECONDS
from .specifications import files_of

SPECIFICATIONS = files_of("afterpay")
# The codes of the documents, read 2026-11-23. Where the OpenAPI documents are at hand, their codes are added.
DOCUMENTED = frozenset(
    """error invalid_amount invalid_json invalid_object invalid_order_transaction_status invalid_state invalid_token
    not_found payment_captured payment_expired payment_voided precondition_failed refund_timelimit_exceeded
    unauthorized unsupported_currency unsupported_payment_type""".split()
)
TOKEN = "003.token"


def codes_of(specification: str) -> set[str]:
    """Return the error codes in the descriptions of the responses: in sentences and in the rows of tables."""
    sentences = re.findall(r"Error code `(\w+)`", specification)
    tables = re.findall(r"errorCode \| Description \|\\n((?:\|[^|]*\|[^|]*\|(?:\\n)?)+)", specification)
    return {*sentences, *(code for table in tables for code in re.findall(r"\\n\| (\w+) \|", "\\n" + table))}


CODES = DOCUMENTED.union(*(codes_of(file.read_text(encoding="utf-8")) for file in SPECIFICATIONS))


def refused(status: int, code: str | None, message: str = "no") -> ProviderResponse:
    """Return an error response of Afterpay."""
    return ProviderResponse(status, {"errorCode": code, "errorId": "1", "message": message, "httpStatusCode": status})


@pytest.mark.parametrize("code", sorted(CODES))
def test_every_documented_code_is_in_the_table(code: str) -> None:
    assert code in ERRORS


def test_every_code_of_the_table_is_documented() -> None:
    assert set(ERRORS) <= CODES


def test_codes_are_read_from_tables_and_sentences() -> None:
    table = "| errorCode | Description |\n| --- | --- |\n| one | First. |\n| two | Second. |\n"
    assert codes_of(json.dumps({"description": table + "Error code `three`."})) == {"one", "two", "three"}


@pytest.mark.parametrize("code", sorted(ERRORS))
@pytest.mark.parametrize("status", [402, 410, 412, 422])
def test_no_error_response_is_an_approval_or_a_decline(code: str, status: int) -> None:
    outcome = error_response(refused(status, code)).outcome(TOKEN)
    assert isinstance(outcome, InDoubt | NotSent)
    assert outcome.reference == TOKEN


@pytest.mark.parametrize("code", ["invalid_object", "invalid_amount", "unsupported_currency", "invalid_json"])
def test_a_request_at_fault_is_not_retried(code: str) -> None:
    outcome = error_response(refused(422, code)).outcome(TOKEN)
    assert outcome == NotSent(code, is_retryable=False, reference=TOKEN)


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (402, "invalid_token"),
        (404, "not_found"),
        (410, "payment_captured"),
        (412, "payment_voided"),
        (412, "payment_expired"),
        (412, "invalid_state"),
        (412, "precondition_failed"),
        (412, "error"),
    ],
)
def test_an_unexpected_state_is_doubt(status: int, code: str) -> None:
    assert error_response(refused(status, code)).outcome(TOKEN) == InDoubt(code, TOKEN)


@pytest.mark.parametrize("code", [None, "brand_new", "invalid_object"])
def test_a_conflict_is_doubt(code: str | None) -> None:
    """The first request with this id is still running and may be moving the money."""
    assert isinstance(error_response(refused(409, code)).outcome(TOKEN), InDoubt)


@pytest.mark.parametrize("status", [401, 403, 429])
def test_a_request_that_is_refused_before_execution_may_be_retried(status: int) -> None:
    outcome = error_response(refused(status, "brand_new")).outcome(TOKEN)
    assert outcome == NotSent(f"http_{status}", reference=TOKEN)


@pytest.mark.parametrize("status", [200, 204, 302, 402, 404, 408, 418, 500, 502, 503, 504])
@pytest.mark.parametrize("code", [None, "brand_new", 7, {"a": 1}])
def test_an_undocumented_status_is_doubt(status: int, code: Any) -> None:
    assert error_response(refused(status, code)).outcome(TOKEN) == InDoubt(f"http_{status}", TOKEN)


@pytest.mark.parametrize("status", [500, 502, 503])
def test_a_code_in_a_server_error_proves_nothing(status: int) -> None:
    assert isinstance(error_response(refused(status, "invalid_object")).outcome(TOKEN), InDoubt)


def test_a_reason_contains_no_text_of_afterpay() -> None:
    outcome = error_response(refused(422, "jo@example.org", "jo@example.org")).outcome(TOKEN)
    assert outcome == NotSent("http_422", is_retryable=False, reference=TOKEN)


@pytest.mark.parametrize(("kind", "outcome"), [(FailureKind.UNKNOWN, InDoubt), (FailureKind.NOT_EXECUTED, NotSent)])
def test_a_lost_response_is_doubt_and_a_refused_connection_is_not_sent(kind: FailureKind, outcome: type) -> None:
    assert isinstance(CallFailed("no_answer", kind).outcome(TOKEN), outcome)


def test_the_sandbox_returns_the_documented_errors(sandbox: RunningSandbox) -> None:
    url, good = f"{sandbox.url}/afterpay/v2", ("sandbox-au", "key-of-the-sandbox")
    errors = [
        requests.get(f"{url}/configuration", timeout=SECONDS),
        requests.get(f"{url}/configuration", auth=("40999", "live"), timeout=SECONDS),
        requests.post(f"{url}/checkouts", data=b"{", auth=good, timeout=SECONDS),
        requests.post(f"{url}/checkouts", json={}, auth=good, timeout=SECONDS),
        requests.get(f"{url}/payments/token:none", auth=good, timeout=SECONDS),
        requests.get(f"{url}/checkouts/none", auth=good, timeout=SECONDS),
        requests.post(f"{url}/payments/capture", json={"token": "none"}, auth=good, timeout=SECONDS),
        requests.post(f"{url}/payments/auth", json={"token": "t", "requestId": "7"}, auth=good, timeout=SECONDS),
    ]
    assert [(response.status_code, response.json()["errorCode"]) for response in errors] == [
        (401, "unauthorized"),
        (401, "unauthorized"),
        (400, "invalid_json"),
        (422, "invalid_object"),
        (404, "not_found"),
        (412, "precondition_failed"),
        (402, "invalid_token"),
        (422, "invalid_object"),
    ]
    assert all(set(response.json()) == {"errorCode", "errorId", "message", "httpStatusCode"} for response in errors)
