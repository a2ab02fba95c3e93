"""Afterpay's refusals: every documented code is decided by the table, and no answer is taken for what it is not."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import Any

import pytest
import requests

from domain.decline import DeclineClass
from domain.outcome import Approved, Declined, InDoubt, NotSent
from domain.payment import Verb
from gateways.afterpay.answers import ERRORS, failure_of
from gateways.afterpay.gateway import AfterpayGateway
from gateways.base import Order
from gateways.rest import Answer, CallFailed, Fate
from sandbox.server import RunningSandbox

from .afterpay_wire import Wire
from .bench import SECONDS, Books, new_order, order
from .benches.afterpay import ProviderBench as AfterpayBench
from .specifications import files_of
from .test_gateway_operations import call, charged, operation

SPECIFICATIONS = files_of("afterpay")
# What the documents name, read 2026-11-23; the OpenAPI documents are read as well where they are at hand.
DOCUMENTED = frozenset(
    """error invalid_amount invalid_json invalid_object invalid_order_transaction_status invalid_state invalid_token
    not_found payment_captured payment_expired payment_voided precondition_failed refund_timelimit_exceeded
    unauthorized unsupported_currency unsupported_payment_type""".split()
)
TOKEN = "003.token"


def codes_of(specification: str) -> set[str]:
    """Return the error codes in the descriptions of the answers: in sentences and in the rows of tables."""
    sentences = re.findall(r"Error code `(\w+)`", specification)
    tables = re.findall(r"errorCode \| Description \|\\n((?:\|[^|]*\|[^|]*\|(?:\\n)?)+)", specification)
    return {*sentences, *(code for table in tables for code in re.findall(r"\\n\| (\w+) \|", "\\n" + table))}


FOUND = DOCUMENTED.union(*(codes_of(file.read_text(encoding="utf-8")) for file in SPECIFICATIONS))


def refused(status: int, code: str | None, message: str = "no") -> Answer:
    return Answer(status, {"errorCode": code, "errorId": "1", "message": message, "httpStatusCode": status})


@pytest.fixture
def gateway(afterpay: AfterpayBench, wire: Wire) -> AfterpayGateway:
    """Afterpay's gateway."""
    return afterpay.gateway(base=wire.url)


# --- the table ---


@pytest.mark.parametrize("code", sorted(FOUND))
def test_every_documented_code_has_a_line_of_its_own(code: str) -> None:
    assert code in ERRORS


def test_no_code_of_the_table_is_invented() -> None:
    assert set(ERRORS) <= FOUND


def test_tables_and_sentences_are_understood() -> None:
    table = "| errorCode | Description |\n| --- | --- |\n| one | First. |\n| two | Second. |\n"
    assert codes_of(json.dumps({"description": table + "Error code `three`."})) == {"one", "two", "three"}


@pytest.mark.parametrize("code", sorted(ERRORS))
@pytest.mark.parametrize("status", [402, 410, 412, 422])
def test_no_refusal_is_taken_for_an_answer(code: str, status: int) -> None:
    outcome = failure_of(refused(status, code)).outcome(TOKEN)
    assert isinstance(outcome, InDoubt | NotSent)
    assert outcome.reference == TOKEN


@pytest.mark.parametrize("code", ["invalid_object", "invalid_amount", "unsupported_currency", "invalid_json"])
def test_a_request_at_fault_is_not_tried_again(code: str) -> None:
    outcome = failure_of(refused(422, code)).outcome(TOKEN)
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
def test_a_state_that_we_did_not_expect_is_looked_up(status: int, code: str) -> None:
    assert failure_of(refused(status, code)).outcome(TOKEN) == InDoubt(code, TOKEN)


@pytest.mark.parametrize("code", [None, "brand_new", "invalid_object"])
def test_while_the_first_request_runs_nothing_is_known(code: str | None) -> None:
    """409: it may be moving the money at this moment."""
    assert isinstance(failure_of(refused(409, code)).outcome(TOKEN), InDoubt)


@pytest.mark.parametrize("status", [401, 403, 429])
def test_what_is_refused_before_execution_may_come_again(status: int) -> None:
    outcome = failure_of(refused(status, "brand_new")).outcome(TOKEN)
    assert outcome == NotSent(f"http_{status}", reference=TOKEN)


@pytest.mark.parametrize("status", [200, 204, 302, 402, 404, 408, 418, 500, 502, 503, 504])
@pytest.mark.parametrize("code", [None, "brand_new", 7, {"a": 1}])
def test_what_nobody_documents_leaves_doubt(status: int, code: Any) -> None:
    assert failure_of(refused(status, code)).outcome(TOKEN) == InDoubt(f"http_{status}", TOKEN)


@pytest.mark.parametrize("status", [500, 502, 503])
def test_a_code_in_a_server_error_proves_nothing(status: int) -> None:
    assert isinstance(failure_of(refused(status, "invalid_object")).outcome(TOKEN), InDoubt)


def test_nothing_that_afterpay_writes_gets_into_a_reason() -> None:
    outcome = failure_of(refused(422, "jo@example.org", "jo@example.org")).outcome(TOKEN)
    assert outcome == NotSent("http_422", is_retryable=False, reference=TOKEN)


@pytest.mark.parametrize(("fate", "kind"), [(Fate.UNKNOWN, InDoubt), (Fate.NOT_EXECUTED, NotSent)])
def test_only_a_connection_that_was_never_made_was_not_sent(fate: Fate, kind: type) -> None:
    assert isinstance(CallFailed("no_answer", fate).outcome(TOKEN), kind)


# --- answers to a charge ---


def payment(asked: Order, **changes: Any) -> dict[str, Any]:
    """Return a payment as Afterpay shows it."""
    money = {"amount": "10.00", "currency": "AUD"}
    known = {
        "id": "100101",
        "token": asked.reference,
        "status": "APPROVED",
        "paymentState": "CAPTURED",
        "originalAmount": money,
        "openToCaptureAmount": {"amount": "0.00", "currency": "AUD"},
        "refunds": [],
        "events": [{"type": "CAPTURED", "amount": money, "paymentEventMerchantReference": None}],
    }
    return known | changes


DECLINED = {"status": "DECLINED", "paymentState": "CAPTURE_DECLINED", "events": []}


@pytest.mark.parametrize("status", [200, 201])
def test_an_approval(afterpay: AfterpayBench, gateway: AfterpayGateway, wire: Wire, status: int) -> None:
    asked = order(afterpay)
    wire.answers["/capture"] = (status, payment(asked))
    assert gateway.charge(asked, lambda _: None) == Approved(asked.reference, authorized=1000, captured=1000)


@pytest.mark.parametrize("status", [200, 201, 402])
def test_a_decline_comes_with_a_payment(
    afterpay: AfterpayBench, gateway: AfterpayGateway, wire: Wire, status: int
) -> None:
    asked = order(afterpay)
    wire.answers["/capture"] = (status, payment(asked, **DECLINED))
    outcome = gateway.charge(asked, lambda _: None)
    assert isinstance(outcome, Declined)
    assert outcome.decline.decline_class is DeclineClass.HARD


AUD, USD = ({"amount": "10.00", "currency": currency} for currency in ("AUD", "USD"))


@pytest.mark.parametrize(
    ("status", "changes"),
    [
        (402, {}),
        (201, {"token": "another"}),
        (201, {"status": "DECLINED"}),
        (201, DECLINED | {"status": "APPROVED"}),
        (201, {"originalAmount": AUD | {"amount": "10.01"}}),
        (201, {"originalAmount": USD}),
        (201, {"originalAmount": AUD | {"amount": 10.00}}),
        (201, {"originalAmount": AUD | {"amount": "1e1"}}),
        (201, {"originalAmount": AUD | {"amount": "-10.00"}}),
        (201, {"originalAmount": None}),
        (201, {"events": []}),
        (201, {"events": None}),
        (201, {"events": [{"type": "CAPTURED", "amount": USD}]}),
        (201, {"paymentState": "AUTH_APPROVED", "events": []}),
        (201, {"paymentState": "AUTH_APPROVED", "events": [{"type": "AUTH_APPROVED", "expires": "soon"}]}),
        (201, {"paymentState": "AUTH_APPROVED", "events": [{"type": "AUTH_APPROVED", "expires": "2026-12-01"}]}),
        (201, {"paymentState": "INVENTED"}),
        (201, {"paymentState": None}),
        (201, {"paymentState": ["CAPTURED"]}),
        (500, {}),
        (302, {}),
    ],
    ids=str,
)
@pytest.mark.parametrize("verb", [Verb.CHARGE, Verb.AUTHORIZE])
def test_an_answer_that_makes_no_sense_is_doubt(
    afterpay: AfterpayBench, gateway: AfterpayGateway, wire: Wire, status: int, changes: dict[str, Any], verb: Verb
) -> None:
    asked = order(afterpay, verb)
    wire.answers["/capture" if verb is Verb.CHARGE else "/auth"] = (status, payment(asked, **changes))
    outcome = gateway.charge(asked, lambda _: None)
    assert isinstance(outcome, InDoubt)
    assert outcome.reference == asked.reference


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b"{}", b"\xff", b"[" * 100_000], ids=lambda body: body[:9])
@pytest.mark.parametrize("status", [200, 201, 402, 412])
def test_no_json_is_doubt(
    afterpay: AfterpayBench, gateway: AfterpayGateway, wire: Wire, body: bytes, status: int
) -> None:
    asked = order(afterpay)
    wire.answers["/capture"] = (status, body)
    assert isinstance(gateway.charge(asked, lambda _: None), InDoubt)


@pytest.mark.parametrize("code", ["invalid_token", "invalid_order_transaction_status"])
def test_a_server_error_with_a_known_code_is_doubt(
    afterpay: AfterpayBench, gateway: AfterpayGateway, wire: Wire, code: str
) -> None:
    asked = order(afterpay)
    wire.answers["/capture"] = (500, refused(500, code).body)
    assert isinstance(gateway.charge(asked, lambda _: None), InDoubt)


def test_in_progress_is_doubt_until_the_payment_shows(
    afterpay: AfterpayBench, gateway: AfterpayGateway, wire: Wire, books: Books
) -> None:
    asked = order(afterpay)
    wire.answers["/capture"] = (409, refused(409, "conflict").body)
    assert gateway.charge(asked, lambda _: None) == InDoubt("http_409", asked.reference)
    assert isinstance(gateway.charge(asked, lambda _: None), Approved)
    assert books.movements(asked.payment_id) == [("charge", 1000)]


def test_a_redirect_is_not_followed(afterpay: AfterpayBench, gateway: AfterpayGateway, wire: Wire) -> None:
    wire.answers["/checkouts"] = (307, {})
    assert gateway.charge(new_order(afterpay), lambda _: None) == NotSent("http_307")
    assert len(wire.asked) == 1


# --- answers to operations and look-ups ---


@pytest.mark.parametrize("body", [b"", b"{}", b"[]", b'{"paymentState": "CAPTURED"}', b'{"refundId": "1"}'])
@pytest.mark.parametrize("verb", [Verb.CAPTURE, Verb.VOID, Verb.REFUND])
def test_an_operation_whose_answer_makes_no_sense_is_doubt(
    afterpay: AfterpayBench, gateway: AfterpayGateway, wire: Wire, verb: Verb, body: bytes
) -> None:
    first = charged(afterpay, gateway, Verb.CHARGE if verb is Verb.REFUND else Verb.AUTHORIZE)
    wire.answers[f"/{verb}"] = (201, body)
    assert isinstance(call(gateway, operation(first, verb)), InDoubt)


@pytest.mark.parametrize("body", [b"", b"{}", b"[]", b'{"id": "1"}', b'{"paymentState": "CAPTURED"}', b"{"])
@pytest.mark.parametrize("verb", [Verb.CHARGE, Verb.AUTHORIZE, Verb.CAPTURE, Verb.REFUND, Verb.VOID])
def test_a_look_up_whose_answer_makes_no_sense_says_nothing(
    afterpay: AfterpayBench, gateway: AfterpayGateway, wire: Wire, verb: Verb, body: bytes
) -> None:
    first = charged(afterpay, gateway)
    asked = replace(first, verb=verb) if verb.is_collecting else operation(first, verb)
    wire.answers[f"token:{first.reference}"] = (200, body)
    outcome = gateway.retrieve(asked)
    assert isinstance(outcome, InDoubt)
    assert outcome.reference == (None if verb is Verb.REFUND else first.reference)


@pytest.mark.parametrize("verb", [Verb.CHARGE, Verb.CAPTURE, Verb.REFUND, Verb.VOID])
def test_another_payment_than_was_asked_for_says_nothing(
    afterpay: AfterpayBench, gateway: AfterpayGateway, wire: Wire, verb: Verb
) -> None:
    first = charged(afterpay, gateway)
    asked = first if verb is Verb.CHARGE else operation(first, verb)
    wire.answers[f"token:{first.reference}"] = (200, payment(first, token="another"))
    assert isinstance(gateway.retrieve(asked), InDoubt)


@pytest.mark.parametrize("verb", [Verb.CAPTURE, Verb.REFUND])
def test_money_without_its_payment_makes_no_sense(
    afterpay: AfterpayBench, gateway: AfterpayGateway, wire: Wire, verb: Verb
) -> None:
    first = charged(afterpay, gateway, Verb.AUTHORIZE)
    for ask in (gateway.retrieve, lambda asked: call(gateway, asked)):
        wire.answers[f"token:{first.reference}"] = (404, refused(404, "not_found").body)
        outcome = ask(operation(first, verb))
        assert isinstance(outcome, InDoubt)
        assert outcome.reason == "no_payment"


def test_the_sandbox_refuses_as_afterpay_does(sandbox: RunningSandbox) -> None:
    url, good = f"{sandbox.url}/afterpay/v2", ("sandbox-au", "key-of-the-sandbox")
    wrong = [
        requests.get(f"{url}/configuration", timeout=SECONDS),
        requests.get(f"{url}/configuration", auth=("40999", "live"), timeout=SECONDS),
        requests.post(f"{url}/checkouts", data=b"{", auth=good, timeout=SECONDS),
        requests.post(f"{url}/checkouts", json={}, auth=good, timeout=SECONDS),
        requests.get(f"{url}/payments/token:none", auth=good, timeout=SECONDS),
        requests.get(f"{url}/checkouts/none", auth=good, timeout=SECONDS),
        requests.post(f"{url}/payments/capture", json={"token": "none"}, auth=good, timeout=SECONDS),
        requests.post(f"{url}/payments/auth", json={"token": "t", "requestId": "7"}, auth=good, timeout=SECONDS),
    ]
    said = [(answer.status_code, answer.json()["errorCode"]) for answer in wrong]
    assert said == [
        (401, "unauthorized"),
        (401, "unauthorized"),
        (400, "invalid_json"),
        (422, "invalid_object"),
        (404, "not_found"),
        (412, "precondition_failed"),
        (402, "invalid_token"),
        (422, "invalid_object"),
    ]
    assert all(set(answer.json()) == {"errorCode", "errorId", "message", "httpStatusCode"} for answer in wrong)
