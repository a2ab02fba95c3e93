"""Coinbase Business in the sandbox: tokens, checkouts, refunds, idempotency and webhooks, as its documents say."""

from __future__ import annotations

import hashlib
import hmac
import re
import time
import uuid
from typing import Any

import jwt
import pytest
import requests

from sandbox.server import RunningSandbox
from sandbox.state import Settings
from tests.contract.specifications import all_of
from tests.sandbox.receiver import SECONDS, Receiver

DAY = 24 * 3600
GOOD = {"amount": "24.90", "currency": "EUR"}
NOT_VERIFIED = "the sandbox does not verify this signature"


class Client:
    """A merchant's client of the Checkouts API and of the control routes."""

    def __init__(self, sandbox: RunningSandbox) -> None:
        self.sandbox = sandbox
        self._movements_before = len(sandbox.state.ledger.movements)
        self.url = f"{sandbox.url}/coinbase"

    def token(self, method: str, path: str, *, starts: int = 0, ends: int = 120, **changes: Any) -> str:
        """Return a bearer token for one request, valid between these seconds from now."""
        now = int(time.time())
        host = self.url.partition("://")[2]
        claims = {
            "sub": "sandbox-key",
            "iss": "cdp",
            "nbf": now + starts,
            "exp": now + ends,
            "uris": [f"{method} {host}{path}"],
        }
        return jwt.encode(claims | changes, NOT_VERIFIED, algorithm="HS256")

    def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        key: str | None = None,
        token: str = "",
        **query: Any,
    ) -> requests.Response:
        """Call an operation, by default with a valid token for it."""
        headers = {"Authorization": f"Bearer {token or self.token(method, path)}"}
        if key is not None:
            headers["X-Idempotency-Key"] = key
        return requests.request(method, self.url + path, json=body, headers=headers, params=query, timeout=SECONDS)

    def opened(self, **changes: Any) -> dict[str, Any]:
        """Return a new checkout of 24.90 EUR."""
        created: dict[str, Any] = self.call("POST", "/checkouts", GOOD | changes).json()
        return created

    def read(self, id: str) -> dict[str, Any]:
        """Return a checkout."""
        checkout: dict[str, Any] = self.call("GET", f"/checkouts/{id}").json()
        return checkout

    def control(self, path: str, **body: Any) -> requests.Response:
        """Post to a control route."""
        return requests.post(f"{self.sandbox.url}/_sandbox/coinbase/{path}", json=body, timeout=SECONDS)

    def paid(self, **changes: Any) -> dict[str, Any]:
        """Return a paid checkout."""
        id = self.opened(**changes)["id"]
        assert self.control(id, decision="approve").ok
        return self.read(id)

    def refund(self, id: str, key: str | None = None, **changes: Any) -> requests.Response:
        """Refund 10.00 EUR of a checkout."""
        body = {"amount": "10.00", "currency": "EUR"} | changes
        return self.call("POST", f"/checkouts/{id}/refund", body, key=key)

    def events(self, about: str) -> list[str]:
        """Return the types of the events about an object, oldest first."""
        found = requests.get(f"{self.sandbox.url}/_sandbox/coinbase/events?about={about}", timeout=SECONDS)
        return [event["body"]["eventType"] for event in found.json()["events"]]

    def moved(self) -> list[tuple[str, int]]:
        """Return every movement of money since this client was made, in minor units."""
        rows = self.sandbox.state.ledger.movements[self._movements_before :]
        return [(row.kind, row.amount) for row in rows]


def refusal(response: requests.Response) -> tuple[int, str]:
    """Return the status and the type of a refusal."""
    assert response.json().keys() == {"errorType", "errorMessage", "correlationId"}
    return response.status_code, response.json()["errorType"]


@pytest.fixture
def client(shared: RunningSandbox) -> Client:
    """A merchant with the shared sandbox."""
    return Client(shared)


@pytest.fixture
def own(own_sandbox: RunningSandbox) -> Client:
    """A merchant with a new sandbox, for a test that moves the clock, lists objects or reuses an invoice id."""
    return Client(own_sandbox)


# --- tokens ---


@pytest.mark.parametrize(
    "changes",
    [
        {"sub": "organizations/live/apiKeys/1"},
        {"iss": "another"},
        {"uris": ["GET business.coinbase.com/api/v1/checkouts"]},
        {"uris": []},
        {"uris": None},
        {"starts": 600, "ends": 700},
        {"starts": -700, "ends": -600},
        {"ends": 600},
        {"exp": "later"},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_a_token_is_valid_for_one_request_of_a_sandbox_key_and_two_minutes(own: Client, changes: Any) -> None:
    assert own.call("GET", "/checkouts").status_code == 200
    token = own.token("GET", "/checkouts", **changes)
    assert refusal(own.call("GET", "/checkouts", token=token)) == (401, "unauthorized")


def test_a_token_of_another_request_or_none_is_refused(own: Client) -> None:
    for token in (own.token("POST", "/checkouts"), own.token("GET", "/checkouts/1"), "no.token.here"):
        assert refusal(own.call("GET", "/checkouts", token=token)) == (401, "unauthorized")
    assert refusal(requests.get(f"{own.url}/checkouts", timeout=SECONDS)) == (401, "unauthorized")


# --- checkouts ---


def test_a_checkout_is_priced_in_its_currency_and_in_usdc(client: Client) -> None:
    created = client.call("POST", "/checkouts", GOOD | {"metadata": {"order": "7"}, "description": "a thing"})
    body = created.json()
    assert (created.status_code, body["status"], body["network"]) == (201, "ACTIVE", "base")
    assert (body["fiatAmount"], body["fiatCurrency"], body["currency"]) == ("24.90", "EUR", "USDC")
    assert (body["metadata"], body["description"], body["refunds"]) == ({"order": "7"}, "a thing", [])
    assert client.read(body["id"]) == body


@pytest.mark.parametrize(
    "changes",
    [
        {"amount": None},
        {"amount": 10},
        {"amount": "0"},
        {"amount": "-1.00"},
        {"amount": "1e3"},
        {"amount": "10.001"},
        {"amount": "100000000.01"},
        {"currency": None},
        {"currency": "JPY"},
        {"currency": "BTC"},
        {"network": "ethereum"},
        {"description": "x" * 501},
        {"metadata": {str(number): "" for number in range(21)}},
        {"metadata": {"long": "x" * 101}},
        {"metadata": {"number": 7}},
        {"metadata": ["text"]},
        {"successRedirectUrl": "http://shop.example"},
        {"successRedirectUrl": "https://shop.example/" + "x" * 2048},
        {"failRedirectUrl": "ftp://shop.example"},
    ],
    ids=lambda changes: str(changes)[:40],
)
def test_an_invalid_checkout_is_refused(own: Client, changes: dict[str, Any]) -> None:
    assert refusal(own.call("POST", "/checkouts", GOOD | changes)) == (400, "invalid_request")
    assert own.call("GET", "/checkouts").json()["checkouts"] == []


@pytest.mark.parametrize("amount", ["0.01", "100000000", "10", "10.5"])
def test_amounts_within_the_limits_are_accepted(client: Client, amount: str) -> None:
    assert client.call("POST", "/checkouts", GOOD | {"amount": amount}).status_code == 201


def test_a_body_that_is_not_a_json_object_is_refused(client: Client) -> None:
    headers = {"Authorization": f"Bearer {client.token('POST', '/checkouts')}"}
    for raw in ("{", "[1]"):
        refused = requests.post(f"{client.url}/checkouts", data=raw, headers=headers, timeout=SECONDS)
        assert refusal(refused) == (400, "malformed_request")


def test_an_unknown_checkout_is_not_found(client: Client) -> None:
    for method, path in (("GET", ""), ("POST", "/deactivate"), ("POST", "/refund")):
        assert refusal(client.call(method, f"/checkouts/{'0' * 24}{path}", {})) == (404, "not_found")


# --- the customer's payment ---


def test_a_payment_completes_the_checkout(client: Client) -> None:
    opened = client.opened(successRedirectUrl="https://shop.example/paid")
    assert client.control(opened["id"], decision="approve").json() == {"sent_to": "https://shop.example/paid"}
    body = client.read(opened["id"])
    assert (body["status"], body["settlement"]["currency"]) == ("COMPLETED", "USDC")
    assert body["transactionHash"].startswith("0x")
    assert client.events(opened["id"]) == ["checkout.payment.success"]
    assert client.moved() == [("charge", 2490)]


def test_a_failed_payment_is_final(client: Client) -> None:
    opened = client.opened(failRedirectUrl="https://shop.example/failed")
    assert client.control(opened["id"], decision="decline").json() == {"sent_to": "https://shop.example/failed"}
    client.control(opened["id"], decision="approve")
    assert client.read(opened["id"])["status"] == "FAILED"
    assert client.events(opened["id"]) == ["checkout.payment.failed"]
    assert client.moved() == []


def test_a_cancel_leaves_the_checkout_active(client: Client) -> None:
    opened = client.opened()
    client.control(opened["id"], decision="cancel")
    assert client.read(opened["id"])["status"] == "ACTIVE"
    client.control(opened["id"], decision="approve")
    assert client.read(opened["id"])["status"] == "COMPLETED"


@pytest.mark.parametrize(("result", "status"), [("success", "COMPLETED"), ("failure", "FAILED")])
def test_a_slow_payment_is_processing_until_it_is_finished(client: Client, result: str, status: str) -> None:
    id = client.opened()["id"]
    client.control(id, decision="pay_slowly")
    assert (client.read(id)["status"], client.moved()) == ("PROCESSING", [])
    assert refusal(client.call("POST", f"/checkouts/{id}/deactivate")) == (400, "invalid_request")
    assert client.control(f"{id}/settle", result=result).ok
    assert client.read(id)["status"] == status
    assert client.control(f"{id}/settle", result=result).status_code == 404


def test_payments_finish_by_the_sandbox_clock_if_it_is_set_so() -> None:
    with RunningSandbox(Settings(async_settle_seconds=60)) as running:
        client = Client(running)
        assert client.paid()["status"] == "PROCESSING"
        running.state.advance(61)
        (checkout,) = client.call("GET", "/checkouts").json()["checkouts"]
        assert checkout["status"] == "COMPLETED"


def test_a_checkout_expires_after_a_day(own: Client) -> None:
    id = own.opened()["id"]
    own.sandbox.state.advance(DAY - 60)
    assert own.read(id)["status"] == "ACTIVE"
    own.sandbox.state.advance(61)
    own.control(id, decision="approve")
    assert own.read(id)["status"] == "EXPIRED"
    assert (own.events(id), own.moved()) == (["checkout.payment.expired"], [])


def test_only_an_active_checkout_is_deactivated(client: Client) -> None:
    id = client.opened()["id"]
    assert client.call("POST", f"/checkouts/{id}/deactivate").json()["status"] == "DEACTIVATED"
    client.control(id, decision="approve")
    assert client.read(id)["status"] == "DEACTIVATED"
    for closed in (id, client.paid()["id"]):
        assert refusal(client.call("POST", f"/checkouts/{closed}/deactivate")) == (400, "invalid_request")


# --- refunds ---


def test_refunds_add_up_and_never_exceed_the_price(client: Client) -> None:
    id = client.paid()["id"]
    first = client.refund(id, reason="damaged").json()["checkout"]
    assert (first["status"], first["refunds"][-1]["status"]) == ("PARTIALLY_REFUNDED", "COMPLETED")
    assert (first["refunds"][-1]["fiatAmount"], first["refunds"][-1]["reason"]) == ("10.00", "damaged")
    assert refusal(client.refund(id, amount="14.91")) == (400, "invalid_request")
    assert client.refund(id, amount="14.90").json()["checkout"]["status"] == "REFUNDED"
    assert refusal(client.refund(id, amount="0.01")) == (400, "invalid_request")
    assert client.moved() == [("charge", 2490), ("refund", 1000), ("refund", 1490)]


@pytest.mark.parametrize(
    "changes",
    [
        {"amount": None},
        {"amount": "0"},
        {"amount": "-1"},
        {"currency": "USD"},
        {"currency": None},
        {"reason": "x" * 501},
    ],
    ids=str,
)
def test_an_invalid_refund_is_refused(client: Client, changes: dict[str, Any]) -> None:
    id = client.paid()["id"]
    assert refusal(client.refund(id, **changes)) == (400, "invalid_request")
    assert client.moved() == [("charge", 2490)]


def test_an_unpaid_checkout_has_no_refund(client: Client) -> None:
    assert refusal(client.refund(client.opened()["id"])) == (400, "invalid_request")


@pytest.mark.parametrize(
    ("result", "status", "event"),
    [
        ("success", "PARTIALLY_REFUNDED", "checkout.refund.success"),
        ("failure", "COMPLETED", "checkout.refund.failed"),
    ],
)
def test_a_pending_refund_counts_until_it_fails(client: Client, result: str, status: str, event: str) -> None:
    id = client.paid()["id"]
    assert client.control(f"{id}/refund_slowly").ok
    refund = client.refund(id).json()["checkout"]["refunds"][-1]
    assert refund["status"] == "PENDING"
    assert refusal(client.refund(id, amount="14.91")) == (400, "invalid_request")
    assert client.control(f"{refund['id']}/settle", result=result).ok
    assert (client.read(id)["status"], client.events(refund["id"])) == (status, [event])
    assert client.moved() == [("charge", 2490)] + ([("refund", 1000)] if result == "success" else [])


# --- idempotency ---


def test_a_repeated_key_gets_the_first_response_and_executes_nothing(client: Client) -> None:
    key, other = str(uuid.uuid4()), str(uuid.uuid4())
    first = client.call("POST", "/checkouts", GOOD, key=key)
    client.control(first.json()["id"], decision="approve")
    again = client.call("POST", "/checkouts", GOOD, key=key)
    assert (again.status_code, again.json()) == (201, first.json())
    refunds = [client.refund(first.json()["id"], key=other).json() for _ in range(2)]
    assert refunds[0] == refunds[1]
    assert client.moved() == [("charge", 2490), ("refund", 1000)]


def test_a_key_is_a_uuid_and_belongs_to_one_request(own: Client) -> None:
    key = str(uuid.uuid4())
    own.call("POST", "/checkouts", GOOD, key=key)
    other = own.call("POST", "/checkouts", GOOD | {"amount": "1.00"}, key=key)
    assert refusal(other) == (400, "idempotency_error")
    for wrong in ("at_1", "", str(uuid.uuid1())):
        assert refusal(own.call("POST", "/checkouts", GOOD, key=wrong)) == (400, "invalid_request")
    assert len(own.call("GET", "/checkouts").json()["checkouts"]) == 1


def test_a_refusal_is_not_kept_under_its_key(client: Client) -> None:
    key = str(uuid.uuid4())
    id = client.opened()["id"]
    assert client.refund(id, key=key).status_code == 400
    client.control(id, decision="approve")
    assert client.refund(id, key=key).status_code == 200


# --- lists and webhooks ---


def test_a_list_is_newest_first_by_pages_and_by_status(own: Client) -> None:
    ids = [own.opened()["id"] for _ in range(3)]
    own.control(ids[0], decision="approve")
    page = own.call("GET", "/checkouts", pageSize="2").json()
    assert [each["id"] for each in page["checkouts"]] == [ids[2], ids[1]]
    last = own.call("GET", "/checkouts", pageSize="2", pageToken=page["nextPageToken"]).json()
    assert ([each["id"] for each in last["checkouts"]], last["nextPageToken"]) == ([ids[0]], "")
    paid = own.call("GET", "/checkouts", status="COMPLETED").json()["checkouts"]
    assert [each["id"] for each in paid] == [ids[0]]
    assert refusal(own.call("GET", "/checkouts", pageSize="many")) == (400, "invalid_request")


def test_a_webhook_is_the_checkout_with_its_type_signed_in_both_versions(
    hooked_sandbox: RunningSandbox, receiver: Receiver
) -> None:
    client = Client(hooked_sandbox)
    id = client.paid(metadata={"order": "7"})["id"]
    delivery = receiver.next(lambda body: body.get("id") == id)
    assert delivery.path == "/coinbase"
    assert delivery.body == client.read(id) | {"eventType": "checkout.payment.success"}
    signature = dict(part.split("=", 1) for part in delivery.headers["X-Hook0-Signature"].split(","))
    names = signature["h"].split(" ")
    assert names == ["content-type", "x-event-id", "x-event-type"]
    values = ".".join(delivery.headers[name] for name in names)
    signed = {
        "v0": f"{signature['t']}.".encode() + delivery.raw,
        "v1": f"{signature['t']}.{signature['h']}.{values}.".encode() + delivery.raw,
    }
    for version, text in signed.items():
        assert signature[version] == hmac.new(b"whsec_test", text, hashlib.sha256).hexdigest()
    assert int(signature["t"]) == pytest.approx(time.time(), abs=60)


def test_the_page_shows_the_price_and_further_decisions(client: Client) -> None:
    page = requests.get(client.opened()["url"], timeout=SECONDS).text
    assert "<strong>24.90 EUR</strong>" in page
    assert 'value="pay_slowly"' in page
    assert client.control(client.opened()["id"], decision="maybe").status_code == 400


def test_every_body_is_as_the_documents_describe_it(client: Client) -> None:
    opened, paid = client.opened(), client.paid()
    client.refund(paid["id"])
    for contract in all_of("coinbase", "business-checkouts.hand-written.json"):
        described = contract["checkout"]
        for body in (opened, paid, client.read(paid["id"])):
            assert set(described["required"]) <= body.keys() <= {*described["required"], *described["optional"]}
            assert body["status"] in described["status"]
            assert re.fullmatch(described["id_pattern"], body["id"])
            assert re.fullmatch(described["amount_pattern"], body["amount"])
            assert all(refund.keys() <= set(described["refund"]["fields"]) for refund in body["refunds"])
        assert set(client.events(paid["id"])) <= set(contract["webhook_events"])
