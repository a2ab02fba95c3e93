"""PayPal's webhooks in the sandbox: signatures, events of each object, disputes, subscriptions and saved accounts."""

from __future__ import annotations

import base64
import json
import uuid
import zlib
from typing import Any
from urllib.parse import urlencode

import pytest
import requests
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from jsonschema import Draft202012Validator

from sandbox.clock import iso_seconds
from sandbox.paypal import disputes, subscriptions
from sandbox.server import RunningSandbox
from tests.contract import paypal_spec
from tests.contract.served import ReceivedRequest
from tests.sandbox.paypal_client import CAPTURES, ORDERS, Client, issue, money, order_body
from tests.sandbox.receiver import SECONDS, Receiver

WEBHOOKS = "/v1/notifications/webhooks"
LIST = "/v1/notifications/webhooks-events"
VERIFY = "/v1/notifications/verify-webhook-signature"


@pytest.fixture
def client(hooked_sandbox: RunningSandbox) -> Client:
    """A merchant with a sandbox that sends its webhooks to the receiver."""
    return Client(hooked_sandbox)


@pytest.fixture
def quiet(shared: RunningSandbox) -> Client:
    """A merchant with the shared sandbox, which has no webhook URL."""
    return Client(shared)


def of_type(name: str) -> Any:
    """Return a test for events of this type."""
    return lambda body: body["event_type"] == name


# --- signatures ---


def test_a_webhook_is_signed_with_the_certificate_at_its_url(client: Client, receiver: Receiver) -> None:
    client.captured()
    delivery = receiver.next(of_type("PAYMENT.CAPTURE.COMPLETED"))
    _verify(delivery, delivery.raw)
    with pytest.raises(InvalidSignature):
        _verify(delivery, delivery.raw + b" ")


def _verify(delivery: ReceivedRequest, body: bytes) -> None:
    """Verify a signature as PayPal documents it; raise InvalidSignature."""
    headers = delivery.headers
    assert (headers["Paypal-Auth-Algo"], headers["Paypal-Auth-Version"]) == ("SHA256withRSA", "v2")
    pem = requests.get(headers["Paypal-Cert-Url"], timeout=SECONDS).content
    key: Any = x509.load_pem_x509_certificate(pem).public_key()
    id, time = headers["Paypal-Transmission-Id"], headers["Paypal-Transmission-Time"]
    text = f"{id}|{time}|7SANDBOX00000000WEBHOOK1|{zlib.crc32(body)}".encode()
    key.verify(base64.b64decode(headers["Paypal-Transmission-Sig"]), text, PKCS1v15(), hashes.SHA256())


def test_the_certificate_is_served_without_the_authorities_that_issued_it(client: Client, receiver: Receiver) -> None:
    client.captured()
    url = receiver.next().headers["Paypal-Cert-Url"]
    served = requests.get(url, timeout=SECONDS)
    assert served.headers["Content-Type"] == "application/x-pem-file"
    (leaf,) = x509.load_pem_x509_certificates(served.content)
    published = requests.get(f"{client.url}/v1/notifications/authorities/sandbox", timeout=SECONDS).content
    root, intermediate = x509.load_pem_x509_certificates(published)
    leaf.verify_directly_issued_by(intermediate)
    intermediate.verify_directly_issued_by(root)
    assert leaf.issuer != root.subject == root.issuer
    assert requests.get(url + "-other", timeout=SECONDS).status_code == 404


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({}, "SUCCESS"),
        ({"transmission_id": "another"}, "FAILURE"),
        ({"transmission_time": "2026-01-01T00:00:00Z"}, "FAILURE"),
        ({"webhook_id": "another"}, "FAILURE"),
        ({"transmission_sig": "bm8="}, "FAILURE"),
        ({"cert_url": ""}, None),
        ({"auth_algo": ""}, None),
    ],
    ids=str,
)
def test_a_delivery_is_verified_by_post_back(
    client: Client, receiver: Receiver, changes: dict[str, str], status: str | None
) -> None:
    client.post(ORDERS, order_body())
    client.captured()
    delivery = receiver.next()
    fields = {
        "auth_algo": delivery.headers["Paypal-Auth-Algo"],
        "cert_url": delivery.headers["Paypal-Cert-Url"],
        "transmission_id": delivery.headers["Paypal-Transmission-Id"],
        "transmission_sig": delivery.headers["Paypal-Transmission-Sig"],
        "transmission_time": delivery.headers["Paypal-Transmission-Time"],
        "webhook_id": "7SANDBOX00000000WEBHOOK1",
    }
    # The event goes back as the bytes of the delivery: parsing it could change them.
    raw = json.dumps(fields | changes)[:-1].encode() + b', "webhook_event":' + delivery.raw + b"}"
    headers = {"Authorization": f"Bearer {client.token}", "Content-Type": "application/json"}
    verified = requests.post(client.url + VERIFY, data=raw, headers=headers, timeout=SECONDS)
    if status is None:
        assert (verified.status_code, verified.json()["details"][0]["field"]) == (400, f"/{next(iter(changes))}")
    else:
        assert verified.json() == {"verification_status": status}


def test_the_registration_lists_its_url_and_event_types(client: Client, receiver: Receiver) -> None:
    registration = client.call("GET", f"{WEBHOOKS}/7SANDBOX00000000WEBHOOK1").json()
    assert registration["url"] == receiver.url.replace("/hook", "/paypal")
    assert "PAYMENT.CAPTURE.COMPLETED" in {each["name"] for each in registration["event_types"]}
    assert client.call("GET", f"{WEBHOOKS}/NONE").status_code == 404


# --- events of payments ---


def events(client: Client, id: str) -> list[dict[str, Any]]:
    """Return the events about an object, oldest first."""
    found = requests.get(f"{client.sandbox.url}/_sandbox/paypal/{id}/events", timeout=SECONDS)
    result: list[dict[str, Any]] = found.json()["events"]
    return result


def test_a_capture_emits_its_events_in_order(quiet: Client) -> None:
    path = quiet.approved()
    quiet.post(f"{path}/capture")
    emitted = events(quiet, path.rpartition("/")[2])
    assert [event["event_type"] for event in emitted] == [
        "CHECKOUT.ORDER.APPROVED",
        "PAYMENT.CAPTURE.COMPLETED",
        "CHECKOUT.ORDER.COMPLETED",
    ]
    assert [event["resource_type"] for event in emitted] == ["checkout-order", "capture", "checkout-order"]
    assert len({event["id"] for event in emitted}) == 3


def test_an_event_keeps_the_state_of_its_moment(quiet: Client) -> None:
    capture = quiet.captured()
    quiet.post(f"{CAPTURES}/{capture['id']}/refund")
    assert events(quiet, capture["id"])[0]["resource"]["status"] == "COMPLETED"


def test_a_refund_is_an_event_of_its_capture_with_the_refund_as_resource(quiet: Client) -> None:
    capture = quiet.captured()
    refund = quiet.post(f"{CAPTURES}/{capture['id']}/refund", {"amount": money("3.00")}).json()
    (event,) = events(quiet, refund["id"])
    assert (event["event_type"], event["resource_type"]) == ("PAYMENT.CAPTURE.REFUNDED", "refund")
    assert event["resource"]["amount"] == money("3.00")
    up = next(link["href"] for link in event["resource"]["links"] if link["rel"] == "up")
    assert up.endswith(f"{CAPTURES}/{capture['id']}")


@pytest.mark.parametrize(
    ("scenario", "type"),
    [("5120", "DECLINED"), ("PENDING", "PENDING"), ("COMPLETED", "COMPLETED")],
)
def test_a_capture_emits_its_status(quiet: Client, scenario: str, type: str) -> None:
    capture = quiet.captured(scenario)
    assert [event["event_type"] for event in events(quiet, capture["id"])] == [f"PAYMENT.CAPTURE.{type}"]


def test_a_pending_capture_names_its_order_only_in_a_link(quiet: Client) -> None:
    resource = events(quiet, quiet.captured("PENDING")["id"])[-1]["resource"]
    assert "supplementary_data" not in resource
    assert [link["rel"] for link in resource["links"] if "/v2/checkout/orders/" in link["href"]] == ["up"]


def test_an_authorization_emits_its_creation_and_its_void(quiet: Client) -> None:
    path = quiet.authorized()
    quiet.post(f"{path}/void", key=None)
    types = [event["event_type"] for event in events(quiet, path.rpartition("/")[2])]
    assert types == ["PAYMENT.AUTHORIZATION.CREATED", "PAYMENT.AUTHORIZATION.VOIDED"]


# --- disputes ---


@pytest.mark.parametrize("outcome", disputes.OUTCOMES)
def test_a_dispute_is_opened_updated_and_resolved(quiet: Client, outcome: str) -> None:
    capture = quiet.captured(custom_id="pay_1", invoice_id=str(uuid.uuid4()))
    opened = quiet.control(f"{capture['id']}/dispute", reason="MERCHANDISE_OR_SERVICE_NOT_RECEIVED")
    (transaction,) = opened["disputed_transactions"]
    assert (opened["status"], opened["dispute_amount"]) == ("OPEN", capture["amount"])
    assert (transaction["seller_transaction_id"], transaction["custom"]) == (capture["id"], "pay_1")
    assert quiet.control(f"{capture['id']}/dispute", status="UNDER_REVIEW")["status"] == "UNDER_REVIEW"
    resolved = quiet.control(f"{capture['id']}/dispute", outcome=outcome)
    assert (resolved["status"], resolved["dispute_outcome"]["outcome_code"]) == ("RESOLVED", outcome)
    is_refunded = outcome in ("RESOLVED_BUYER_FAVOUR", "RESOLVED_WITH_PAYOUT")
    assert ("amount_refunded" in resolved["dispute_outcome"]) is is_refunded
    types = [event["event_type"] for event in events(quiet, opened["dispute_id"])]
    assert types == list(disputes.NAMES)
    # A dispute moves no money in the ledger.
    assert quiet.moved() == [("charge", 1000)]


def test_an_anonymous_dispute_leaves_out_the_merchants_references(quiet: Client) -> None:
    capture = quiet.captured(custom_id="pay_1", invoice_id=str(uuid.uuid4()))
    (transaction,) = quiet.control(f"{capture['id']}/dispute", is_anonymous=True)["disputed_transactions"]
    assert transaction.keys() & {"custom", "invoice_number"} == set()


def test_an_invalid_dispute_request_is_refused(quiet: Client) -> None:
    capture = quiet.captured()["id"]
    for path, status in ((f"{capture}-other", 404), (quiet.authorized().rpartition("/")[2], 404)):
        refused = requests.post(f"{quiet.sandbox.url}/_sandbox/paypal/{path}/dispute", json={}, timeout=SECONDS)
        assert refused.status_code == status
    quiet.control(f"{capture}/dispute")
    for body in ({}, {"status": "LOST"}, {"outcome": "LOST"}):
        refused = requests.post(f"{quiet.sandbox.url}/_sandbox/paypal/{capture}/dispute", json=body, timeout=SECONDS)
        assert (refused.status_code, "RESOLVED_BUYER_FAVOUR" in refused.json()["error"]) == (400, True)
    quiet.control(f"{capture}/dispute", outcome="ACCEPTED")
    with pytest.raises(requests.HTTPError):
        quiet.control(f"{capture}/dispute", outcome="ACCEPTED")


# --- subscriptions and saved accounts ---


@pytest.mark.parametrize("type", subscriptions.STATUSES)
def test_a_subscription_event_is_as_paypal_documents_it(quiet: Client, type: str) -> None:
    body = quiet.control("I-BW452GLLEP1G/emit", event_type=type)
    assert body["status"] == subscriptions.STATUSES[type]
    event = events(quiet, "I-BW452GLLEP1G")[-1]
    assert (event["event_type"], event["resource_type"], event["resource"]) == (type, "subscription", body)
    for schema in paypal_spec.response_schema("billing_subscriptions_v1", "subscription"):
        assert [error.message for error in Draft202012Validator(schema).iter_errors(body)] == []


@pytest.mark.parametrize("type", subscriptions.SALES)
def test_a_sale_of_a_subscription_has_a_negative_total_only_for_money_back(quiet: Client, type: str) -> None:
    body = quiet.control("I-BW452GLLEP1G/emit", event_type=type)
    is_back = type in ("PAYMENT.SALE.REFUNDED", "PAYMENT.SALE.REVERSED")
    assert body["amount"]["total"] == ("-12.30" if is_back else "12.30")
    assert ("billing_agreement_id" in body) is not is_back


def test_a_deleted_saved_account_has_only_its_ids(quiet: Client) -> None:
    created = quiet.control("8kk8451t/emit", event_type="VAULT.PAYMENT-TOKEN.CREATED", order_id="5O1")
    assert (created["metadata"], "paypal" in created["payment_source"]) == ({"order_id": "5O1"}, True)
    deleted = quiet.control("8kk8451t/emit", event_type="VAULT.PAYMENT-TOKEN.DELETED")
    assert deleted.keys() == {"id", "customer"}


def test_an_unknown_event_type_is_refused_with_the_valid_ones(quiet: Client) -> None:
    url = f"{quiet.sandbox.url}/_sandbox/paypal/I-1/emit"
    refused = requests.post(url, json={"event_type": "INVENTED"}, timeout=SECONDS)
    assert (refused.status_code, subscriptions.TOKENS[0] in refused.json()["error"]) == (400, True)


# --- the list ---


def listed(client: Client, **query: Any) -> Any:
    response = client.call("GET", f"{LIST}?{urlencode(query)}")
    assert response.status_code == 200, response.text
    for schema in paypal_spec.response_schema("notifications_webhooks_v1", "EventList"):
        Draft202012Validator(schema).validate(response.json())
    return response.json()


def test_events_are_listed_newest_first_and_page_by_page(own_sandbox: RunningSandbox) -> None:
    client = Client(own_sandbox)
    client.captured()
    whole = listed(client)
    types = [event["event_type"] for event in whole["events"]]
    assert types == ["CHECKOUT.ORDER.COMPLETED", "PAYMENT.CAPTURE.COMPLETED", "CHECKOUT.ORDER.APPROVED"]
    assert whole["links"] == []
    page = listed(client, page_size=2)
    assert (page["count"], [link["rel"] for link in page["links"]]) == (2, ["next"])
    path = page["links"][0]["href"].removeprefix(client.url)
    assert [event["event_type"] for event in client.call("GET", path).json()["events"]] == types[2:]


def test_events_are_listed_by_time_type_and_object_for_thirty_days(own_sandbox: RunningSandbox) -> None:
    client, state = Client(own_sandbox), own_sandbox.state
    capture = client.captured()
    before = iso_seconds(state.clock.now() + 60)
    state.advance(120)
    client.captured()
    assert len(listed(client, end_time=before)["events"]) == len(listed(client, start_time=before)["events"]) == 3
    [about] = listed(client, event_type="PAYMENT.CAPTURE.COMPLETED", transaction_id=capture["id"])["events"]
    assert about["resource"]["id"] == capture["id"]
    state.advance(30 * 24 * 3600 - 60)
    again = Client(own_sandbox)
    assert len(listed(again)["events"]) == len(listed(again, start_time="2020-01-01T00:00:00Z")["events"]) == 3


@pytest.mark.parametrize(
    "query",
    [{"page_size": "0"}, {"page_size": "many"}, {"start_time": "yesterday"}, {"end_time": "2026-11-28T12:00:00"}],
)
def test_a_query_that_cannot_be_read_is_refused(quiet: Client, query: dict[str, str]) -> None:
    assert issue(quiet.call("GET", f"{LIST}?{urlencode(query)}")) == (400, "INVALID_PARAMETER_VALUE")
