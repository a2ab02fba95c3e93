"""Klarna's error responses: every documented code has a kind, and an unknown one proves nothing."""

from __future__ import annotations

import re
from typing import Any

import pytest

from domain.decline import DeclineClass
from domain.outcome import Declined, InDoubt, NotSent
from gateways.json_api import ProviderResponse
from gateways.klarna.errors import ERRORS, ErrorKind, ErrorResponse, error_response

from .specifications import files_of

# docs.klarna.com, error codes of Payments, Hosted Payment Page, Order Management and orders by token, read 2026-11-28.
DOCUMENTED = """
    BAD_REQUEST BAD_VALUE CANCEL_NOT_ALLOWED CAPTURE_NOT_ALLOWED CONFLICT INTERNAL_SERVER_ERROR INVALID_ADDRESS
    INVALID_OPERATION MERCHANT_INACTIVE NOT_ALLOWED NOT_FOUND NO_SUCH_CAPTURE NO_SUCH_ORDER REFUND_NOT_ALLOWED REJECTED
    REQUEST_TOO_LARGE SESSION_COMPLETED TEMPORARILY_UNAVAILABLE TOO_MANY_REQUESTS UNAUTHORIZED UNEXPECTED_ERROR
    UNPROCESSABLE_ENTITY PAYMENT_METHOD_CURRENCY_MISMATCH PAYMENT_METHOD_FAILED TOKEN_CANCELLED TOKEN_FORBIDDEN
    TOKEN_NOT_FOUND TOKEN_SUSPENDED UNAVAILABLE_PAYMENT_METHOD
""".split()
SPECIFICATIONS = files_of("klarna")
CODE = re.compile(r'"error_code":\s*\{[^{}]*"example":\s*"([A-Z_]+)"')


def response(status: int, code: Any = None) -> ProviderResponse:
    """Return an error response of Klarna."""
    body = {"error_code": code, "error_messages": ["no"], "correlation_id": "1"}
    return ProviderResponse(status, body, {"klarna-correlation-id": "66782175-ae05-44fc-9eb3-eeceadbad271"})


def test_every_documented_code_is_in_the_table() -> None:
    assert sorted(ERRORS) == sorted(DOCUMENTED)


@pytest.mark.parametrize(
    "file", SPECIFICATIONS or [None], ids=lambda file: file.stem if file else "no-specification-here"
)
def test_every_code_of_the_specifications_is_in_the_table(file: Any) -> None:
    codes = set(CODE.findall(file.read_text())) if file else set()
    assert codes <= ERRORS.keys()
    assert codes or file is None or "payments" in file.stem


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (400, "BAD_VALUE", ErrorKind.AT_FAULT),
        (400, None, ErrorKind.AT_FAULT),
        (400, "NOT_FOUND", ErrorKind.NOT_FOUND),
        (401, None, ErrorKind.NOT_EXECUTED),
        (401, "BAD_VALUE", ErrorKind.NOT_EXECUTED),
        (403, "REJECTED", ErrorKind.DECLINED),
        (403, "CAPTURE_NOT_ALLOWED", ErrorKind.WRONG_STATE),
        (403, "MERCHANT_INACTIVE", ErrorKind.AT_FAULT),
        (403, None, ErrorKind.WRONG_STATE),
        (404, None, ErrorKind.NOT_FOUND),
        (404, "NO_SUCH_ORDER", ErrorKind.NOT_FOUND),
        (409, "BAD_VALUE", ErrorKind.WRONG_STATE),
        (413, None, ErrorKind.AT_FAULT),
        (422, "INVALID_ADDRESS", ErrorKind.AT_FAULT),
        (429, None, ErrorKind.NOT_EXECUTED),
        (429, "BAD_VALUE", ErrorKind.NOT_EXECUTED),
        (418, None, ErrorKind.UNKNOWN),
        (403, "INVENTED_TOMORROW", ErrorKind.UNKNOWN),
        (500, "BAD_VALUE", ErrorKind.UNKNOWN),
        (503, "TEMPORARILY_UNAVAILABLE", ErrorKind.UNKNOWN),
        (302, None, ErrorKind.UNKNOWN),
    ],
)
def test_status_and_code_decide_together(status: int, code: str | None, kind: ErrorKind) -> None:
    error = error_response(response(status, code))
    assert error.error_kind is kind
    assert error.reason == (code.lower() if code else f"http_{status}")


@pytest.mark.parametrize("code", [17, ["BAD_VALUE"], "", "Bad Value", "X" * 100, "jo@example.org"])
def test_a_code_of_another_form_is_not_repeated(code: Any) -> None:
    error = error_response(response(400, code))
    assert (error.error_kind, error.reason) == (ErrorKind.AT_FAULT, "http_400")


@pytest.mark.parametrize("body", [None, [], "x", 17, {}])
def test_an_error_response_may_have_any_body(body: Any) -> None:
    assert error_response(ProviderResponse(401, body)).reason == "http_401"


@pytest.mark.parametrize("code", [None, "NOT_FOUND"])
@pytest.mark.parametrize("id", [None, "", "no id!"])
def test_a_404_of_another_server_proves_nothing(code: str | None, id: str | None) -> None:
    headers = {} if id is None else {"klarna-correlation-id": id}
    assert error_response(ProviderResponse(404, {"error_code": code}, headers)).error_kind is ErrorKind.UNKNOWN


def test_every_kind_has_its_outcome() -> None:
    reasons = {ErrorKind.DECLINED: "rejected"}
    outcomes = {kind: ErrorResponse(kind, reasons.get(kind, "x")).outcome("1") for kind in ErrorKind}
    assert outcomes[ErrorKind.NOT_EXECUTED] == NotSent("x", reference="1")
    assert outcomes[ErrorKind.AT_FAULT] == NotSent("x", is_retryable=False, reference="1")
    for kind in (ErrorKind.WRONG_STATE, ErrorKind.NOT_FOUND, ErrorKind.UNKNOWN):
        assert outcomes[kind] == InDoubt("x", "1")
    declined = outcomes[ErrorKind.DECLINED]
    assert isinstance(declined, Declined)
    assert declined.decline.decline_class is DeclineClass.HARD
