"""Coinbase Commerce in the sandbox: authentication, charges, their timeline, lists, events and signatures."""

from __future__ import annotations

import hashlib
import hmac
import uuid
from typing import Any

import pytest
import requests

from sandbox.server import RunningSandbox
from tests.sandbox.receiver import SECONDS, Receiver

HOUR = 3600
HEADERS = {"X-CC-Api-Key": "sandbox-key", "X-CC-Version": "2018-03-22"}
GOOD = {
    "name": "a thing",
    "description": "a thing of value",
    "pricing_type": "fixed_price",
    "local_price": {"amount": "24.90", "currency": "EUR"},
}


class Client:
    """A merchant's client of the Charge API and of the control routes."""

    def __init__(self, sandbox: RunningSandbox) -> None:
        self.sandbox = sandbox
        self._movements_before = len(sandbox.state.ledger.movements)
        self.url = f"{sandbox.url}/coinbase_commerce"

    def call(
        self, method: str, path: str, body: Any = None, headers: dict[str, str] = HEADERS, **query: Any
    ) -> requests.Response:
        """Call an operation."""
        return requests.request(method, self.url + path, json=body, headers=headers, params=query, timeout=SECONDS)

    def opened(self, **changes: Any) -> dict[str, Any]:
        """Return a new charge of 24.90 EUR."""
        charge: dict[str, Any] = self.call("POST", "/charges", GOOD | changes).json()["data"]
        return charge

    def read(self, id: str) -> dict[str, Any]:
        """Return a charge."""
        charge: dict[str, Any] = self.call("GET", f"/charges/{id}").json()["data"]
        return charge

    def control(self, path: str, **body: Any) -> requests.Response:
        """Post to a control route."""
        return requests.post(f"{self.sandbox.url}/_sandbox/coinbase_commerce/{path}", json=body, timeout=SECONDS)

    def decided(self, decision: str, **changes: Any) -> dict[str, Any]:
        """Return a charge after a decision of its customer."""
        id = self.opened(**changes)["id"]
        assert self.control(id, decision=decision).ok
        return self.read(id)

    def events(self, id: str) -> list[str]:
        """Return the types of the events about a charge, oldest first."""
        listed = self.call("GET", "/events", limit=100, order="asc").json()["data"]
        return [event["type"] for event in listed if event["data"]["id"] == id]

    def moved(self) -> list[tuple[str, int]]:
        """Return every movement of money since this client was made, in minor units."""
        rows = self.sandbox.state.ledger.movements[self._movements_before :]
        return [(row.kind, row.amount) for row in rows]


def timeline(charge: dict[str, Any]) -> list[tuple[str, str | None]]:
    """Return the status and the context of each entry of a timeline."""
    return [(entry["status"], entry.get("context")) for entry in charge["timeline"]]


def refusal(response: requests.Response) -> tuple[int, str]:
    """Return the status and the type of a refusal."""
    assert response.json()["error"].keys() == {"type", "message"}
    return response.status_code, response.json()["error"]["type"]


@pytest.fixture
def client(shared: RunningSandbox) -> Client:
    """A merchant with the shared sandbox."""
    return Client(shared)


@pytest.fixture
def own(own_sandbox: RunningSandbox) -> Client:
    """A merchant with a new sandbox, for a test that moves the clock, lists objects or reuses an invoice id."""
    return Client(own_sandbox)


@pytest.mark.parametrize(
    ("changes", "refused_with"),
    [
        ({"X-CC-Api-Key": ""}, (401, "authentication_error")),
        ({"X-CC-Api-Key": "live-key"}, (401, "authentication_error")),
        ({"X-CC-Version": ""}, (400, "invalid_request")),
    ],
    ids=str,
)
def test_a_sandbox_key_and_a_version_are_needed(own: Client, changes: Any, refused_with: tuple[int, str]) -> None:
    assert own.call("GET", "/charges").status_code == 200
    assert refusal(own.call("GET", "/charges", headers=HEADERS | changes)) == refused_with


# --- charges ---


def test_a_charge_is_priced_in_its_currency_and_in_coins(client: Client) -> None:
    created = client.call("POST", "/charges", GOOD | {"metadata": {"order": "7"}})
    charge = created.json()["data"]
    assert (created.status_code, timeline(charge), charge["payments"]) == (201, [("NEW", None)], [])
    assert (str(uuid.UUID(charge["id"])), len(charge["code"])) == (charge["id"], 8)
    assert charge["pricing"]["local"] == {"amount": "24.90", "currency": "EUR"}
    assert charge["pricing"].keys() - {"local"} == charge["addresses"].keys()
    assert (charge["metadata"], charge["pricing_type"]) == ({"order": "7"}, "fixed_price")
    assert client.read(charge["id"]) == client.read(charge["code"]) == charge
    assert client.events(charge["id"]) == ["charge:created"]


@pytest.mark.parametrize(
    "changes",
    [
        {"name": None},
        {"name": ""},
        {"description": None},
        {"description": "x" * 501},
        {"pricing_type": None},
        {"pricing_type": "no_price"},
        {"local_price": None},
        {"local_price": "24.90 EUR"},
        {"local_price": {"amount": "24.90"}},
        {"local_price": {"amount": 24.9, "currency": "EUR"}},
        {"local_price": {"amount": "0", "currency": "EUR"}},
        {"local_price": {"amount": "-1", "currency": "EUR"}},
        {"local_price": {"amount": "24.90", "currency": "EURO"}},
        {"metadata": ["text"]},
    ],
    ids=lambda changes: str(changes)[:60],
)
def test_an_invalid_charge_is_refused(own: Client, changes: dict[str, Any]) -> None:
    assert refusal(own.call("POST", "/charges", GOOD | changes)) == (400, "invalid_request")
    assert own.call("GET", "/charges").json()["data"] == []


def test_a_body_that_is_not_a_json_object_is_refused(client: Client) -> None:
    for raw in ("{", "[1]"):
        refused = requests.post(f"{client.url}/charges", data=raw, headers=HEADERS, timeout=SECONDS)
        assert refusal(refused) == (400, "invalid_request")


def test_a_repeated_create_is_a_second_charge_because_there_are_no_idempotency_keys(client: Client) -> None:
    headers = HEADERS | {"Idempotency-Key": "same", "X-Idempotency-Key": str(uuid.uuid4())}
    ids = {client.call("POST", "/charges", GOOD, headers).json()["data"]["id"] for _ in range(2)}
    assert len(ids) == 2


def test_there_are_no_refunds(client: Client) -> None:
    charge = client.decided("approve")
    assert client.call("POST", f"/charges/{charge['id']}/refund", {"amount": "1.00"}).status_code == 404
    assert client.moved() == [("charge", 2490)]


def test_an_unknown_charge_or_event_is_not_found(client: Client) -> None:
    for method, path in (("GET", ""), ("POST", "/cancel"), ("POST", "/resolve")):
        assert refusal(client.call(method, f"/charges/NONE{path}")) == (404, "not_found")
    assert refusal(client.call("GET", "/events/none")) == (404, "not_found")


# --- the timeline ---


@pytest.mark.parametrize(
    ("decision", "states", "events", "moved"),
    [
        ("approve", ["NEW", "PENDING", "COMPLETED"], ["created", "pending", "confirmed"], [("charge", 2490)]),
        ("decline", ["NEW", "FAILED"], ["created", "failed"], []),
        ("cancel", ["NEW"], ["created"], []),
        ("pay_slowly", ["NEW", "PENDING"], ["created", "pending"], []),
        ("pay_too_little", ["NEW", "PENDING", "UNRESOLVED"], ["created", "pending", "failed"], []),
        ("pay_too_much", ["NEW", "PENDING", "UNRESOLVED"], ["created", "pending", "failed"], []),
        ("pay_too_late", ["NEW", "EXPIRED", "UNRESOLVED"], ["created", "failed", "delayed"], []),
    ],
)
def test_each_decision_has_its_timeline_and_events(
    client: Client, decision: str, states: list[str], events: list[str], moved: Any
) -> None:
    charge = client.decided(decision)
    assert [status for status, _ in timeline(charge)] == states
    assert client.events(charge["id"]) == [f"charge:{event}" for event in events]
    assert client.moved() == moved


@pytest.mark.parametrize(
    ("decision", "context", "received"),
    [
        ("pay_too_little", "UNDERPAID", 1494),
        ("pay_too_much", "OVERPAID", 3735),
        ("pay_too_late", "DELAYED", 2490),
    ],
)
def test_an_unresolved_charge_is_resolved_with_the_received_amount(
    client: Client, decision: str, context: str, received: int
) -> None:
    charge = client.decided(decision)
    assert timeline(charge)[-1] == ("UNRESOLVED", context)
    resolved = client.call("POST", f"/charges/{charge['id']}/resolve").json()["data"]
    assert timeline(resolved)[-1] == ("RESOLVED", None)
    assert client.moved() == [("charge", received)]
    assert client.events(charge["id"])[-1] == "charge:resolved"
    assert refusal(client.call("POST", f"/charges/{charge['id']}/resolve")) == (400, "invalid_request")


@pytest.mark.parametrize(("result", "status"), [("success", "COMPLETED"), ("failure", "FAILED")])
def test_a_slow_payment_is_pending_until_it_is_finished(client: Client, result: str, status: str) -> None:
    charge = client.decided("pay_slowly")
    assert charge["payments"][-1]["status"] == "PENDING"
    assert client.control(f"{charge['id']}/settle", result=result).ok
    assert timeline(client.read(charge["id"]))[-1] == (status, None)
    assert client.control(f"{charge['id']}/settle", result=result).status_code == 404


def test_a_payment_counts_its_confirmations(client: Client) -> None:
    pending, completed = client.decided("pay_slowly"), client.decided("approve")
    counts = [charge["payments"][-1]["block"]["confirmations_accumulated"] for charge in (pending, completed)]
    assert counts == [0, completed["payments"][-1]["block"]["confirmations_required"]]
    assert completed["payments"][-1]["value"]["local"] == {"amount": "24.90", "currency": "EUR"}
    assert ("confirmed_at" in pending, "confirmed_at" in completed) == (False, True)


def test_a_charge_expires_after_an_hour(own: Client) -> None:
    charge = own.opened()
    own.sandbox.state.advance(HOUR - 60)
    assert timeline(own.read(charge["id"]))[-1] == ("NEW", None)
    own.sandbox.state.advance(61)
    assert timeline(own.read(charge["id"]))[-1] == ("EXPIRED", None)
    own.control(charge["id"], decision="approve")
    assert timeline(own.read(charge["id"]))[-1] == ("UNRESOLVED", "DELAYED")


def test_only_a_new_charge_is_canceled(client: Client) -> None:
    charge = client.opened()
    canceled = client.call("POST", f"/charges/{charge['code']}/cancel").json()["data"]
    assert timeline(canceled)[-1] == ("CANCELED", None)
    client.control(charge["id"], decision="approve")
    assert timeline(client.read(charge["id"]))[-1] == ("CANCELED", None)
    for decision in ("pay_slowly", "approve", "decline"):
        closed = client.decided(decision)
        assert refusal(client.call("POST", f"/charges/{closed['id']}/cancel")) == (400, "invalid_request")
        assert refusal(client.call("POST", f"/charges/{closed['id']}/resolve")) == (400, "invalid_request")


@pytest.mark.parametrize(
    ("decision", "url"),
    [
        ("approve", "https://shop.example/paid"),
        ("decline", "https://shop.example/no"),
        ("cancel", "https://shop.example/no"),
    ],
)
def test_the_customer_is_redirected_to_the_merchant(client: Client, decision: str, url: str) -> None:
    charge = client.opened(redirect_url="https://shop.example/paid", cancel_url="https://shop.example/no")
    form = {"decision": decision}
    sent = requests.post(charge["hosted_url"], data=form, allow_redirects=False, timeout=SECONDS)
    assert (sent.status_code, sent.headers["Location"]) == (303, url)


@pytest.mark.parametrize(
    ("amount", "currency", "shown", "minor"),
    [("24.9", "EUR", "24.90 EUR", 2490), ("500", "JPY", "500 JPY", 500), ("1.5", "KWD", "1.500 KWD", 1500)],
)
def test_the_page_shows_the_price_with_its_decimals(
    client: Client, amount: str, currency: str, shown: str, minor: int
) -> None:
    charge = client.opened(local_price={"amount": amount, "currency": currency})
    assert f"<strong>{shown}</strong>" in requests.get(charge["hosted_url"], timeout=SECONDS).text
    client.control(charge["id"], decision="approve")
    assert client.moved() == [("charge", minor)]


# --- lists, events and webhooks ---


def test_a_list_is_newest_first_and_read_by_pages(own: Client) -> None:
    ids = [own.opened()["id"] for _ in range(3)]
    page = own.call("GET", "/charges", limit=2).json()
    assert [charge["id"] for charge in page["data"]] == [ids[2], ids[1]]
    assert (page["pagination"]["total"], page["pagination"]["yielded"]) == (3, 2)
    assert page["pagination"]["cursor_range"] == [ids[2], ids[1]]
    last = own.call("GET", "/charges", limit=2, starting_after=ids[1]).json()["data"]
    assert [charge["id"] for charge in last] == [ids[0]]
    oldest_first = own.call("GET", "/charges", order="asc").json()["data"]
    assert [charge["id"] for charge in oldest_first] == ids


def test_a_page_has_at_most_a_hundred_entries(own: Client) -> None:
    own.opened()
    limits = {limit: own.call("GET", "/charges", limit=limit).json()["pagination"]["limit"] for limit in (7, 1000)}
    assert limits == {7: 7, 1000: 100}
    assert own.call("GET", "/charges").json()["pagination"]["limit"] == 25


def test_an_event_is_read_by_its_id_and_keeps_the_state_of_its_moment(client: Client) -> None:
    charge = client.decided("approve")
    oldest = client.call("GET", "/events", order="asc").json()["data"][0]
    assert (oldest["type"], timeline(oldest["data"])) == ("charge:created", [("NEW", None)])
    assert client.call("GET", f"/events/{oldest['id']}").json()["data"] == oldest
    assert len(client.events(charge["id"])) == 3


def test_a_webhook_signs_its_body_without_a_time(hooked_sandbox: RunningSandbox, receiver: Receiver) -> None:
    client = Client(hooked_sandbox)
    charge = client.decided("approve")
    delivery = receiver.next(lambda body: body["event"]["type"] == "charge:confirmed")
    assert delivery.path == "/coinbase_commerce"
    assert {"id", "attempt_number", "scheduled_for", "event"} == delivery.body.keys()
    assert delivery.body["event"]["data"] == client.read(charge["id"])
    digest = hmac.new(b"whsec_test", delivery.raw, hashlib.sha256).hexdigest()
    assert delivery.headers["X-CC-Webhook-Signature"] == digest


def test_the_books_show_every_charge(own: Client) -> None:
    own.decided("approve", metadata={"payment_id": "pay_1"})
    own.opened()
    books = requests.get(f"{own.sandbox.url}/_sandbox/books", timeout=SECONDS).json()["books"]
    assert [(row["provider"], row["status"], row["captured"]) for row in books] == [
        ("coinbase_commerce", "COMPLETED", 2490),
        ("coinbase_commerce", "NEW", 0),
    ]
    assert books[0]["metadata"] == {"payment_id": "pay_1"}
