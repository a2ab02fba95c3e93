"""Klarna in the sandbox: responses, idempotency by key alone, states, refusals and the hosted page."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import Any

import pytest
import requests

from sandbox.server import RunningSandbox
from tests.sandbox.receiver import SECONDS

LINE = {"name": "a thing", "quantity": 2, "unit_price": 500, "total_amount": 1000}
PURCHASE: dict[str, Any] = {
    "purchase_country": "SE",
    "purchase_currency": "SEK",
    "locale": "sv-SE",
    "order_amount": 1000,
    "order_tax_amount": 0,
    "order_lines": [LINE],
    "merchant_reference1": "pay_1",
    "merchant_reference2": "at_1",
}
DAY = 24 * 3600


@dataclass
class Client:
    """A merchant's client of Klarna's API and of the control routes."""

    running: RunningSandbox

    def call(self, method: str, path: str, body: Any = None, key: str | None = None) -> requests.Response:
        headers = {"Klarna-Idempotency-Key": key} if key else {}
        url = f"{self.running.url}/klarna{path}"
        return requests.request(method, url, json=body, headers=headers, auth=("sandbox", "x"), timeout=SECONDS)

    def opened(self, mode: str = "PLACE_ORDER", **urls: str) -> str:
        """Return the id of a new page."""
        session = self.call("POST", "/payments/v1/sessions", PURCHASE).json()["session_id"]
        body = {
            "payment_session_url": f"{self.running.url}/klarna/payments/v1/sessions/{session}",
            "merchant_urls": urls,
            "options": {"place_order_mode": mode},
        }
        return str(self.call("POST", "/hpp/v1/sessions", body).json()["session_id"])

    def decide(self, page: str, decision: str = "approve") -> dict[str, Any]:
        """Decide for the customer, and return the page."""
        url = f"{self.running.url}/_sandbox/klarna/{page}"
        requests.post(url, json={"decision": decision}, timeout=SECONDS).raise_for_status()
        shown: dict[str, Any] = self.call("GET", f"/hpp/v1/sessions/{page}").json()
        return shown

    def placed(self) -> str:
        """Return the path of a placed order."""
        return f"/ordermanagement/v1/orders/{self.decide(self.opened())['order_id']}"

    def order(self, path: str) -> dict[str, Any]:
        """Read an order."""
        found: dict[str, Any] = self.call("GET", path).json()
        return found


@pytest.fixture
def client(own_sandbox: RunningSandbox) -> Client:
    """A merchant with a new sandbox."""
    return Client(own_sandbox)


def test_only_a_sandboxs_credentials_are_accepted(client: Client) -> None:
    url = f"{client.running.url}/klarna/payments/v1/sessions"
    for auth in (None, ("klarna", "klarna_live_api_x")):
        refused = requests.post(url, json=PURCHASE, auth=auth, timeout=SECONDS)
        assert (refused.status_code, refused.content) == (401, b"")
        assert refused.headers["klarna-correlation-id"]


def test_a_refusal_has_klarnas_shape(client: Client) -> None:
    refused = client.call("GET", "/ordermanagement/v1/orders/none")
    assert refused.status_code == 404
    body = refused.json()
    assert body["error_code"] == "NO_SUCH_ORDER"
    assert body["error_messages"]
    assert body["correlation_id"] == refused.headers["klarna-correlation-id"]


@pytest.mark.parametrize(
    "change",
    [
        {"purchase_country": "XX"},
        {"purchase_country": None},
        {"purchase_currency": "EUR"},
        {"purchase_currency": "KWD"},
        {"locale": "Swedish"},
        {"order_amount": 999},
        {"order_amount": "1000"},
        {"order_amount": True},
        {"order_lines": []},
        {"order_lines": [17]},
        {"order_lines": [LINE | {"total_amount": 999}]},
        {"order_lines": [LINE | {"unit_price": 100_000_001, "quantity": 1, "total_amount": 100_000_001}]},
        {"merchant_reference1": "x" * 256},
        {"merchant_data": 17},
    ],
)
def test_an_invalid_purchase_is_refused(client: Client, change: dict[str, Any]) -> None:
    refused = client.call("POST", "/payments/v1/sessions", PURCHASE | change)
    assert (refused.status_code, refused.json()["error_code"]) == (400, "BAD_VALUE")


@pytest.mark.parametrize(
    "change",
    [
        {"payment_session_url": None},
        {"merchant_urls": {"success": 17}},
        {"merchant_urls": {"invention": "https://shop.example"}},
        {"options": {"place_order_mode": "LATER"}},
        {"options": []},
    ],
)
def test_an_invalid_page_is_refused(client: Client, change: dict[str, Any]) -> None:
    refused = client.call("POST", "/hpp/v1/sessions", {"payment_session_url": "https://x/1"} | change)
    assert refused.status_code == 400


def test_a_page_needs_a_session(client: Client) -> None:
    assert client.call("POST", "/hpp/v1/sessions", {"payment_session_url": "https://x/none"}).status_code == 404


def test_the_page_does_not_show_its_address_again(client: Client) -> None:
    page = client.call("GET", f"/hpp/v1/sessions/{client.opened()}").json()
    assert page.keys() == {"session_id", "status", "updated_at", "expires_at"}


def test_the_mode_of_a_page_decides_what_an_approval_places(client: Client) -> None:
    held, taken, none = (client.decide(client.opened(mode)) for mode in ("PLACE_ORDER", "CAPTURE_ORDER", "NONE"))
    states = [client.order(f"/ordermanagement/v1/orders/{page['order_id']}")["status"] for page in (held, taken)]
    assert states == ["AUTHORIZED", "CAPTURED"]
    assert "order_id" not in none
    assert none["authorization_token"]


def test_placeholders_of_links_are_filled_in(client: Client) -> None:
    page = client.opened(success="https://shop.example/?page={{session_id}}&order={{order_id}}")
    url = f"{client.running.url}/_sandbox/klarna/{page}"
    sent_to = requests.post(url, json={"decision": "approve"}, timeout=SECONDS).json()["sent_to"]
    order_id = client.call("GET", f"/hpp/v1/sessions/{page}").json()["order_id"]
    assert sent_to == f"https://shop.example/?page={page}&order={order_id}"


def test_a_decision_is_made_once(client: Client) -> None:
    page = client.opened()
    assert client.decide(page, "decline")["status"] == "FAILED"
    assert client.decide(page)["status"] == "FAILED"
    done = client.opened()
    first = client.decide(done)
    assert client.decide(done) == first
    assert client.call("DELETE", f"/hpp/v1/sessions/{done}").status_code == 400


def test_a_disabled_page_takes_no_order(client: Client) -> None:
    page = client.opened()
    assert client.call("DELETE", f"/hpp/v1/sessions/{page}").status_code == 204
    assert client.decide(page)["status"] == "DISABLED"
    assert client.running.state.ledger.movements == []


def test_pages_are_forgotten_after_two_days(client: Client) -> None:
    page = client.opened()
    client.running.state.advance(2 * DAY)
    assert client.call("GET", f"/hpp/v1/sessions/{page}").status_code == 404
    shown = requests.get(f"{client.running.url}/klarna/hosted/{page}", timeout=SECONDS)
    assert shown.status_code == 404


def test_a_repeated_key_gets_the_first_response_whatever_the_request(client: Client) -> None:
    path, key = client.placed(), str(uuid.uuid4())
    first = client.call("POST", f"{path}/captures", {"captured_amount": 400}, key)
    other = client.call("POST", f"{path}/captures", {"captured_amount": 600}, key)
    assert (first.status_code, first.content) == (201, b"")
    assert first.headers["Capture-Id"] == other.headers["Capture-Id"]
    assert first.headers["klarna-correlation-id"] != other.headers["klarna-correlation-id"]
    assert client.order(path)["captured_amount"] == 400


def test_a_key_is_forgotten_after_a_day(client: Client) -> None:
    path, key = client.placed(), str(uuid.uuid4())
    for seconds in (DAY - 1, 1):
        client.call("POST", f"{path}/captures", {"captured_amount": 400}, key)
        client.running.state.advance(seconds)
    assert client.order(path)["captured_amount"] == 400
    client.call("POST", f"{path}/captures", {"captured_amount": 400}, key)
    assert client.order(path)["captured_amount"] == 800


def test_a_refusal_is_not_kept_under_its_key(client: Client) -> None:
    path, key = client.placed(), str(uuid.uuid4())
    assert client.call("POST", f"{path}/refunds", {"refunded_amount": 1}, key).status_code == 403
    client.call("POST", f"{path}/captures", {"captured_amount": 1000})
    assert client.call("POST", f"{path}/refunds", {"refunded_amount": 1}, key).status_code == 201


def test_a_stored_failure_comes_back_under_its_key_for_a_day(client: Client) -> None:
    path, key = client.placed(), str(uuid.uuid4())
    body = {"operation": "klarna.captures.create", "fault": "error_stored"}
    requests.post(f"{client.running.url}/_sandbox/faults", json=body, timeout=SECONDS).raise_for_status()
    keys = (key, key, str(uuid.uuid4()))
    statuses = [client.call("POST", f"{path}/captures", {"captured_amount": 400}, used).status_code for used in keys]
    assert statuses == [500, 500, 201]
    client.running.state.advance(DAY)
    assert client.call("POST", f"{path}/captures", {"captured_amount": 400}, key).status_code == 201
    assert client.order(path)["captured_amount"] == 800


@pytest.mark.parametrize(
    ("done", "call", "body", "code"),
    [
        ([], "captures", {"captured_amount": 1001}, "CAPTURE_NOT_ALLOWED"),
        ([], "captures", {"captured_amount": 0}, "CAPTURE_NOT_ALLOWED"),
        ([], "captures", {"captured_amount": "1"}, "BAD_VALUE"),
        ([], "captures", {}, "BAD_VALUE"),
        ([], "captures", {"captured_amount": 1, "reference": "x" * 256}, "BAD_VALUE"),
        ([], "refunds", {"refunded_amount": 1}, "REFUND_NOT_ALLOWED"),
        ([], "release-remaining-authorization", None, "NOT_ALLOWED"),
        (["part"], "captures", {"captured_amount": 601}, "CAPTURE_NOT_ALLOWED"),
        (["part"], "refunds", {"refunded_amount": 401}, "REFUND_NOT_ALLOWED"),
        (["part"], "cancel", None, "CANCEL_NOT_ALLOWED"),
        (["part", "release"], "captures", {"captured_amount": 1}, "CAPTURE_NOT_ALLOWED"),
        (["part", "release"], "release-remaining-authorization", None, "NOT_ALLOWED"),
        (["cancel"], "captures", {"captured_amount": 1}, "CAPTURE_NOT_ALLOWED"),
        (["cancel"], "cancel", None, "CANCEL_NOT_ALLOWED"),
    ],
)
def test_an_operation_that_the_order_does_not_allow_is_refused(
    client: Client, done: list[str], call: str, body: Any, code: str
) -> None:
    path = client.placed()
    steps = {
        "part": ("captures", {"captured_amount": 400}),
        "release": ("release-remaining-authorization", None),
        "cancel": ("cancel", None),
    }
    for step in done:
        name, given = steps[step]
        assert client.call("POST", f"{path}/{name}", given).ok
    before = len(client.running.state.ledger.movements)
    refused = client.call("POST", f"{path}/{call}", body)
    assert refused.json()["error_code"] == code
    assert len(client.running.state.ledger.movements) == before


def test_captures_and_refunds_can_be_read(client: Client) -> None:
    path = client.placed()
    client.call("POST", f"{path}/captures", {"captured_amount": 1000, "reference": "at_2"})
    refund = client.call("POST", f"{path}/refunds", {"refunded_amount": 300, "reference": "at_3"})
    captures = client.call("GET", f"{path}/captures").json()
    assert [(each["captured_amount"], each["reference"]) for each in captures] == [(1000, "at_2")]
    read = client.call("GET", f"{path}/refunds/{refund.headers['Refund-Id']}").json()
    assert (read["refunded_amount"], read["reference"]) == (300, "at_3")
    assert client.call("GET", f"{path}/refunds/none").status_code == 404


def test_the_books_show_every_order(client: Client) -> None:
    path = client.placed()
    client.call("POST", f"{path}/captures", {"captured_amount": 400})
    client.call("POST", f"{path}/release-remaining-authorization")
    client.call("POST", f"{path}/refunds", {"refunded_amount": 100})
    (row,) = requests.get(f"{client.running.url}/_sandbox/books", timeout=SECONDS).json()["books"]
    assert row["object"] == path.rpartition("/")[2]
    assert row["metadata"] == {"payment_id": "pay_1", "attempt_id": "at_1"}
    assert (row["status"], row["currency"]) == ("CAPTURED", "SEK")
    assert [row[name] for name in ("charges", "authorized", "captured", "voided", "refunded")] == [
        1,
        1000,
        400,
        600,
        100,
    ]


def test_an_authorization_ends_after_four_weeks(client: Client) -> None:
    whole, part = client.placed(), client.placed()
    client.call("POST", f"{part}/captures", {"captured_amount": 400})
    client.running.state.advance(28 * DAY)
    assert [client.order(path)["status"] for path in (whole, part)] == ["EXPIRED", "CAPTURED"]
    assert client.order(part)["remaining_authorized_amount"] == 0


def test_unknown_decisions_are_refused(client: Client) -> None:
    order_id = client.placed().rpartition("/")[2]
    url = f"{client.running.url}/_sandbox/klarna"
    assert (
        requests.post(f"{url}/orders/{order_id}/fraud", json={"decision": "maybe"}, timeout=SECONDS).status_code == 400
    )
    assert requests.post(f"{url}/orders/none/fraud", json={"decision": "accept"}, timeout=SECONDS).status_code == 404
    assert requests.post(f"{url}/none", json={"decision": "approve"}, timeout=SECONDS).status_code == 404


def test_the_page_shows_the_amount_with_its_currency(client: Client) -> None:
    page = requests.get(f"{client.running.url}/klarna/hosted/{client.opened()}", timeout=SECONDS)
    assert "<strong>10.00 SEK</strong>" in page.text
