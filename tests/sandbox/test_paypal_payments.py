"""PayPal's payments in the sandbox: authorizations, captures, refunds and request ids."""

from __future__ import annotations

from typing import Any

import pytest

from sandbox.server import RunningSandbox
from tests.sandbox.paypal_client import (
    AUTHORIZATIONS,
    CAPTURES,
    ORDERS,
    Client,
    assert_listed,
    issue,
    money,
    order_body,
)

HOUR, DAY = 3600, 24 * 3600


@pytest.fixture
def client(shared: RunningSandbox) -> Client:
    """A merchant with the shared sandbox."""
    return Client(shared)


@pytest.fixture
def own(own_sandbox: RunningSandbox) -> Client:
    """A merchant with a new sandbox, for a test that moves the clock, lists objects or reuses an invoice id."""
    return Client(own_sandbox)


# --- authorizations ---


def test_an_authorization_is_captured_in_parts(client: Client) -> None:
    path = client.authorized()
    assert client.call("GET", path).json()["status"] == "CREATED"
    first = client.post(f"{path}/capture", {"amount": money("4.00")})
    assert (first.status_code, first.json()["status"], first.json()["final_capture"]) == (201, "COMPLETED", False)
    assert client.call("GET", path).json()["status"] == "PARTIALLY_CAPTURED"
    related = client.call("GET", f"{CAPTURES}/{first.json()['id']}").json()["supplementary_data"]["related_ids"]
    assert related["authorization_id"] == path.rpartition("/")[2]
    assert client.post(f"{path}/capture").json()["amount"] == money("6.00")
    assert client.call("GET", path).json()["status"] == "CAPTURED"
    assert issue(client.post(f"{path}/capture")) == (422, "AUTHORIZATION_ALREADY_CAPTURED")
    assert client.moved() == [("authorization", 1000), ("capture", 400), ("capture", 600)]


def test_a_final_capture_releases_the_remaining_amount(client: Client) -> None:
    path = client.authorized()
    client.post(f"{path}/capture", {"amount": money("4.00"), "final_capture": True})
    assert issue(client.post(f"{path}/capture")) == (422, "AUTHORIZATION_ALREADY_CAPTURED")
    assert client.moved() == [("authorization", 1000), ("capture", 400), ("void", 600)]


def test_a_capture_may_exceed_the_authorization_by_fifteen_percent(client: Client) -> None:
    path = client.authorized()
    refused = client.post(f"{path}/capture", {"amount": money("11.51")})
    assert issue(refused) == (422, "MAX_CAPTURE_AMOUNT_EXCEEDED")
    assert client.post(f"{path}/capture", {"amount": money("11.50")}).status_code == 201


def test_a_capture_may_exceed_a_large_authorization_by_seventy_five_dollars(client: Client) -> None:
    path = client.authorized(value="1000.00", currency="USD")
    refused = client.post(f"{path}/capture", {"amount": money("1075.01", "USD")})
    assert issue(refused) == (422, "MAX_CAPTURE_AMOUNT_EXCEEDED")
    assert client.post(f"{path}/capture", {"amount": money("1075.00", "USD")}).status_code == 201


def test_a_void_releases_the_authorization_once(client: Client) -> None:
    path = client.authorized()
    voided = client.post(f"{path}/void", key=None)
    assert (voided.status_code, voided.json()["status"]) == (200, "VOIDED")
    assert issue(client.post(f"{path}/void", key=None)) == (422, "PREVIOUSLY_VOIDED")
    assert issue(client.post(f"{path}/capture")) == (422, "AUTHORIZATION_VOIDED")
    assert client.moved() == [("authorization", 1000), ("void", 1000)]


def test_a_void_without_representation_has_no_body(client: Client) -> None:
    voided = client.post(f"{client.authorized()}/void", key=None, headers={"Prefer": "return=minimal"})
    assert (voided.status_code, voided.content) == (204, b"")


@pytest.mark.parametrize(
    ("scenario", "steps", "verb", "body", "refused_with"),
    [
        ("COMPLETED", [], "capture", {"amount": money("1.00", "USD")}, "AUTH_CAPTURE_CURRENCY_MISMATCH"),
        ("COMPLETED", [], "capture", {"amount": money("0.00")}, "CANNOT_BE_ZERO_OR_NEGATIVE"),
        ("COMPLETED", ["capture"], "void", None, "PREVIOUSLY_CAPTURED"),
        ("5120", [], "capture", None, "AUTHORIZATION_DENIED"),
        ("5120", [], "void", None, "CANNOT_BE_VOIDED"),
    ],
)
def test_an_operation_that_the_authorization_does_not_allow_is_refused(
    client: Client, scenario: str, steps: list[str], verb: str, body: Any, refused_with: str
) -> None:
    path = client.authorized(scenario)
    for step in steps:
        assert client.post(f"{path}/{step}").ok
    before = client.moved()
    assert issue(client.post(f"{path}/{verb}", body)) == (422, refused_with)
    assert client.moved() == before
    assert_listed("payments_payment_v2", f"POST {AUTHORIZATIONS}/{{authorization_id}}/{verb}", 422, refused_with)


def test_an_authorization_expires_after_29_days(own: Client) -> None:
    path = own.authorized()
    own.sandbox.state.advance(29 * DAY - 60)
    own.token = own.new_token().json()["access_token"]
    assert own.call("GET", path).json()["status"] == "CREATED"
    own.sandbox.state.advance(61)
    assert own.call("GET", path).json()["status"] == "VOIDED"
    assert own.moved() == [("authorization", 1000), ("void", 1000)]


# --- refunds ---


def test_refunds_add_up_and_never_exceed_the_capture(own: Client) -> None:
    capture = own.captured()
    path = f"{CAPTURES}/{capture['id']}"
    part = own.post(f"{path}/refund", {"amount": money("3.00"), "invoice_id": "refund_1"})
    assert (part.status_code, part.json()["status"], part.json()["invoice_id"]) == (201, "COMPLETED", "refund_1")
    assert own.call("GET", path).json()["status"] == "PARTIALLY_REFUNDED"
    assert issue(own.post(f"{path}/refund", {"amount": money("7.01")})) == (422, "REFUND_AMOUNT_EXCEEDED")
    assert own.post(f"{path}/refund").json()["amount"] == money("7.00")
    assert own.call("GET", path).json()["status"] == "REFUNDED"
    assert issue(own.post(f"{path}/refund")) == (422, "CAPTURE_FULLY_REFUNDED")
    assert own.moved() == [("charge", 1000), ("refund", 300), ("refund", 700)]
    read = own.call("GET", f"/v2/payments/refunds/{part.json()['id']}").json()
    assert (read["amount"], {link["rel"]: link["href"] for link in read["links"]}["up"]) == (
        money("3.00"),
        f"{own.url}{path}",
    )


@pytest.mark.parametrize(
    ("amount", "refused_with"),
    [
        (money("1.00", "USD"), "REFUND_CAPTURE_CURRENCY_MISMATCH"),
        (money("0.00"), "CANNOT_BE_ZERO_OR_NEGATIVE"),
        (money("10.01"), "REFUND_AMOUNT_EXCEEDED"),
    ],
    ids=str,
)
def test_a_wrong_amount_is_not_refunded(client: Client, amount: Any, refused_with: str) -> None:
    capture = client.captured()
    assert issue(client.post(f"{CAPTURES}/{capture['id']}/refund", {"amount": amount})) == (422, refused_with)
    assert client.moved() == [("charge", 1000)]


def test_a_refund_without_references_has_those_of_its_capture(own: Client) -> None:
    capture = own.captured(custom_id="pay_1", invoice_id="at_1")
    refund = own.post(f"{CAPTURES}/{capture['id']}/refund").json()
    assert (refund["custom_id"], refund["invoice_id"]) == ("pay_1", "at_1")


def test_the_invoice_id_of_a_refund_is_used_once(own: Client) -> None:
    path, body = f"{CAPTURES}/{own.captured()['id']}/refund", {"amount": money("1.00"), "invoice_id": "refund_1"}
    assert own.post(path, body).status_code == 201
    assert issue(own.post(path, body)) == (422, "DUPLICATE_INVOICE_ID")


@pytest.mark.parametrize(
    ("result", "status", "refunded"), [("success", "COMPLETED", [("refund", 1000)]), ("failure", "FAILED", [])]
)
def test_a_pending_refund_is_finished_by_the_bank(client: Client, result: str, status: str, refunded: Any) -> None:
    capture = client.captured("REFUND_PENDING")
    refund = client.post(f"{CAPTURES}/{capture['id']}/refund").json()
    assert (refund["status"], refund["status_details"]) == ("PENDING", {"reason": "ECHECK"})
    assert issue(client.post(f"{CAPTURES}/{capture['id']}/refund")) == (422, "CAPTURE_FULLY_REFUNDED")
    client.control(f"{refund['id']}/settle", result=result)
    assert client.call("GET", f"/v2/payments/refunds/{refund['id']}").json()["status"] == status
    assert client.moved() == [("charge", 1000), *refunded]


# --- request ids ---


def test_a_repeated_create_is_one_order_for_six_hours(own: Client) -> None:
    first = own.post(ORDERS, order_body(), key="same")
    own.control(first.json()["id"], decision="approve")
    again = own.post(ORDERS, order_body(), key="same")
    assert (first.status_code, again.status_code) == (201, 200)
    # The repeat shows the latest state and not the first response.
    assert (again.json()["id"], again.json()["status"]) == (first.json()["id"], "APPROVED")
    own.sandbox.state.advance(6 * HOUR + 1)
    assert own.post(ORDERS, order_body(), key="same").json()["id"] != first.json()["id"]


def test_a_repeated_capture_moves_nothing(client: Client) -> None:
    path = client.approved()
    first, again = (client.post(f"{path}/capture", key="same") for _ in range(2))
    assert (first.status_code, again.status_code, again.json()) == (201, 200, first.json())
    assert client.moved() == [("charge", 1000)]


def test_a_repeated_refund_is_one_for_45_days(own: Client) -> None:
    path, body = f"{CAPTURES}/{own.captured()['id']}/refund", {"amount": money("3.00")}
    first, again = (own.post(path, body, key="same") for _ in range(2))
    assert (first.status_code, again.status_code, again.json()["id"]) == (201, 200, first.json()["id"])
    own.sandbox.state.advance(45 * DAY + 1)
    own.token = own.new_token().json()["access_token"]
    assert own.post(path, body, key="same").json()["id"] != first.json()["id"]
    assert own.moved() == [("charge", 1000), ("refund", 300), ("refund", 300)]


def test_one_request_id_serves_different_operations(client: Client) -> None:
    path = client.authorized()
    capture = client.post(f"{path}/capture", key="same").json()
    refund = client.post(f"{CAPTURES}/{capture['id']}/refund", key="same")
    assert (refund.status_code, refund.json()["amount"]) == (201, money("10.00"))


def test_a_refusal_is_not_kept_under_its_request_id(client: Client) -> None:
    order = client.post(ORDERS, order_body()).json()["id"]
    assert client.post(f"{ORDERS}/{order}/capture", key="same").status_code == 422
    client.control(order, decision="approve")
    assert client.post(f"{ORDERS}/{order}/capture", key="same").status_code == 201


def test_without_a_request_id_a_refund_happens_twice(client: Client) -> None:
    path = f"{CAPTURES}/{client.captured()['id']}/refund"
    for _ in range(2):
        client.post(path, {"amount": money("3.00")}, key=None)
    assert client.moved() == [("charge", 1000), ("refund", 300), ("refund", 300)]
