"""Klarna's responses: the outcome of every state of an order and a page, and doubt for every other form."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from domain.outcome import AmountMismatch, Approved, CustomerApproved, Declined, InDoubt, NotSent, Outcome, Pending
from domain.payment import Verb
from gateways.base import AttemptRequest, Gateway
from gateways.failures import MalformedResponse
from gateways.klarna.gateway import KlarnaGateway
from gateways.klarna.hosted_page import HostedPage
from gateways.klarna.responses import (
    CreatedPage,
    Order,
    PageSession,
    hosted_page,
    outcome_of_order,
    outcome_of_page,
    outcome_of_refund,
)

from .bench import API_URL, SECONDS, new_attempt
from .benches.klarna import ProviderBench as KlarnaBench
from .served import ReceivedRequest, replying

# Only the bench's constants are read here; the sandbox gets no call.
CHARGE = replace(new_attempt(KlarnaBench), attempt_id="at_1")
PAGE_REFERENCE = "hpp/1/https://pay.example/1"
HOLDING = {
    "order_id": "1",
    "status": "AUTHORIZED",
    "fraud_status": "ACCEPTED",
    "original_order_amount": 1000,
    "remaining_authorized_amount": 1000,
    "captured_amount": 0,
    "refunded_amount": 0,
    "purchase_currency": "usd",
    "expires_at": "2026-12-04T10:26:06.000Z",
}
REFUND = {"refund_id": "r", "reference": "at_1", "refunded_amount": 300}


def order(**changes: Any) -> Order:
    """Return an order of 10.00 USD that holds the money, with changes."""
    return Order.parse(HOLDING | changes)


# --- orders ---

ENDED = Approved("1", voided=True)
CAPTURED = Approved("1", authorized=1000, captured=1000)


def holding(amount: int) -> Outcome:
    return Approved("1", authorized=amount, authorization_expires_at=order().expires_at)


STATES: list[tuple[dict[str, Any], Verb, Outcome | type[Outcome]]] = [
    ({}, Verb.CHARGE, CustomerApproved("1")),
    ({}, Verb.CAPTURE, NotSent("not_executed")),
    ({}, Verb.VOID, NotSent("not_executed")),
    ({"fraud_status": "PENDING"}, Verb.CHARGE, Pending("1")),
    ({"fraud_status": "PENDING"}, Verb.AUTHORIZE, Pending("1")),
    ({"fraud_status": "PENDING"}, Verb.VOID, NotSent("not_executed")),
    ({"fraud_status": "REJECTED"}, Verb.CHARGE, Declined),
    ({"fraud_status": "REJECTED"}, Verb.CAPTURE, Declined),
    ({"fraud_status": "REJECTED"}, Verb.VOID, ENDED),
    ({"fraud_status": "INVENTED"}, Verb.CHARGE, InDoubt),
    ({"status": "INVENTED"}, Verb.CHARGE, InDoubt),
    ({"remaining_authorized_amount": 900}, Verb.CHARGE, holding(900)),
    ({"remaining_authorized_amount": 900}, Verb.AUTHORIZE, holding(900)),
    ({"purchase_currency": "EUR"}, Verb.CAPTURE, InDoubt),
    *(({"status": status}, verb, ENDED) for status in ("CANCELLED", "EXPIRED", "CLOSED") for verb in Verb),
    ({"status": "CAPTURED", "captured_amount": 1000}, Verb.CHARGE, CAPTURED),
    ({"status": "CLOSED", "captured_amount": 1000}, Verb.VOID, CAPTURED),
    # Klarna stopped the order after the capture: the merchant has the money all the same.
    ({"status": "CAPTURED", "captured_amount": 1000, "fraud_status": "REJECTED"}, Verb.CHARGE, CAPTURED),
    ({"status": "PART_CAPTURED", "captured_amount": 1}, Verb.CHARGE, AmountMismatch("1", 1, "other_amount")),
    ({"status": "PART_CAPTURED", "captured_amount": 1}, Verb.AUTHORIZE, Approved("1", authorized=1000, captured=1)),
    ({"status": "CAPTURED"}, Verb.CHARGE, InDoubt),
    # An unknown word is doubt, whatever the other fields show.
    *(({"status": "INVENTED", "captured_amount": 1000}, verb, InDoubt) for verb in Verb),
    *(({"status": "INVENTED", "fraud_status": "REJECTED"}, verb, InDoubt) for verb in Verb),
    *(({"fraud_status": "INVENTED"}, verb, InDoubt) for verb in Verb),
]


@pytest.mark.parametrize(("changes", "verb", "expected"), STATES)
def test_every_state_of_an_order_has_its_outcome(
    changes: dict[str, Any], verb: Verb, expected: Outcome | type[Outcome]
) -> None:
    outcome = outcome_of_order(new_attempt(KlarnaBench, verb), order(**changes))
    assert isinstance(outcome, expected) if isinstance(expected, type) else outcome == expected


def test_an_authorization_says_until_when_it_holds() -> None:
    outcome = outcome_of_order(new_attempt(KlarnaBench, Verb.AUTHORIZE), order())
    assert isinstance(outcome, Approved)
    assert outcome.authorized == 1000
    assert str(outcome.authorization_expires_at) == "2026-12-04 10:26:06+00:00"


@pytest.mark.parametrize("name", sorted(HOLDING.keys() - {"expires_at", "status", "fraud_status"}))
def test_an_order_without_a_field_that_decides_is_malformed(name: str) -> None:
    fields = {key: value for key, value in HOLDING.items() if key != name}
    for changed in (fields, HOLDING | {name: None}, HOLDING | {name: [HOLDING[name]]}):
        with pytest.raises(MalformedResponse) as raised:
            Order.parse(changed)
        assert raised.value.field == f"Order.{name}"


def test_an_order_may_leave_out_what_it_does_not_have() -> None:
    fields = {name: value for name, value in HOLDING.items() if name != "expires_at"}
    for changed in (fields, fields | {"expires_at": None, "captures": None, "refunds": None}):
        outcome = outcome_of_order(replace(CHARGE, verb=Verb.AUTHORIZE), Order.parse(changed))
        assert outcome == Approved("1", authorized=1000)


@pytest.mark.parametrize("expires_at", ["soon", "", 1_764_844_000, 1.5, True, ["2026-12-04T10:26:06.000Z"]])
def test_an_expiry_that_is_no_instant_is_malformed(expires_at: Any) -> None:
    with pytest.raises(MalformedResponse, match="malformed_response") as raised:
        order(expires_at=expires_at)
    assert raised.value.field == "Order.expires_at"


# --- refunds ---


def refund_request(**changes: Any) -> AttemptRequest:
    return new_attempt(KlarnaBench, Verb.REFUND, minor=300, attempt_id="at_1", **changes)


def test_refunds_that_do_not_add_up_prove_nothing() -> None:
    other = REFUND | {"reference": "at_2"}
    listed = order(refunds=[other], refunded_amount=300)
    assert outcome_of_refund(refund_request(), listed) == NotSent("not_created")
    for changes in ({"refunds": [other], "refunded_amount": 600}, {"refunded_amount": 300}):
        assert isinstance(outcome_of_refund(refund_request(), order(**changes)), InDoubt)


def test_a_refund_has_the_attempts_id_or_klarnas_own() -> None:
    refunded = Approved("r", refunded=300)
    assert outcome_of_refund(refund_request(), order(refunds=[REFUND], refunded_amount=300)) == refunded
    in_portal = order(refunds=[REFUND | {"reference": "?"}], refunded_amount=300)
    assert outcome_of_refund(refund_request(reference="r"), in_portal) == refunded
    for amount in (299, 301):
        other = order(refunds=[REFUND | {"refunded_amount": amount}], refunded_amount=amount)
        assert isinstance(outcome_of_refund(refund_request(), other), InDoubt)


# --- pages ---


@pytest.mark.parametrize(
    ("fields", "wrong"),
    [
        ({"session_id": "a/b"}, "session_id"),
        ({"redirect_url": "x:y"}, "redirect_url"),
        ({"redirect_url": "https://" + "x" * 255}, "redirect_url"),
    ],
)
def test_a_page_that_cannot_be_stored_as_a_reference_is_malformed(fields: dict[str, str], wrong: str) -> None:
    with pytest.raises(MalformedResponse) as raised:
        hosted_page(CreatedPage.parse({"session_id": "1", "redirect_url": "https://pay.example/1"} | fields))
    assert raised.value.field == f"CreatedPage.{wrong}"


@pytest.mark.parametrize("verb", list(Verb))
@pytest.mark.parametrize("status", ["INVENTED", "COMPLETED", "waiting"])
def test_a_page_of_unknown_status_or_without_its_order_is_doubt(verb: Verb, status: str) -> None:
    session = PageSession.parse({"session_id": "1", "status": status})
    page = HostedPage("1", "https://pay.example/1")
    assert isinstance(outcome_of_page(replace(CHARGE, verb=verb), page, session), InDoubt)


# --- malformed responses, over HTTP ---

PAGE = b'{"session_id": "1", "status": '
MALFORMED = [
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
def gateway_that_gets(body: bytes, status: int = 200) -> Iterator[tuple[KlarnaGateway, list[ReceivedRequest]]]:
    """Serve the same response to every call; yield a gateway that calls there, and the requests."""
    with replying((status, body)) as served:
        yield KlarnaGateway("sandbox", "x", api_url=API_URL, base=served.url, read_seconds=SECONDS), served.requests


def carry_out(gateway: Gateway, attempt: AttemptRequest) -> Outcome:
    """Capture, void or refund."""
    return {Verb.CAPTURE: gateway.capture, Verb.VOID: gateway.void, Verb.REFUND: gateway.refund}[attempt.verb](attempt)


@pytest.mark.parametrize("body", MALFORMED)
def test_a_malformed_response_proves_nothing(body: bytes) -> None:
    with_order = replace(CHARGE, reference="1")
    with_page = replace(CHARGE, reference=PAGE_REFERENCE)
    operations = [replace(CHARGE, verb=verb, charge_reference="1") for verb in (Verb.CAPTURE, Verb.VOID, Verb.REFUND)]
    with gateway_that_gets(body) as (gateway, _):
        for verb in (gateway.capture, gateway.void, gateway.refund, gateway.retrieve):
            assert [type(verb(each)) for each in operations] == [InDoubt] * 3
        for each in (with_order, with_page):
            assert isinstance(gateway.retrieve(each), InDoubt)
            assert isinstance(gateway.charge(each, lambda _: None), InDoubt)
        assert isinstance(gateway.void(replace(operations[1], charge_reference=PAGE_REFERENCE)), InDoubt)
        outcome = gateway.charge(CHARGE, pytest.fail)
        assert isinstance(outcome, NotSent)
        assert outcome.is_retryable


def test_a_deeply_nested_error_response_is_doubt() -> None:
    with gateway_that_gets(b"[" * 100_000, 500) as (gateway, _):
        capture = replace(CHARGE, verb=Verb.CAPTURE, charge_reference="1")
        assert gateway.capture(capture) == InDoubt("http_500", "1")


@pytest.mark.parametrize("status", [301, 400, 404, 409, 500, 503])
def test_a_look_up_with_an_error_response_proves_nothing(status: int) -> None:
    attempts = [
        replace(CHARGE, reference="1"),
        replace(CHARGE, reference=PAGE_REFERENCE),
        replace(CHARGE, verb=Verb.REFUND, charge_reference="1"),
    ]
    with gateway_that_gets(b"{}", status) as (gateway, _):
        assert [type(gateway.retrieve(attempt)) for attempt in attempts] == [InDoubt] * 3


def test_a_404_of_another_server_does_not_void_a_page() -> None:
    void = replace(CHARGE, verb=Verb.VOID, charge_reference=PAGE_REFERENCE)
    with gateway_that_gets(b"<h1>no such route</h1>", 404) as (gateway, _):
        assert gateway.void(void) == gateway.retrieve(void) == InDoubt("http_404", PAGE_REFERENCE)
        off_session = replace(CHARGE, is_off_session=True, method_token="token")
        assert isinstance(gateway.charge(replace(off_session, reference=None), pytest.fail), InDoubt)


def test_redirects_are_not_followed() -> None:
    """The credentials and the customer's address are for Klarna's host alone."""
    with gateway_that_gets(b"{}", 302) as (gateway, requests):
        gateway.capture(replace(CHARGE, verb=Verb.CAPTURE, charge_reference="1"))
        assert [request.path for request in requests] == ["/ordermanagement/v1/orders/1/captures"]


def test_an_accepted_call_that_the_order_does_not_show_is_doubt() -> None:
    """Klarna may return an older copy of the order: another call now could move the money twice."""
    with gateway_that_gets(json.dumps(HOLDING).encode()) as (gateway, _):
        assert gateway.charge(replace(CHARGE, reference="1"), lambda _: None) == InDoubt("not_confirmed", "1")
        for verb in (Verb.CAPTURE, Verb.VOID, Verb.REFUND):
            attempt = replace(CHARGE, verb=verb, charge_reference="1")
            assert carry_out(gateway, attempt) == InDoubt("not_confirmed", "1")


@pytest.mark.parametrize(
    ("reference", "response", "field"),
    [
        ("1", HOLDING | {"order_id": "2"}, "Order.order_id"),
        (PAGE_REFERENCE, {"session_id": "2", "status": "WAITING"}, "PageSession.session_id"),
        ("1", HOLDING | {"captured_amount": True}, "Order.captured_amount"),
        ("1", HOLDING | {"original_order_amount": 1000.0}, "Order.original_order_amount"),
        ("1", HOLDING | {"remaining_authorized_amount": -1}, "Order.remaining_authorized_amount"),
        ("1", HOLDING | {"purchase_currency": None}, "Order.purchase_currency"),
    ],
)
def test_a_malformed_look_up_is_doubt_and_the_log_names_the_field(
    caplog: pytest.LogCaptureFixture, reference: str, response: dict[str, Any], field: str
) -> None:
    with gateway_that_gets(json.dumps(response).encode()) as (gateway, _):
        assert gateway.retrieve(replace(CHARGE, reference=reference)) == InDoubt("malformed_response", reference)
    assert [record.getMessage() for record in caplog.records if record.levelname == "ERROR"] == [
        f"malformed provider response: {field}"
    ]


def test_without_a_reference_nothing_was_created() -> None:
    with gateway_that_gets(b"{}") as (gateway, _):
        assert gateway.retrieve(CHARGE) == NotSent("not_created")


def test_a_refund_of_a_payment_without_a_charge_is_a_bug() -> None:
    with gateway_that_gets(b"{}") as (gateway, _), pytest.raises(AssertionError, match="bug"):
        gateway.refund(replace(CHARGE, verb=Verb.REFUND))


@pytest.mark.parametrize(("second", "is_shown"), [("2026-11-29T12:00:00.000Z", True), (None, False), ("soon", False)])
def test_captured_money_has_the_time_of_the_last_capture(second: str | None, is_shown: bool) -> None:
    captures = [{"captured_at": "2026-11-28T12:00:00.000Z"}, {"captured_at": second}]
    outcome = outcome_of_order(CHARGE, order(status="CAPTURED", captured_amount=1000, captures=captures))
    assert isinstance(outcome, Approved)
    assert outcome.at == (datetime(2026, 11, 29, 12, tzinfo=UTC) if is_shown else None)
