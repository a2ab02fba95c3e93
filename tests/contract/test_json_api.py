"""The parts that the gateways share: one request and its response, failures as outcomes, secrets."""

from __future__ import annotations

import base64
from collections.abc import Callable

import pytest
from pydantic import BaseModel

from domain.outcome import InDoubt, NotSent, Outcome
from gateways.failures import CallFailed, FailureKind, MalformedResponse
from gateways.json_api import JsonApi, decided, looked_up
from gateways.settings import Secrets, all_revealed

from .served import replying


def test_a_request_carries_the_fields_of_its_api_and_of_its_call() -> None:
    with replying((200, {})) as served:
        api = JsonApi(f"{served.url}/v2/", 2, auth=("zoë", "pass:word"), headers={"X-Api": "1"})
        api.send("POST", "/orders", json={"a": 1}, query={"limit": 2}, headers={"X-Call": "2"})
    (request,) = served.requests
    assert (request.method, request.path, request.body) == ("POST", "/v2/orders?limit=2", {"a": 1})
    assert (request.headers["X-Api"], request.headers["X-Call"]) == ("1", "2")
    assert base64.b64decode(request.headers["Authorization"].removeprefix("Basic ")).decode() == "zoë:pass:word"


@pytest.mark.parametrize(
    ("status", "body", "read"),
    [
        (200, b"", None),
        (204, b"", None),
        (201, b"[1]", [1]),
        (200, b"null", None),
        (302, b"<html>", None),
        (404, b"<html>", None),
        (503, b"", None),
        (422, b'{"code": 1}', {"code": 1}),
        (500, b"[" * 100_000, None),
    ],
)
def test_a_response_has_its_status_and_its_json(status: int, body: bytes, read: object) -> None:
    with replying((status, body)) as served:
        response = JsonApi(served.url, 2).send("GET", "/")
    assert (response.status, response.body) == (status, read)
    assert response.fields == (read if isinstance(read, dict) else {})
    assert len(served.requests) == 1


@pytest.mark.parametrize("body", [b"<html>", b"{", b"\xff\xfe\xfd", b"[" * 100_000])
def test_a_success_whose_body_is_no_json_is_malformed(body: bytes) -> None:
    with replying((200, body)) as served, pytest.raises(CallFailed) as failed:
        JsonApi(served.url, 2).send("GET", "/")
    assert (failed.value.reason, failed.value.kind) == ("malformed_response", FailureKind.UNKNOWN)


def test_a_redirect_to_a_malformed_address_is_a_response_like_any_other() -> None:
    with replying((302, {}, {"Location": "http://[bad"})) as served:
        assert JsonApi(served.url, 2).send("GET", "/").status == 302


def test_a_refused_connection_sends_nothing() -> None:
    with replying((200, {})) as served:
        api = JsonApi(served.url, 2)
    with pytest.raises(CallFailed) as failed:
        api.send("POST", "/")
    assert (failed.value.reason, failed.value.kind) == ("unreachable", FailureKind.NOT_EXECUTED)


@pytest.mark.parametrize(
    ("kind", "outcome", "of_creation"),
    [
        (FailureKind.UNKNOWN, InDoubt("x", "1"), NotSent("x")),
        (FailureKind.NOT_EXECUTED, NotSent("x", reference="1"), NotSent("x")),
        (FailureKind.AT_FAULT, NotSent("x", is_retryable=False, reference="1"), NotSent("x", is_retryable=False)),
    ],
)
def test_the_outcome_of_each_kind_of_failure(kind: FailureKind, outcome: Outcome, of_creation: Outcome) -> None:
    failure = CallFailed("x", kind)

    def fail() -> Outcome:
        raise failure

    assert failure.outcome("1") == decided("1", fail) == outcome
    assert failure.outcome_of_creation() == of_creation
    assert looked_up("1", fail) == InDoubt("x", "1")


@pytest.mark.parametrize("judge", [decided, looked_up])
def test_a_malformed_response_is_doubt_and_is_logged_by_its_field(
    judge: Callable[[str, Callable[[], Outcome]], Outcome], caplog: pytest.LogCaptureFixture
) -> None:
    def read() -> Outcome:
        raise MalformedResponse("Order.amount")

    assert judge("1", read) == InDoubt("malformed_response", "1")
    assert caplog.messages == ["malformed provider response: Order.amount"]


@pytest.mark.parametrize("judge", [decided, looked_up])
@pytest.mark.parametrize("error", [AttributeError, KeyError, TypeError, ValueError, NameError])
def test_a_bug_is_raised(judge: Callable[[str, Callable[[], Outcome]], Outcome], error: type[Exception]) -> None:
    def read() -> Outcome:
        raise error("a typo")

    with pytest.raises(error):
        judge("1", read)


class Given(BaseModel):
    secret: Secrets = ()


@pytest.mark.parametrize("given", [None, "", " , ", "new, old,"])
def test_secrets_are_separated_by_commas(given: str | None) -> None:
    expected = ("new", "old") if given and given.strip(" ,") else ()
    settings = Given(secret=given)
    assert all_revealed(settings.secret) == expected
    assert Given(**settings.model_dump()) == settings
    assert "new" not in repr(settings)
