"""Requests to Afterpay and responses of its sandbox agree with the published schemas."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from domain.outcome import Approved
from domain.payment import Verb
from gateways.afterpay.gateway import AfterpayGateway

from .afterpay_wire import Wire
from .bench import API_URL, PAYER, new_attempt
from .benches.afterpay import ProviderBench as AfterpayBench
from .specifications import all_of
from .test_gateway_operations import charged, operation

SPECIFICATIONS = all_of("afterpay")
MONEY = {
    "type": "object",
    "required": ["amount", "currency"],
    "properties": {"amount": {"type": "string", "pattern": r"^\d+\.\d\d$"}, "currency": {"const": "AUD"}},
}
UUID = {"type": "string", "pattern": "^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$"}
TEXT = {"type": "string", "minLength": 1, "maxLength": 85}
# The required part of every request, whether or not the published documents are at hand.
REQUIRED: dict[str, dict[str, Any]] = {
    "/v2/checkouts": {"amount": MONEY, "consumer": {"required": ["email"]}, "merchantReference": TEXT, "merchant": {}},
    "/v2/payments/auth": {"token": TEXT, "requestId": UUID, "merchantReference": TEXT},
    "/v2/payments/capture": {"token": TEXT, "merchantReference": TEXT},
    "/v2/payments/{orderId}/capture": {"requestId": UUID, "amount": MONEY, "paymentEventMerchantReference": TEXT},
    # The release of a remainder has no request id, which Afterpay does not require.
    "/v2/payments/{orderId}/void": {"amount": MONEY},
    "/v2/payments/{orderId}/refund": {
        "requestId": UUID,
        "amount": MONEY,
        "merchantReference": TEXT,
        "refundMerchantReference": TEXT,
    },
}
ADDRESS = PAYER["billing_address"] | {"region": "IL", "line2": "Flat 2"}


@pytest.fixture
def gateway(afterpay: AfterpayBench, wire: Wire) -> AfterpayGateway:
    """Afterpay's gateway."""
    return afterpay.gateway(base=wire.url)


def template(path: str) -> str:
    """Return the path as the documents write it, with names in braces."""
    *_, last = parts = path.split("/")
    if "token:" in path:
        return path.replace(path[path.index("token:") :].split("/")[0], "token:{token}")
    if path.startswith("/v2/checkouts/"):
        return "/v2/checkouts/{token}"
    if len(parts) == 5:
        return f"/v2/payments/{{orderId}}/{last}"
    return path


def schemas(template: str, method: str, status: int | None = None) -> Iterator[dict[str, Any]]:
    """Yield the published schema of a request, or of a response with that status."""
    for document in SPECIFICATIONS:
        operation = document["paths"].get(template, {}).get(method.lower())
        if operation is None:
            continue
        part = operation["requestBody"] if status is None else operation["responses"][str(status)]
        schema = part["content"]["application/json"]["schema"]
        yield schema | {"components": document["components"]}


def send_every_request(afterpay: AfterpayBench, gateway: AfterpayGateway) -> None:
    """Let the gateway send each kind of request."""
    gateway.check()
    gateway.charge(new_attempt(afterpay, payer=PAYER | {"billing_address": ADDRESS}), lambda _: None)
    held = charged(afterpay, gateway, Verb.AUTHORIZE)
    assert isinstance(gateway.capture(operation(held, Verb.CAPTURE, 400)), Approved)
    paid = charged(afterpay, gateway)
    assert isinstance(gateway.refund(operation(paid, Verb.REFUND, 300)), Approved)


def test_requests_are_as_published(afterpay: AfterpayBench, gateway: AfterpayGateway, wire: Wire) -> None:
    send_every_request(afterpay, gateway)
    posted = [request for request in wire.requests if request.method == "POST"]
    assert {template(request.path) for request in posted} == set(REQUIRED)
    for request in posted:
        required = REQUIRED[template(request.path)]
        Draft202012Validator({"required": list(required), "properties": required}).validate(request.body)
        for schema in schemas(template(request.path), "POST"):
            Draft202012Validator(schema).validate(request.body)


def test_the_responses_of_the_sandbox_are_as_published(
    afterpay: AfterpayBench, gateway: AfterpayGateway, wire: Wire
) -> None:
    send_every_request(afterpay, gateway)
    good = [exchange for exchange in wire.exchanges if exchange[1] < 400]
    assert {template(request.path) for request, _, _ in good} >= {*REQUIRED, "/v2/configuration"}
    for request, status, response in good:
        body = _without_null(json.loads(response))
        assert body
        for schema in schemas(template(request.path), request.method, status):
            Draft202012Validator(schema).validate(body)


def _without_null(value: Any) -> Any:
    """Drop null, which the sandbox returns where the documents allow only text."""
    if isinstance(value, dict):
        return {name: _without_null(part) for name, part in value.items() if part is not None}
    return [_without_null(part) for part in value] if isinstance(value, list) else value


def test_the_validation_can_fail() -> None:
    required = REQUIRED["/v2/payments/auth"]
    validator = Draft202012Validator({"required": list(required), "properties": required})
    assert not validator.is_valid({"token": "t", "requestId": "7", "merchantReference": "r"})
    for schema in schemas("/v2/checkouts", "POST"):
        assert not Draft202012Validator(schema).is_valid({"amount": {"amount": "1.00", "currency": "JPY"}})


# --- checkouts and headers ---


def test_a_checkout_names_the_customer_and_the_return_address(
    afterpay: AfterpayBench, gateway: AfterpayGateway, wire: Wire
) -> None:
    charge = new_attempt(afterpay, payer=PAYER | {"billing_address": ADDRESS, "ip_address": "203.0.113.7"})
    gateway.charge(charge, lambda _: None)
    return_url = f"{API_URL}/returns/{charge.attempt_id}"
    assert wire.bodies("/checkouts") == [
        {
            "amount": {"amount": "10.00", "currency": "AUD"},
            "consumer": {"email": "jo@example.org", "givenNames": "Jo", "surname": "Example"},
            "merchant": {"redirectConfirmUrl": return_url, "redirectCancelUrl": return_url},
            "merchantReference": f"{charge.payment_id}/{charge.attempt_id}",
            "billing": {
                "name": "Jo Example",
                "line1": "1 High Street",
                "line2": "Flat 2",
                "area1": "Springfield",
                "region": "IL",
                "postcode": "12345",
                "countryCode": "US",
            },
        }
    ]


@pytest.mark.parametrize(
    "address", [None, {}, PAYER["billing_address"], ADDRESS | {"country": "DE"}, ADDRESS | {"line1": None}], ids=str
)
def test_an_incomplete_address_is_left_out(
    afterpay: AfterpayBench, gateway: AfterpayGateway, wire: Wire, address: Any
) -> None:
    gateway.charge(new_attempt(afterpay, payer={"email": "jo@example.org", "billing_address": address}), lambda _: None)
    (body,) = wire.bodies("/checkouts")
    assert "billing" not in body
    assert body["consumer"]["email"] == "jo@example.org"


def test_every_request_identifies_the_merchant(afterpay: AfterpayBench, gateway: AfterpayGateway, wire: Wire) -> None:
    send_every_request(afterpay, gateway)
    for request in wire.requests:
        assert request.headers["User-Agent"].startswith("Celeriac/")
        assert "Merchant/sandbox-au" in request.headers["User-Agent"]
        assert request.headers["User-Agent"].endswith(" https://pay.example")
        assert request.headers["Accept"] == "application/json"
        assert request.headers["Authorization"].startswith("Basic ")
        assert request.body is None or request.headers["Content-Type"] == "application/json"
