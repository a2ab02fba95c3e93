"""Saved accounts in the simulated PayPal: what it refuses, what it repeats, and the events that it sends."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any

import pytest
import requests
from jsonschema import Draft202012Validator

from sandbox.paypal.vault import SETUP_LIFETIME
from sandbox.server import RunningSandbox
from sandbox.state import Settings
from tests.contract import paypal_spec
from tests.sandbox.paypal_client import BACK, Client, issue, money
from tests.sandbox.receiver import SECONDS

SETUPS, TOKENS = "/v3/vault/setup-tokens", "/v3/vault/payment-tokens"


@pytest.fixture
def paypal() -> Iterator[Client]:
    """A client of a sandbox of its own, whose clock the tests move."""
    with RunningSandbox(Settings()) as sandbox:
        yield Client(sandbox)


def setup_body(**more: Any) -> dict[str, Any]:
    wallet = {"usage_type": "MERCHANT", "permit_multiple_payment_tokens": True, "experience_context": BACK}
    return {"payment_source": {"paypal": wallet | more}}


def token_body(setup: str, **more: Any) -> dict[str, Any]:
    return {"payment_source": {"token": {"id": setup, "type": "SETUP_TOKEN"}}} | more


def opened(paypal: Client, body: dict[str, Any] | None = None) -> dict[str, Any]:
    """Return a new setup token."""
    response = paypal.post(SETUPS, body or setup_body())
    assert response.status_code == 201, response.text
    return response.json()


def approved(paypal: Client, body: dict[str, Any] | None = None) -> dict[str, Any]:
    """Return a setup token that its customer has approved."""
    setup = opened(paypal, body)
    paypal.control(setup["id"], decision="approve")
    return setup


def saved(paypal: Client) -> dict[str, Any]:
    """Return a payment token."""
    return paypal.post(TOKENS, token_body(approved(paypal)["id"])).json()


def test_a_customer_approves_and_comes_back(paypal: Client) -> None:
    setup = opened(paypal)
    assert setup["status"] == "PAYER_ACTION_REQUIRED"
    links = {link["rel"]: link["href"] for link in setup["links"]}
    page = requests.get(links["approve"], timeout=SECONDS).text
    assert "Save your account for later payments" in page
    sent = requests.post(links["approve"], data={"decision": "approve"}, timeout=SECONDS, allow_redirects=False)
    assert sent.status_code == 303
    assert sent.headers["Location"].startswith(f"{BACK['return_url']}&approval_token_id={setup['id']}")
    shown = paypal.call("GET", f"{SETUPS}/{setup['id']}").json()
    assert (shown["status"], {link["rel"] for link in shown["links"]}) == ("APPROVED", {"self", "confirm"})


@pytest.mark.parametrize("decision", ["decline", "cancel"])
def test_a_customer_who_does_not_approve_is_sent_back_and_nothing_is_saved(paypal: Client, decision: str) -> None:
    setup = opened(paypal)
    assert paypal.control(setup["id"], decision=decision)["sent_to"] == BACK["cancel_url"]
    refused = paypal.post(TOKENS, token_body(setup["id"]))
    assert issue(refused) == (422, "PAYER_ACTION_REQUIRED")


def test_a_setup_token_is_used_once_and_a_repeated_request_returns_the_same(paypal: Client) -> None:
    setup, key = approved(paypal), str(uuid.uuid4())
    first, again = (paypal.post(TOKENS, token_body(setup["id"]), key=key) for _ in range(2))
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json() == again.json()
    assert issue(paypal.post(TOKENS, token_body(setup["id"]))) == (422, "SETUP_TOKEN_ALREADY_TOKENIZED")
    assert paypal.call("GET", f"{SETUPS}/{setup['id']}").json()["status"] == "TOKENIZED"


def test_a_repeated_setup_is_the_same_and_shows_how_it_stands_now(paypal: Client) -> None:
    key = str(uuid.uuid4())
    first = paypal.post(SETUPS, setup_body(), key=key)
    paypal.control(first.json()["id"], decision="approve")
    again = paypal.post(SETUPS, setup_body(), key=key)
    assert (again.status_code, again.json()["id"], again.json()["status"]) == (200, first.json()["id"], "APPROVED")


def test_a_foreign_customer_is_refused(paypal: Client) -> None:
    setup, other = approved(paypal), approved(paypal)
    foreign = paypal.post(TOKENS, token_body(setup["id"], customer={"id": other["customer"]["id"]}))
    assert issue(foreign) == (422, "INVALID_CUSTOMER_ID")
    own = paypal.post(TOKENS, token_body(setup["id"], customer={"id": setup["customer"]["id"]}))
    assert own.json()["customer"] == setup["customer"]
    assert issue(paypal.post(SETUPS, setup_body() | {"customer": {"id": "invented1"}})) == (422, "INVALID_CUSTOMER_ID")
    linked = opened(paypal, setup_body() | {"customer": setup["customer"]})
    assert linked["customer"] == setup["customer"]


def test_a_setup_token_ends(paypal: Client) -> None:
    setup = approved(paypal)
    paypal.sandbox.state.advance(SETUP_LIFETIME.total_seconds() + 1)
    assert paypal.post(TOKENS, token_body(setup["id"])).status_code == 404


@pytest.mark.parametrize(
    ("path", "body", "key", "refusal"),
    [
        (SETUPS, {}, "", (400, "MISSING_REQUIRED_PARAMETER")),
        (SETUPS, {"payment_source": {"paypal": {}}}, "", (400, "MISSING_REQUIRED_PARAMETER")),
        (SETUPS, setup_body(), None, (400, "PAYPAL_REQUEST_ID_REQUIRED")),
        (SETUPS, setup_body(), "k" * 37, (400, "INVALID_STRING_LENGTH")),
        (TOKENS, {}, "", (400, "MISSING_REQUIRED_PARAMETER")),
        (TOKENS, {"payment_source": {"token": {"id": "x", "type": "CARD"}}}, "", (400, "INVALID_PARAMETER_VALUE")),
        (TOKENS, token_body("invented"), "", (404, "INVALID_RESOURCE_ID")),
        (TOKENS, token_body("invented"), None, (400, "PAYPAL_REQUEST_ID_REQUIRED")),
    ],
)
def test_what_is_not_well_formed_is_refused(
    paypal: Client, path: str, body: Any, key: str | None, refusal: tuple[int, str]
) -> None:
    assert issue(paypal.post(path, body, key=key)) == refusal


def test_a_payer_has_one_token_unless_several_are_permitted(paypal: Client) -> None:
    shared = setup_body(permit_multiple_payment_tokens=False)
    first, second = (paypal.post(TOKENS, token_body(approved(paypal, shared)["id"])).json() for _ in range(2))
    assert first["id"] == second["id"]
    assert saved(paypal)["id"] != first["id"]


def test_the_tokens_of_a_customer_are_listed_and_deleted(paypal: Client) -> None:
    token = saved(paypal)
    query = f"?customer_id={token['customer']['id']}&total_required=true"
    listed = paypal.call("GET", f"{TOKENS}{query}").json()
    assert (listed["payment_tokens"], listed["total_items"], listed["total_pages"]) == ([token], 1, 1)
    assert issue(paypal.call("GET", TOKENS)) == (400, "MISSING_REQUIRED_PARAMETER")
    assert paypal.call("GET", f"{TOKENS}/{token['id']}").json() == token
    deleted = paypal.call("DELETE", f"{TOKENS}/{token['id']}")
    assert (deleted.status_code, deleted.content) == (204, b"")
    assert paypal.call("GET", f"{TOKENS}/{token['id']}").status_code == 404
    assert paypal.call("DELETE", f"{TOKENS}/{token['id']}").status_code == 404
    assert paypal.call("GET", f"{TOKENS}{query}").json()["payment_tokens"] == []
    events = requests.get(f"{paypal.sandbox.url}/_sandbox/paypal/{token['id']}/events", timeout=SECONDS).json()
    assert [event["event_type"] for event in events["events"]] == [
        "VAULT.PAYMENT-TOKEN.CREATED",
        "VAULT.PAYMENT-TOKEN.DELETION-INITIATED",
        "VAULT.PAYMENT-TOKEN.DELETED",
    ]


def charge(paypal: Client, token: str) -> requests.Response:
    """Capture a new order with a saved account."""
    order = paypal.post("/v2/checkout/orders", {"intent": "CAPTURE", "purchase_units": [{"amount": money("10.00")}]})
    source = {"payment_source": {"paypal": {"vault_id": token}}}
    return paypal.post(f"/v2/checkout/orders/{order.json()['id']}/capture", source)


def test_a_saved_account_is_charged_until_the_customer_removes_it(paypal: Client) -> None:
    token = saved(paypal)["id"]
    assert charge(paypal, token).json()["status"] == "COMPLETED"
    paypal.control(f"{token}/scenario", scenario="INSTRUMENT_DECLINED")
    assert issue(charge(paypal, token)) == (422, "INSTRUMENT_DECLINED")
    paypal.control(f"{token}/remove")
    assert issue(charge(paypal, token)) == (422, "TOKEN_ID_NOT_FOUND")
    assert paypal.moved() == [("charge", 1000)]
    for route in ("scenario", "remove"):
        path = f"{paypal.sandbox.url}/_sandbox/paypal/{token}/{route}"
        body = {"scenario": "COMPLETED"} if route == "scenario" else {}
        assert requests.post(path, json=body, timeout=SECONDS).status_code == 404


def test_its_responses_are_as_paypal_documents_them(paypal: Client) -> None:
    for body, name in ((approved(paypal), "setup_token_response"), (saved(paypal), "payment_token_response")):
        for schema in paypal_spec.response_schema("vault_payment_tokens_v3", name):
            assert [error.message for error in Draft202012Validator(schema).iter_errors(body)] == []
