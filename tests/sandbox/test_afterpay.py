"""Afterpay in the sandbox: states, refusals, request ids, reversals, and bodies as in its OpenAPI documents."""

from __future__ import annotations

import base64
import hashlib
import hmac
import uuid
from collections.abc import Callable
from typing import Any

import pytest
import requests
from jsonschema import Draft202012Validator

from sandbox.server import RunningSandbox
from tests.contract.specifications import all_of
from tests.sandbox.receiver import SECONDS, Receiver

DAY = 86_400.0
AUTH = ("sandbox-au", "key-of-the-sandbox")


class Client:
    """A merchant's client of Afterpay's API and of the control routes."""

    def __init__(self, sandbox: RunningSandbox) -> None:
        self.sandbox = sandbox
        self.url = f"{sandbox.url}/afterpay"

    def call(self, method: str, path: str, body: Any = None, **query: Any) -> tuple[int, Any]:
        """Return status and JSON of a response."""
        response = requests.request(
            method, f"{self.url}/v2/{path}", json=body, params=query, auth=AUTH, timeout=SECONDS
        )
        return response.status_code, response.json() if response.content else None

    def post(self, path: str, **body: Any) -> tuple[int, Any]:
        """Post a body."""
        return self.call("POST", path, body)

    def token(self, decision: str | None = "approve", minor: int = 1000, reference: str | None = "pay_1/at_1") -> str:
        """Return the token of a checkout on which the shopper has decided."""
        back = "https://shop.example/back"
        status, opened = self.post(
            "checkouts",
            amount=aud(minor),
            consumer={"email": "jo@example.org"},
            merchant={"redirectConfirmUrl": back, "redirectCancelUrl": back},
            merchantReference=reference,
        )
        assert status == 201
        if decision:
            decided = requests.post(
                f"{self.sandbox.url}/_sandbox/afterpay/{opened['token']}", json={"decision": decision}, timeout=SECONDS
            )
            assert decided.status_code == 200
        return str(opened["token"])

    def held(self, decision: str = "approve") -> dict[str, Any]:
        """Return an authorization of 10.00, or one that was declined."""
        return self.post("payments/auth", token=self.token(decision), requestId=new_id())[1]

    def paid(self) -> dict[str, Any]:
        """Return a payment of 10.00."""
        return self.post("payments/capture", token=self.token())[1]

    def moved(self, payment: dict[str, Any]) -> list[tuple[str, int]]:
        """Return the ledger's movements of a payment."""
        rows = self.sandbox.state.ledger.movements
        return [(row.kind, row.amount) for row in rows if row.parent == payment["token"]]


def aud(minor: int) -> dict[str, str]:
    return {"amount": f"{minor // 100}.{minor % 100:02d}", "currency": "AUD"}


def new_id() -> str:
    return str(uuid.uuid4())


def status_and_code(response: tuple[int, Any]) -> tuple[int, str]:
    return response[0], response[1]["errorCode"]


@pytest.fixture
def client(own_sandbox: RunningSandbox) -> Client:
    """A merchant with a new sandbox."""
    return Client(own_sandbox)


# --- states ---


def test_captures_in_part_until_all_is_captured(client: Client) -> None:
    held = client.held()
    shown = [client.post(f"payments/{held['id']}/capture", requestId=new_id(), amount=aud(m))[1] for m in (300, 700)]
    assert [(each["paymentState"], each["openToCaptureAmount"]["amount"]) for each in shown] == [
        ("PARTIALLY_CAPTURED", "7.00"),
        ("CAPTURED", "0.00"),
    ]
    assert [event["type"] for event in shown[1]["events"]] == ["AUTH_APPROVED", "CAPTURED", "CAPTURED"]
    again = client.post(f"payments/{held['id']}/capture", requestId=new_id(), amount=aud(100))
    assert status_and_code(again) == (410, "payment_captured")
    assert client.moved(held) == [("authorization", 1000), ("capture", 300), ("capture", 700)]


@pytest.mark.parametrize(("captured", "state"), [(0, "VOIDED"), (400, "CAPTURED")])
def test_a_release_to_zero_closes_the_payment(client: Client, captured: int, state: str) -> None:
    held = client.held()
    if captured:
        client.post(f"payments/{held['id']}/capture", requestId=new_id(), amount=aud(captured))
    shown = [
        client.post(f"payments/{held['id']}/void", requestId=new_id(), amount=aud(minor))[1]
        for minor in (100, 900 - captured)
    ]
    assert [each["paymentState"] for each in shown][-1] == state
    assert shown[0]["paymentState"] == ("PARTIALLY_CAPTURED" if captured else "AUTH_APPROVED")
    assert shown[-1]["refunds"][0]["amount"] == aud(900 - captured)
    over = client.post(f"payments/{held['id']}/void", requestId=new_id(), amount=aud(100))
    assert status_and_code(over) == (422, "invalid_amount")


def _voided(client: Client) -> str:
    held = client.held()
    client.post(f"payments/{held['id']}/void", requestId=new_id(), amount=aud(1000))
    return str(held["id"])


def _expired(client: Client) -> str:
    held = client.held()
    client.sandbox.state.advance(13 * DAY + 1)
    return str(held["id"])


@pytest.mark.parametrize(
    ("order_id", "refused"),
    [
        (_voided, (412, "payment_voided")),
        (_expired, (412, "payment_expired")),
        (lambda client: client.held("decline")["id"], (412, "invalid_state")),
        (lambda client: client.paid()["id"], (410, "payment_captured")),
        (lambda client: "12345", (412, "error")),
        (lambda client: "none", (404, "not_found")),
    ],
)
def test_a_closed_or_unknown_payment_is_not_captured(
    client: Client, order_id: Callable[[Client], str], refused: tuple[int, str]
) -> None:
    response = client.post(f"payments/{order_id(client)}/capture", requestId=new_id(), amount=aud(100))
    assert status_and_code(response) == refused


def test_a_decline_is_402_from_auth_and_201_from_capture(client: Client) -> None:
    auth = client.post("payments/auth", token=client.token("decline"), requestId=new_id())
    capture = client.post("payments/capture", token=client.token("decline"))
    assert [(status, body["status"], body["paymentState"]) for status, body in (auth, capture)] == [
        (402, "DECLINED", "AUTH_DECLINED"),
        (201, "DECLINED", "CAPTURE_DECLINED"),
    ]
    assert status_and_code(client.post(f"payments/{auth[1]['id']}/refund", amount=aud(100))) == (
        412,
        "precondition_failed",
    )
    assert client.moved(auth[1]) == client.moved(capture[1]) == []


@pytest.mark.parametrize("decision", [None, "cancel"])
@pytest.mark.parametrize("verb", ["auth", "capture"])
def test_a_checkout_without_the_shoppers_approval_is_not_paid(client: Client, decision: str | None, verb: str) -> None:
    response = client.post(f"payments/{verb}", token=client.token(decision))
    assert status_and_code(response) == (412, "invalid_order_transaction_status")


def test_a_token_is_paid_with_once(client: Client) -> None:
    paid = client.paid()
    assert client.post("payments/capture", token=paid["token"]) == (201, paid)
    assert status_and_code(client.post("payments/auth", token=paid["token"], requestId=new_id())) == (
        402,
        "invalid_token",
    )
    held = client.held()
    assert status_and_code(client.post("payments/capture", token=held["token"])) == (402, "invalid_token")
    assert status_and_code(client.call("GET", f"checkouts/{held['token']}")) == (412, "precondition_failed")
    assert client.moved(held) == [("authorization", 1000)]


# --- request ids ---


@pytest.mark.parametrize("verb", ["capture", "void"])
def test_a_request_id_is_kept_for_a_day(client: Client, verb: str) -> None:
    held, same = client.held(), new_id()
    first = client.post(f"payments/{held['id']}/{verb}", requestId=same, amount=aud(300))
    client.post(f"payments/{held['id']}/capture", requestId=new_id(), amount=aud(100))
    assert client.post(f"payments/{held['id']}/{verb}", requestId=same, amount=aud(300)) == first
    client.sandbox.state.advance(DAY + 1)
    later = client.post(f"payments/{held['id']}/{verb}", requestId=same, amount=aud(300))
    assert later[1]["openToCaptureAmount"] == aud(300)
    assert len(client.moved(held)) == 4


def test_a_request_that_was_refused_is_not_kept(client: Client) -> None:
    token, same = client.token(None), new_id()
    assert client.post("payments/auth", token=token, requestId=same)[0] == 412
    requests.post(f"{client.sandbox.url}/_sandbox/afterpay/{token}", json={"decision": "approve"}, timeout=SECONDS)
    first = client.post("payments/auth", token=token, requestId=same)
    assert first[0] == 201
    assert client.post("payments/auth", token=token, requestId=same) == first


@pytest.mark.parametrize(
    ("names", "count"),
    [(("requestId", "merchantReference"), 1), (("requestId",), 2), (("merchantReference",), 2), ((), 2)],
    ids=str,
)
def test_a_refund_is_repeated_only_with_both_of_its_names(client: Client, names: tuple[str, ...], count: int) -> None:
    paid = client.paid()
    body = {"amount": aud(300)} | {name: new_id() for name in names}
    ids = {client.post(f"payments/{paid['id']}/refund", **body)[1]["refundId"] for _ in range(2)}
    assert len(ids) == count
    assert client.moved(paid) == [("charge", 1000)] + [("refund", 300)] * count


def test_the_fields_of_a_refund_request_are_shown(client: Client) -> None:
    paid = client.paid()
    given = {"requestId": "r" * 64, "merchantReference": "m" * 85, "refundMerchantReference": "f" * 128}
    status, refund = client.post(f"payments/{paid['id']}/refund", amount=aud(300), **given)
    assert status == 201
    assert refund.items() >= (given | {"amount": aud(300)}).items()
    assert client.call("GET", f"payments/{paid['id']}")[1]["refunds"] == [refund]
    for name in given:
        longer = dict.fromkeys(given, "another") | {name: given[name] + "x"}
        response = client.post(f"payments/{paid['id']}/refund", amount=aud(100), **longer)
        assert status_and_code(response) == (422, "invalid_object")


@pytest.mark.parametrize(
    ("amount", "code"),
    [
        (aud(1001), "invalid_amount"),
        ({"amount": "1.00", "currency": "USD"}, "invalid_object"),
        ({"amount": 1, "currency": "AUD"}, "invalid_object"),
        ({"amount": "1.001", "currency": "AUD"}, "invalid_object"),
        ({"amount": "-1.00", "currency": "AUD"}, "invalid_object"),
        (None, "invalid_object"),
    ],
    ids=str,
)
def test_a_wrong_amount_is_not_refunded(client: Client, amount: Any, code: str) -> None:
    paid = client.paid()
    assert status_and_code(client.post(f"payments/{paid['id']}/refund", amount=amount)) == (422, code)
    assert client.moved(paid) == [("charge", 1000)]


# --- reversals ---


def test_a_reversal_is_made_later_and_once(client: Client) -> None:
    held = client.held()
    path = f"payments/token:{held['token']}/reversal"
    assert client.post(path) == (204, None)
    assert "pending reversal" in client.post(path)[1]["message"]
    capture = client.post(f"payments/{held['id']}/capture", requestId=new_id(), amount=aud(100))
    assert status_and_code(capture) == (412, "precondition_failed")
    client.sandbox.state.advance(10)
    assert client.call("GET", f"payments/{held['id']}")[1]["paymentState"] == "VOIDED"
    assert "previously processed" in client.post(path)[1]["message"]
    assert client.moved(held) == [("authorization", 1000), ("void", 1000)]


def test_an_unknown_unpaid_or_old_payment_is_not_reversed(client: Client) -> None:
    assert status_and_code(client.post("payments/token:none/reversal")) == (402, "invalid_token")
    open_one = client.post(f"payments/token:{client.token()}/reversal")
    assert "not eligible" in open_one[1]["message"]
    paid = client.paid()
    client.sandbox.state.advance(601)
    late = client.post(f"payments/token:{paid['token']}/reversal")
    assert status_and_code(late) == (412, "precondition_failed")
    assert "outside" in late[1]["message"]
    assert client.moved(paid) == [("charge", 1000)]


# --- what there is ---


def test_payments_are_found_by_what_they_are_called(client: Client) -> None:
    first = client.post("payments/capture", token=client.token(reference="pay_a/at_a"))[1]
    second = client.post("payments/capture", token=client.token(reference="pay_b/at_b"))[1]
    found = client.call("GET", "payments", merchantReferences=["pay_a/at_a", "pay_b/at_b"], limit=250)[1]["results"]
    assert [each["id"] for each in found] == [first["id"], second["id"]]
    assert client.call("GET", "payments", tokens=second["token"])[1]["results"] == [second]
    assert status_and_code(client.call("GET", "payments", limit=0)) == (422, "error")
    changed = client.call("PUT", f"payments/{first['id']}", {"merchantReference": "pay_c/at_c"})
    assert (changed[0], changed[1]["merchantReference"]) == (201, "pay_c/at_c")
    assert status_and_code(client.call("GET", "payments/1")) == (404, "not_found")


def test_the_books_show_every_checkout(client: Client) -> None:
    tokens = [client.token(), client.paid()["token"], client.held()["token"]]
    books = requests.get(f"{client.sandbox.url}/_sandbox/books", timeout=SECONDS).json()["books"]
    rows = {row["object"]: row for row in books}
    assert [rows[token]["status"] for token in tokens] == ["OPEN", "CAPTURED", "AUTH_APPROVED"]
    assert [rows[token]["charges"] for token in tokens] == [0, 1, 1]
    assert rows[tokens[0]]["metadata"] == {"payment_id": "pay_1", "attempt_id": "at_1"}


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"amount": None}, "invalid_object"),
        ({"amount": {"amount": "10.00", "currency": "USD"}}, "unsupported_currency"),
        ({"amount": {"amount": "2000.01", "currency": "AUD"}}, "unsupported_payment_type"),
        ({"consumer": {}}, "invalid_object"),
        ({"consumer": {"email": "jo"}}, "invalid_object"),
        ({"merchant": {"redirectConfirmUrl": "https://shop.example"}}, "invalid_object"),
        ({"merchantReference": "x" * 129}, "invalid_object"),
        ({"billing": {"name": "Jo"}}, "invalid_object"),
    ],
    ids=str,
)
def test_an_invalid_checkout_is_refused(client: Client, changes: dict[str, Any], code: str) -> None:
    back = "https://shop.example/back"
    good = {
        "amount": aud(1000),
        "consumer": {"email": "jo@example.org"},
        "merchant": {"redirectConfirmUrl": back, "redirectCancelUrl": back},
    }
    assert client.post("checkouts", **good)[0] == 201
    assert status_and_code(client.post("checkouts", **(good | changes))) == (422, code)


@pytest.mark.parametrize("decision", ["", "maybe", None])
def test_an_unknown_decision_or_token_is_refused(client: Client, decision: str | None) -> None:
    url = f"{client.sandbox.url}/_sandbox/afterpay"
    token = client.token(None)
    assert requests.post(f"{url}/{token}", json={"decision": decision}, timeout=SECONDS).status_code == 400
    assert requests.post(f"{url}/none", json={"decision": "approve"}, timeout=SECONDS).status_code == 404
    assert requests.get(f"{client.url}/hosted/none", timeout=SECONDS).status_code == 404
    assert requests.post(f"{url}/{token}/dispute", timeout=SECONDS).status_code == 400


# --- the page, the webhooks and the documents ---


def test_the_page_shows_the_amount_with_its_currency(client: Client) -> None:
    page = requests.get(f"{client.url}/hosted/{client.token(None, minor=2490)}", timeout=SECONDS)
    assert "<strong>24.90 AUD</strong>" in page.text


def test_an_event_has_its_optional_fields_only_where_they_apply(client: Client) -> None:
    held = client.held()
    body = {"requestId": new_id(), "amount": aud(300), "paymentEventMerchantReference": "at_2"}
    client.post(f"payments/{held['id']}/capture", **body)
    client.post(f"payments/{held['id']}/void", requestId=new_id(), amount=aud(700))
    approved, captured, voided = client.call("GET", f"payments/{held['id']}")[1]["events"]
    assert approved.keys() - captured.keys() == {"expires"}
    assert captured["paymentEventMerchantReference"] == "at_2"
    assert captured.keys() - voided.keys() == {"paymentEventMerchantReference"}


def test_a_dispute_is_sent_with_a_signature_over_url_time_and_body(
    hooked_sandbox: RunningSandbox, receiver: Receiver
) -> None:
    client = Client(hooked_sandbox)
    paid = client.paid()
    url = f"{hooked_sandbox.url}/_sandbox/afterpay/{paid['token']}/dispute"
    event = requests.post(url, timeout=SECONDS).json()
    delivery = receiver.next()
    assert (delivery.path, delivery.body) == ("/afterpay", event)
    assert (event["webhook_event_type"], event["merchant_reference"]) == ("created", "pay_1/at_1")
    address = receiver.url.replace("/hook", "/afterpay")
    text = f"{address}\n{delivery.headers['X-Afterpay-Request-Date']}\n".encode() + delivery.raw
    digest = base64.b64encode(hmac.new(AUTH[1].encode(), text, hashlib.sha256).digest()).decode()
    assert delivery.headers["X-Afterpay-Request-Signature"] == digest


@pytest.mark.parametrize("auth", [None, ("merchant", "key"), ("sandbox-au", "key"), ("merchant", "key-of-the-sandbox")])
def test_only_sandbox_credentials_are_accepted(client: Client, auth: tuple[str, str] | None) -> None:
    refused = requests.get(f"{client.url}/v2/configuration", auth=auth, timeout=SECONDS)
    assert status_and_code((refused.status_code, refused.json())) == (401, "unauthorized")


def test_a_body_that_is_not_a_json_object_is_refused(client: Client) -> None:
    for raw in ("{", "[1]"):
        refused = requests.post(f"{client.url}/v2/checkouts", data=raw, auth=AUTH, timeout=SECONDS)
        assert status_and_code((refused.status_code, refused.json())) == (400, "invalid_json")


def test_every_payment_is_as_afterpay_documents_it(client: Client) -> None:
    held, paid = client.held(), client.paid()
    client.post(f"payments/{held['id']}/capture", requestId=new_id(), amount=aud(300))
    client.post(f"payments/{held['id']}/void", requestId=new_id(), amount=aud(700))
    client.post(f"payments/{paid['id']}/refund", amount=aud(300))
    declined, unnamed = client.held("decline"), client.post("payments/capture", token=client.token(reference=None))[1]
    ids = [payment["id"] for payment in (held, paid, declined, unnamed)]
    payments = [client.call("GET", f"payments/{id}")[1] for id in ids]
    for document in all_of("afterpay", "afterpay-payments.json"):
        schema = {"$ref": "#/components/schemas/Payment", "components": document["components"]}
        errors = [error for payment in payments for error in Draft202012Validator(schema).iter_errors(payment)]
        assert [f"{error.json_path}: {error.message}" for error in errors] == []
