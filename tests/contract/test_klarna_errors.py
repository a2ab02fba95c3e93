"""Klarna's refusals: every documented code has a meaning, and an answer that makes no sense proves nothing."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest

from domain.decline import DeclineClass
from domain.outcome import Declined, InDoubt, NotSent
from domain.payment import Verb
from gateways.base import Order
from gateways.klarna.client import ERRORS, Failure, Meaning, failure_of
from gateways.klarna.gateway import KlarnaGateway
from gateways.rest import Answer

from .bench import API_URL, SECONDS, new_order
from .benches.klarna import ProviderBench as KlarnaBench
from .served import Asked, answering
from .specifications import files_of
from .test_klarna_operations import HOLDING

# docs.klarna.com, error codes of Payments, Hosted Payment Page and Order Management, read 2026-11-23.
DOCUMENTED = """
    BAD_REQUEST BAD_VALUE CANCEL_NOT_ALLOWED CAPTURE_NOT_ALLOWED CONFLICT INTERNAL_SERVER_ERROR INVALID_ADDRESS
    INVALID_OPERATION MERCHANT_INACTIVE NOT_ALLOWED NOT_FOUND NO_SUCH_CAPTURE NO_SUCH_ORDER REFUND_NOT_ALLOWED REJECTED
    REQUEST_TOO_LARGE SESSION_COMPLETED TEMPORARILY_UNAVAILABLE TOO_MANY_REQUESTS UNAUTHORIZED UNEXPECTED_ERROR
    UNPROCESSABLE_ENTITY
""".split()
SPECIFICATIONS = files_of("klarna")
CODE = re.compile(r'"error_code":\s*\{[^{}]*"example":\s*"([A-Z_]+)"')


def answer(status: int, code: Any = None) -> Answer:
    """Return a refusal as it arrives."""
    shape = {"error_code": code, "error_messages": ["no"], "correlation_id": "1"}
    return Answer(status, shape, {"klarna-correlation-id": "66782175-ae05-44fc-9eb3-eeceadbad271"})


def test_every_documented_code_is_decided() -> None:
    assert sorted(ERRORS) == sorted(DOCUMENTED)


@pytest.mark.parametrize("file", SPECIFICATIONS or [None], ids=lambda file: file.stem if file else "none-found-here")
def test_every_code_of_the_specifications_is_decided(file: Any) -> None:
    codes = set(CODE.findall(file.read_text())) if file else set()
    assert codes <= ERRORS.keys()
    assert codes or file is None or "payments" in file.stem


@pytest.mark.parametrize(
    ("status", "code", "meaning"),
    [
        (400, "BAD_VALUE", Meaning.INVALID),
        (400, None, Meaning.INVALID),
        (400, "NOT_FOUND", Meaning.MISSING),
        (401, None, Meaning.BUSY),
        (401, "BAD_VALUE", Meaning.BUSY),
        (403, "REJECTED", Meaning.DECLINED),
        (403, "CAPTURE_NOT_ALLOWED", Meaning.MOVED_ON),
        (403, "MERCHANT_INACTIVE", Meaning.INVALID),
        (403, None, Meaning.MOVED_ON),
        (404, None, Meaning.MISSING),
        (404, "NO_SUCH_ORDER", Meaning.MISSING),
        (409, "BAD_VALUE", Meaning.MOVED_ON),
        (413, None, Meaning.INVALID),
        (422, "INVALID_ADDRESS", Meaning.INVALID),
        (429, None, Meaning.BUSY),
        (429, "BAD_VALUE", Meaning.BUSY),
        (418, None, Meaning.UNKNOWN),
        (403, "INVENTED_TOMORROW", Meaning.UNKNOWN),
        (500, "BAD_VALUE", Meaning.UNKNOWN),
        (503, "TEMPORARILY_UNAVAILABLE", Meaning.UNKNOWN),
        (302, None, Meaning.UNKNOWN),
    ],
)
def test_status_and_code_together(status: int, code: str | None, meaning: Meaning) -> None:
    failure = failure_of(answer(status, code))
    assert failure.meaning is meaning
    assert failure.reason == (code.lower() if code else f"http_{status}")


@pytest.mark.parametrize("code", [17, ["BAD_VALUE"], "", "Bad Value", "X" * 100, "jo@example.org"])
def test_a_code_that_is_none_is_not_repeated(code: Any) -> None:
    failure = failure_of(answer(400, code))
    assert (failure.meaning, failure.reason) == (Meaning.INVALID, "http_400")


@pytest.mark.parametrize("body", [None, [], "x", 17, {}])
def test_a_body_of_any_kind(body: Any) -> None:
    assert failure_of(Answer(401, body)).reason == "http_401"


@pytest.mark.parametrize("code", [None, "NOT_FOUND"])
@pytest.mark.parametrize("id", [None, "", "no id!"])
def test_a_404_of_another_server_proves_nothing(code: str | None, id: str | None) -> None:
    headers = {} if id is None else {"klarna-correlation-id": id}
    assert failure_of(Answer(404, {"error_code": code}, headers)).meaning is Meaning.UNKNOWN


def test_a_page_is_not_forgotten_by_another_server() -> None:
    page = "hpp/1/https://pay.example/1"
    void = replace(ORDER, verb=Verb.VOID, charge_reference=page)
    with speaking(b"<h1>no such route</h1>", 404) as (gateway, _):
        assert gateway.void(void) == gateway.retrieve(void) == InDoubt("http_404", page)
        away = replace(ORDER, is_off_session=True, method_token="token")
        assert gateway.charge(away, pytest.fail) == NotSent("http_404")


def test_what_follows_of_each_meaning() -> None:
    outcomes = {meaning: Failure(meaning, "x").outcome("1") for meaning in Meaning}
    assert outcomes[Meaning.BUSY] == NotSent("x", reference="1")
    assert outcomes[Meaning.INVALID] == NotSent("x", is_retryable=False, reference="1")
    for meaning in (Meaning.MOVED_ON, Meaning.MISSING, Meaning.UNKNOWN):
        assert outcomes[meaning] == InDoubt("x", "1")
    declined = outcomes[Meaning.DECLINED]
    assert isinstance(declined, Declined)
    assert declined.decline.decline_class is DeclineClass.HARD


# --- answers that make no sense ---

# The sandbox is not asked here: the bench only makes orders.
ORDER = new_order(KlarnaBench)
PAGE = b'{"session_id": "1", "status": '
NONSENSE = [
    b"",
    b"not JSON",
    b"[" * 100_000,
    b"[]",
    b"{}",
    b"17",
    b"null",
    b'{"order_id": "1"}',
    b'{"order_id": "1", "status": "CAPTURED", "fraud_status": "ACCEPTED", "captured_amount": "1000"}',
    b'{"order_id": "1", "status": [], "fraud_status": {}, "captured_amount": true, "original_order_amount": 1}',
    b'{"order_id": "2", "status": "CAPTURED", "fraud_status": "ACCEPTED", "captured_amount": 1000}',
    b'{"session_id": 1, "redirect_url": null}',
    b'{"session_id": "1", "redirect_url": "nowhere"}',
    PAGE + b'"INVENTED"}',
    PAGE + b'"COMPLETED"}',
    PAGE + b'["WAITING"]}',
    PAGE + b"null}",
]


@contextmanager
def speaking(body: bytes, status: int = 200) -> Iterator[tuple[KlarnaGateway, list[Asked]]]:
    """A gateway whose provider answers every call in the same way, and what it is asked."""
    with answering((status, body)) as served:
        yield KlarnaGateway("sandbox", "x", api_url=API_URL, base=served.url, read_seconds=SECONDS), served.asked


@pytest.mark.parametrize("body", NONSENSE)
def test_nothing_is_concluded_from_nonsense(body: bytes) -> None:
    known = replace(ORDER, reference="1")
    page = replace(ORDER, reference="hpp/1/https://pay.example/1")
    operations = [replace(ORDER, verb=verb, charge_reference="1") for verb in (Verb.CAPTURE, Verb.VOID, Verb.REFUND)]
    with speaking(body) as (gateway, _):
        for verb in (gateway.capture, gateway.void, gateway.refund, gateway.retrieve):
            assert [type(verb(each)) for each in operations] == [InDoubt] * 3
        for each in (known, page):
            assert isinstance(gateway.retrieve(each), InDoubt)
            assert isinstance(gateway.charge(each, lambda _: None), InDoubt)
        assert isinstance(gateway.void(replace(operations[1], charge_reference=page.reference)), InDoubt)
        outcome = gateway.charge(ORDER, pytest.fail)
        assert isinstance(outcome, NotSent)
        assert outcome.is_retryable


def test_a_deep_refusal_is_doubt() -> None:
    with speaking(b"[" * 100_000, 500) as (gateway, _):
        capture = replace(ORDER, verb=Verb.CAPTURE, charge_reference="1")
        assert gateway.capture(capture) == InDoubt("http_500", "1")


@pytest.mark.parametrize("status", [301, 400, 404, 409, 500, 503])
def test_a_look_up_that_is_refused_says_nothing(status: int) -> None:
    orders: list[Callable[[], Order]] = [
        lambda: replace(ORDER, reference="1"),
        lambda: replace(ORDER, reference="hpp/1/https://pay.example/1"),
        lambda: replace(ORDER, verb=Verb.REFUND, charge_reference="1"),
    ]
    with speaking(b"{}", status) as (gateway, _):
        assert [type(gateway.retrieve(make())) for make in orders] == [InDoubt] * 3


def test_nobody_is_followed_elsewhere() -> None:
    """The credentials and the customer's address are for Klarna's host alone."""
    with speaking(b"{}", 302) as (gateway, asked):
        gateway.capture(replace(ORDER, verb=Verb.CAPTURE, charge_reference="1"))
        assert [each.path for each in asked] == ["/ordermanagement/v1/orders/1/captures"]


def test_a_yes_that_the_order_does_not_show_is_doubt() -> None:
    """An older copy of the order may answer: to repeat the call now would be a guess."""
    with speaking(json.dumps(HOLDING).encode()) as (gateway, _):
        assert gateway.charge(replace(ORDER, reference="1"), lambda _: None) == InDoubt("not_confirmed", "1")
        for verb in (Verb.CAPTURE, Verb.VOID, Verb.REFUND):
            asked = replace(ORDER, verb=verb, charge_reference="1")
            call = {Verb.CAPTURE: gateway.capture, Verb.VOID: gateway.void, Verb.REFUND: gateway.refund}[verb]
            assert call(asked) == InDoubt("not_confirmed", "1")


@pytest.mark.parametrize(
    ("reference", "answer"),
    [
        ("1", HOLDING | {"order_id": "2"}),
        ("hpp/1/https://pay.example/1", {"session_id": "2", "status": "WAITING"}),
        ("1", HOLDING | {"captured_amount": True}),
        ("1", HOLDING | {"original_order_amount": 1000.0}),
        ("1", HOLDING | {"remaining_authorized_amount": -1}),
        ("1", HOLDING | {"purchase_currency": None}),
    ],
)
def test_an_answer_about_something_else_says_nothing(reference: str, answer: dict[str, Any]) -> None:
    with speaking(json.dumps(answer).encode()) as (gateway, _):
        assert gateway.retrieve(replace(ORDER, reference=reference)) == InDoubt("malformed_answer", reference)


def test_without_a_reference_nothing_was_created() -> None:
    with speaking(b"{}") as (gateway, _):
        assert gateway.retrieve(ORDER) == NotSent("not_created")


def test_an_operation_without_a_charge_is_a_bug() -> None:
    with speaking(b"{}") as (gateway, _), pytest.raises(AssertionError, match="bug"):
        gateway.refund(replace(ORDER, verb=Verb.REFUND))
