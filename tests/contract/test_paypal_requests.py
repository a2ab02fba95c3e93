"""PayPal's requests and the sandbox's responses: as PayPal documents them, under request ids that stay the same."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from flask import Response, request
from jsonschema import Draft202012Validator

from domain.outcome import Approved
from domain.payment import Verb
from sandbox.server import RunningSandbox
from sandbox.state import Settings

from . import paypal_spec
from .bench import API_URL, Books, new_attempt
from .bench import ready_attempt as approved_order
from .benches.paypal import ProviderBench
from .test_gateway_operations import call, charged, operation


@dataclass(frozen=True)
class Call:
    """One request to the sandbox, and the response to it."""

    method: str
    path: str
    body: Any
    headers: dict[str, str]
    status: int
    response: Any


@dataclass
class Recording:
    """A sandbox with every call so far."""

    sandbox: RunningSandbox
    calls: list[Call] = field(default_factory=list)

    def posted_to(self, ending: str) -> list[Call]:
        """Return the POST requests whose path ends like this."""
        return [each for each in self.calls if each.method == "POST" and each.path.endswith(ending)]


@pytest.fixture
def recording() -> Iterator[Recording]:
    """A sandbox of its own, whose calls are recorded."""
    with RunningSandbox(Settings()) as sandbox:
        recording = Recording(sandbox)

        def record(response: Response) -> Response:
            body = request.get_json(silent=True) if request.get_data() else None
            shown = response.get_json(silent=True)
            headers = dict(request.headers)
            recording.calls.append(Call(request.method, request.path, body, headers, response.status_code, shown))
            return response

        sandbox._server.app.after_request(record)
        yield recording


# --- PayPal's own schemas ---


def make_every_call(paypal: ProviderBench) -> None:
    """Make every call of the gateway."""
    gateway = paypal.gateway()
    attempts = [
        approved_order(paypal),
        approved_order(paypal, is_off_session=True),
        new_attempt(paypal, method_token="sandbox_COMPLETED"),
        paypal.approved_in_scenario("5120"),
        paypal.approved_in_scenario("PENDING"),
    ]
    for attempt in attempts:
        references: list[str] = []
        gateway.charge(attempt, references.append)
        gateway.retrieve(replace(attempt, reference=references[0]))
    for verb, minor in ((Verb.CAPTURE, 400), (Verb.VOID, 1000)):
        held = charged(paypal, gateway, Verb.AUTHORIZE)
        assert isinstance(call(gateway, operation(held, verb, minor)), Approved)
        gateway.retrieve(held)
    paid = charged(paypal, gateway)
    for minor in (300, 700):
        refund = operation(paid, Verb.REFUND, minor)
        gateway.retrieve(replace(refund, reference=gateway.refund(refund).reference))
    gateway.retrieve(paid)


def problems(schema: Any, body: Any) -> list[str]:
    """Return where a body is against its schema."""
    errors = Draft202012Validator(schema).iter_errors(body)
    return [f"{'/'.join(map(str, error.absolute_path))}: {error.message[:200]}" for error in errors]


def fits(pattern: str, path: str) -> bool:
    """Tell whether a path of the sandbox is one of this pattern."""
    parts, wanted = path.removeprefix("/paypal").split("/"), pattern.split("/")
    if len(parts) != len(wanted):
        return False
    return all(want.startswith("{") or want == part for want, part in zip(wanted, parts, strict=True))


def test_every_request_is_as_paypal_documents_it(recording: Recording) -> None:
    make_every_call(ProviderBench(recording.sandbox))
    checked = set()
    for method, pattern, schema in paypal_spec.request_schemas():
        for sent in recording.calls:
            if sent.method == method and fits(pattern, sent.path):
                checked.add(pattern)
                assert problems(schema, sent.body) == []
    assert checked == {pattern for _, pattern, _ in paypal_spec.request_schemas()}


@pytest.mark.parametrize(
    ("api", "name", "pattern"),
    [
        ("checkout_orders_v2", "order", "/v2/checkout/orders/{id}"),
        ("checkout_orders_v2", "order", "/v2/checkout/orders/{id}/capture"),
        ("checkout_orders_v2", "order", "/v2/checkout/orders/{id}/authorize"),
        ("payments_payment_v2", "capture-2", "/v2/payments/authorizations/{id}/capture"),
        ("payments_payment_v2", "authorization-2", "/v2/payments/authorizations/{id}/void"),
        ("payments_payment_v2", "refund", "/v2/payments/captures/{id}/refund"),
        ("payments_payment_v2", "refund", "/v2/payments/refunds/{id}"),
    ],
)
def test_every_response_is_as_paypal_documents_it(recording: Recording, api: str, name: str, pattern: str) -> None:
    make_every_call(ProviderBench(recording.sandbox))
    bodies = [each.response for each in recording.calls if each.status < 300 and fits(pattern, each.path)]
    assert bodies
    for schema in paypal_spec.response_schema(api, name):
        assert [problem for body in bodies for problem in problems(schema, body)] == []


# --- what stands in them ---


def test_every_call_has_a_request_id_of_its_own_and_keeps_it(recording: Recording) -> None:
    paypal = ProviderBench(recording.sandbox)
    gateway = paypal.gateway()
    approved = approved_order(paypal, Verb.AUTHORIZE)
    for _ in range(2):
        gateway.charge(replace(approved, reference=None), lambda _: None)
        gateway.charge(approved, lambda _: None)
    gateway.charge(new_attempt(paypal), lambda _: None)
    ids: dict[str, list[str]] = {}
    for sent in recording.calls:
        if "Paypal-Request-Id" in sent.headers:
            ids.setdefault(sent.path, []).append(sent.headers["Paypal-Request-Id"])
    created = ids["/paypal/v2/checkout/orders"]
    authorized = ids[f"/paypal/v2/checkout/orders/{approved.reference}/authorize"]
    assert created[0] == created[1] == created[2] != created[3]
    assert authorized[0] == authorized[1]
    assert len({*created, *authorized}) == 3
    assert all(len(each) == 36 for each in (*created, *authorized))


def test_an_order_names_our_payment_and_the_way_back(recording: Recording) -> None:
    paypal = ProviderBench(recording.sandbox)
    attempt = new_attempt(paypal, Verb.AUTHORIZE)
    paypal.gateway().charge(attempt, lambda _: None)
    [created] = [each.body for each in recording.posted_to("/orders")]
    address = f"{API_URL}/returns/{attempt.attempt_id}"
    assert created["intent"] == "AUTHORIZE"
    assert created["purchase_units"][0]["custom_id"] == attempt.payment_id
    assert created["purchase_units"][0]["invoice_id"] == attempt.attempt_id
    experience = created["payment_source"]["paypal"]["experience_context"]
    assert (experience["return_url"], experience["cancel_url"]) == (address, f"{address}?canceled=1")
    assert "example.org" not in json.dumps(created)  # no personal data of the payer


@pytest.mark.parametrize(("is_off_session", "initiator"), [(True, "MERCHANT"), (False, "CUSTOMER")])
def test_a_saved_account_is_named_only_when_it_is_charged(
    recording: Recording, is_off_session: bool, initiator: str
) -> None:
    paypal, moved_before = ProviderBench(recording.sandbox), []
    attempt = new_attempt(paypal, method_token="sandbox_COMPLETED", is_off_session=is_off_session)
    books = Books(recording.sandbox)
    outcome = paypal.gateway().charge(attempt, lambda reference: moved_before.append(books.moved(reference)))
    assert isinstance(outcome, Approved)
    assert moved_before == [[]]
    created, captured = [each.body for each in recording.calls if "/orders" in each.path and each.method == "POST"]
    assert "payment_source" not in created
    source = captured["payment_source"]["paypal"]
    assert source == {
        "vault_id": "sandbox_COMPLETED",
        "stored_credential": {"payment_initiator": initiator, "usage": "SUBSEQUENT"},
    }
