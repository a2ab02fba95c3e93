"""PayPal in the sandbox: access tokens, orders and scenarios, with the refusals and the bodies of its documents."""

from __future__ import annotations

from typing import Any

import pytest
import requests
from jsonschema import Draft202012Validator

from sandbox.server import RunningSandbox
from tests.contract import paypal_spec
from tests.sandbox.paypal_client import (
    AUTHORIZATIONS,
    BACK,
    CAPTURES,
    CREDENTIALS,
    ORDERS,
    Client,
    assert_listed,
    issue,
    money,
    order_body,
)
from tests.sandbox.receiver import SECONDS

HOUR, DAY = 3600, 24 * 3600


@pytest.fixture
def client(shared: RunningSandbox) -> Client:
    """A merchant with the shared sandbox."""
    return Client(shared)


@pytest.fixture
def own(own_sandbox: RunningSandbox) -> Client:
    """A merchant with a new sandbox, for a test that moves the clock, lists objects or reuses an invoice id."""
    return Client(own_sandbox)


# --- access tokens ---


def test_a_token_is_issued_for_sandbox_credentials_and_client_credentials_only(client: Client) -> None:
    body = client.new_token().json()
    assert (body["token_type"], body["expires_in"]) == ("Bearer", 32400)
    assert {"scope", "app_id", "nonce"} <= body.keys()
    for auth in (None, ("client", "secret"), ("sandbox-client", "secret")):
        refused = client.new_token(auth)
        assert (refused.status_code, refused.json()["error"]) == (401, "invalid_client")
    refused = client.new_token(CREDENTIALS, "password")
    assert (refused.status_code, refused.json()["error"]) == (400, "unsupported_grant_type")


def test_a_token_is_needed_and_expires_after_nine_hours(own: Client) -> None:
    path = own.approved()
    unknown = own.call("GET", path, headers={"Authorization": "Bearer unknown"})
    assert (unknown.status_code, unknown.json()["error"]) == (401, "invalid_token")
    own.sandbox.state.advance(9 * HOUR - 1)
    assert own.call("GET", path).status_code == 200
    own.sandbox.state.advance(1)
    assert own.call("GET", path).status_code == 401


# --- orders ---


def test_an_order_is_created_approved_and_captured(own: Client) -> None:
    created = own.post(ORDERS, order_body(custom_id="pay_1", invoice_id="at_1"))
    order = created.json()
    assert (created.status_code, order["status"], order["intent"]) == (201, "PAYER_ACTION_REQUIRED", "CAPTURE")
    assert {link["rel"] for link in order["links"]} == {"self", "payer-action"}
    path = f"{ORDERS}/{order['id']}"
    assert issue(own.post(f"{path}/capture")) == (422, "ORDER_NOT_APPROVED")

    assert own.control(order["id"], decision="approve")["sent_to"].startswith(f"{BACK['return_url']}&token=")
    approved = own.call("GET", path).json()
    assert (approved["status"], approved["payer"]["email_address"]) == ("APPROVED", "buyer@example.com")

    captured = own.post(f"{path}/capture")
    capture = captured.json()["purchase_units"][0]["payments"]["captures"][0]
    assert (captured.status_code, captured.json()["status"]) == (201, "COMPLETED")
    assert (capture["status"], capture["amount"], capture["final_capture"]) == ("COMPLETED", money("10.00"), True)
    assert (capture["custom_id"], capture["invoice_id"]) == ("pay_1", "at_1")
    assert issue(own.post(f"{path}/capture")) == (422, "ORDER_ALREADY_CAPTURED")
    assert own.moved() == [("charge", 1000)]


def test_the_minimal_representation_has_only_id_status_and_links(client: Client) -> None:
    minimal = client.post(ORDERS, order_body(), headers={"Prefer": "return=minimal"}).json()
    assert minimal.keys() == {"id", "status", "links"}


def test_a_cancelled_approval_leaves_the_order_open(client: Client) -> None:
    order = client.post(ORDERS, order_body()).json()["id"]
    assert client.control(order, decision="cancel")["sent_to"] == f"{BACK['cancel_url']}?token={order}"
    assert client.call("GET", f"{ORDERS}/{order}").json()["status"] == "PAYER_ACTION_REQUIRED"
    client.control(order, decision="approve")
    assert client.post(f"{ORDERS}/{order}/capture").status_code == 201


def test_an_order_without_a_payment_source_is_approved_by_its_older_link(client: Client) -> None:
    order = client.post(ORDERS, order_body() | {"payment_source": None}, key=None).json()
    assert (order["status"], "approve" in {link["rel"] for link in order["links"]}) == ("CREATED", True)


def test_a_saved_account_is_charged_without_its_buyer(client: Client) -> None:
    body = order_body() | {"payment_source": {"paypal": {"vault_id": "sandbox_COMPLETED"}}}
    order = client.post(ORDERS, body).json()
    assert (order["status"], client.moved()) == ("COMPLETED", [("charge", 1000)])
    unknown = order_body() | {"payment_source": {"paypal": {"vault_id": "8kk8451t"}}}
    assert issue(client.post(ORDERS, unknown)) == (422, "TOKEN_ID_NOT_FOUND")


@pytest.mark.parametrize(
    ("changes", "status", "refused_with"),
    [
        ({"intent": "SALE"}, 400, "INVALID_PARAMETER_VALUE"),
        ({"intent": None}, 400, "INVALID_PARAMETER_VALUE"),
        ({"purchase_units": []}, 400, "MISSING_REQUIRED_PARAMETER"),
        ({"purchase_units": [{}]}, 400, "MISSING_REQUIRED_PARAMETER"),
        ({"purchase_units": [{"amount": {"currency_code": "EUR", "value": 10}}]}, 400, "MISSING_REQUIRED_PARAMETER"),
        ({"purchase_units": [{"amount": money("ten")}]}, 400, "INVALID_PARAMETER_SYNTAX"),
        ({"purchase_units": [{"amount": money("10.00", "XXX")}]}, 422, "INVALID_CURRENCY_CODE"),
        ({"purchase_units": [{"amount": money("10.000", "KWD")}]}, 422, "INVALID_CURRENCY_CODE"),
        ({"purchase_units": [{"amount": money("10.001")}]}, 422, "DECIMAL_PRECISION"),
        ({"purchase_units": [{"amount": money("10.00", "JPY")}]}, 422, "DECIMAL_PRECISION"),
        ({"purchase_units": [{"amount": money("10.50", "HUF")}]}, 422, "DECIMAL_PRECISION"),
        ({"purchase_units": [{"amount": money("0.00")}]}, 422, "CANNOT_BE_ZERO_OR_NEGATIVE"),
        ({"purchase_units": [{"amount": money("-1.00")}]}, 422, "CANNOT_BE_ZERO_OR_NEGATIVE"),
        ({"purchase_units": [{"amount": money("1.00"), "custom_id": "x" * 128}]}, 400, "INVALID_STRING_LENGTH"),
        ({"purchase_units": [{"amount": money("1.00"), "invoice_id": "x" * 128}]}, 400, "INVALID_STRING_LENGTH"),
    ],
    ids=str,
)
def test_an_invalid_order_is_refused(client: Client, changes: Any, status: int, refused_with: str) -> None:
    refused = client.post(ORDERS, order_body() | changes)
    assert issue(refused) == (status, refused_with)
    assert refused.json()["debug_id"] == refused.headers["Paypal-Debug-Id"]
    assert_listed("checkout_orders_v2", f"POST {ORDERS}", status, refused_with)


def test_a_payment_source_needs_a_request_id(client: Client) -> None:
    assert issue(client.post(ORDERS, order_body(), key=None)) == (400, "PAYPAL_REQUEST_ID_REQUIRED")
    assert client.post(ORDERS, order_body() | {"payment_source": None}, key=None).status_code == 201


def test_a_body_that_is_not_a_json_object_is_refused(client: Client) -> None:
    headers = {"Authorization": f"Bearer {client.token}"}
    for raw in ("{", "[1]", "text"):
        refused = requests.post(client.url + ORDERS, data=raw, headers=headers, timeout=SECONDS)
        assert issue(refused) == (400, "MALFORMED_REQUEST_JSON")


def test_the_operation_must_match_the_intent(client: Client) -> None:
    assert issue(client.post(f"{client.approved()}/authorize")) == (422, "ACTION_DOES_NOT_MATCH_INTENT")
    held = client.approved(intent="AUTHORIZE")
    assert issue(client.post(f"{held}/capture")) == (422, "ACTION_DOES_NOT_MATCH_INTENT")


@pytest.mark.parametrize(
    "path", [f"{ORDERS}/NONE", f"{AUTHORIZATIONS}/NONE", f"{CAPTURES}/NONE", "/v2/payments/refunds/NONE"]
)
def test_an_unknown_id_is_not_found(client: Client, path: str) -> None:
    assert issue(client.call("GET", path)) == (404, "INVALID_RESOURCE_ID")


def test_an_invoice_id_pays_once(own: Client) -> None:
    own.captured(invoice_id="at_1")
    second = own.approved(invoice_id="at_1")
    assert issue(own.post(f"{second}/capture")) == (422, "DUPLICATE_INVOICE_ID")
    assert own.moved() == [("charge", 1000)]


def test_a_refused_payment_leaves_its_invoice_id_free(own: Client) -> None:
    order = own.approved("TRANSACTION_REFUSED", invoice_id="at_1")
    assert issue(own.post(f"{order}/capture")) == (422, "TRANSACTION_REFUSED")
    assert own.captured(invoice_id="at_1")["status"] == "COMPLETED"


# --- scenarios ---


@pytest.mark.parametrize("code", ["5120", "9520"])
def test_a_completed_order_can_hold_a_declined_capture(client: Client, code: str) -> None:
    capture = client.captured(code)
    assert (capture["status"], capture["processor_response"]) == ("DECLINED", {"response_code": code})
    assert client.moved() == []
    assert issue(client.post(f"{CAPTURES}/{capture['id']}/refund")) == (422, "REFUND_NOT_ALLOWED")


def test_a_declined_instrument_sends_the_buyer_back_to_paypal(client: Client) -> None:
    path = client.approved("INSTRUMENT_DECLINED")
    refused = client.post(f"{path}/capture")
    assert issue(refused) == (422, "INSTRUMENT_DECLINED")
    assert [link["rel"] for link in refused.json()["links"]] == ["redirect"]
    order = client.call("GET", path).json()
    assert order["status"] == "PAYER_ACTION_REQUIRED"
    client.control(order["id"], decision="approve")
    assert client.post(f"{path}/capture").json()["status"] == "COMPLETED"


@pytest.mark.parametrize(
    ("result", "status", "moved"), [("success", "COMPLETED", [("charge", 1000)]), ("failure", "DECLINED", [])]
)
def test_a_pending_capture_is_finished_by_the_bank(client: Client, result: str, status: str, moved: Any) -> None:
    capture = client.captured("PENDING")
    assert (capture["status"], capture["status_details"]) == ("PENDING", {"reason": "ECHECK"})
    assert issue(client.post(f"{CAPTURES}/{capture['id']}/refund")) == (422, "PENDING_CAPTURE")
    assert client.moved() == []
    client.control(f"{capture['id']}/settle", result=result)
    assert client.call("GET", f"{CAPTURES}/{capture['id']}").json()["status"] == status
    assert client.moved() == moved


def test_the_mock_header_forces_a_refusal(client: Client) -> None:
    mock = {"PayPal-Mock-Response": '{"mock_application_codes": "INSTRUMENT_DECLINED"}'}
    assert issue(client.post(ORDERS, order_body(), headers=mock)) == (422, "INSTRUMENT_DECLINED")


# --- the ledger, the page and the documents ---


def test_the_books_show_every_order(own: Client) -> None:
    capture = own.captured(custom_id="pay_1", invoice_id="at_1")
    own.post(f"{CAPTURES}/{capture['id']}/refund", {"amount": money("3.00")})
    (row,) = requests.get(f"{own.sandbox.url}/_sandbox/books", timeout=SECONDS).json()["books"]
    assert (row["provider"], row["status"], row["currency"]) == ("paypal", "COMPLETED", "EUR")
    assert row["metadata"] == {"payment_id": "pay_1", "attempt_id": "at_1"}
    assert (row["charges"], row["captured"], row["refunded"], row["voided"]) == (1, 1000, 300, 0)


@pytest.mark.parametrize(
    ("value", "currency", "shown"), [("24.9", "EUR", "24.90 EUR"), ("500", "JPY", "500 JPY"), ("20", "HUF", "20 HUF")]
)
def test_the_page_shows_the_amount_with_its_decimals(client: Client, value: str, currency: str, shown: str) -> None:
    order = client.post(ORDERS, order_body(value, currency)).json()
    url = next(link["href"] for link in order["links"] if link["rel"] == "payer-action")
    assert f"<strong>{shown}</strong>" in requests.get(url, timeout=SECONDS).text


def test_the_page_has_paypals_name(client: Client) -> None:
    order = client.post(ORDERS, order_body()).json()["id"]
    assert "<title>PayPal sandbox</title>" in requests.get(f"{client.url}/hosted/{order}", timeout=SECONDS).text


def test_every_response_is_as_paypal_documents_it(client: Client) -> None:
    captured, held = client.captured(), client.authorized()
    bodies = {
        ("checkout_orders_v2", "order"): [
            client.post(ORDERS, order_body(custom_id="pay_1")),
            client.call("GET", client.approved()),
            client.post(f"{client.approved()}/capture"),
            client.post(f"{client.approved(intent='AUTHORIZE')}/authorize"),
        ],
        ("payments_payment_v2", "authorization-2"): [client.call("GET", held), client.call("GET", client.authorized())],
        ("payments_payment_v2", "capture-2"): [
            client.call("GET", f"{CAPTURES}/{captured['id']}"),
            client.post(f"{held}/capture", {"amount": money("4.00")}),
        ],
        ("payments_payment_v2", "refund"): [client.post(f"{CAPTURES}/{captured['id']}/refund")],
    }
    for (api, name), responses in bodies.items():
        for schema in paypal_spec.response_schema(api, name):
            for response in responses:
                errors = Draft202012Validator(schema).iter_errors(response.json())
                assert [error.message for error in errors] == []
