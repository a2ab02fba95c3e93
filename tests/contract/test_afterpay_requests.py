"""Afterpay: what is sent, and what the sandbox answers, against the published schemas; limits, and the settings."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from domain.outcome import Approved
from domain.payment import Verb
from gateways.afterpay.gateway import DEFAULT_BASE, AfterpayGateway, AfterpaySettings
from gateways.base import GatewayContext, GatewayError
from sandbox.server import RunningSandbox

from .afterpay_wire import Wire
from .bench import API_URL, PAYER, new_order
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
# What must be in every request, whether or not the published documents are at hand.
OURS: dict[str, dict[str, Any]] = {
    "/v2/checkouts": {"amount": MONEY, "consumer": {"required": ["email"]}, "merchantReference": TEXT, "merchant": {}},
    "/v2/payments/auth": {"token": TEXT, "requestId": UUID, "merchantReference": TEXT},
    "/v2/payments/capture": {"token": TEXT, "merchantReference": TEXT},
    "/v2/payments/{orderId}/capture": {"requestId": UUID, "amount": MONEY, "paymentEventMerchantReference": TEXT},
    "/v2/payments/{orderId}/void": {"requestId": UUID, "amount": MONEY},
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
    """Return the path as the documents write it."""
    *_, last = parts = path.split("/")
    if "token:" in path:
        return path.replace(path[path.index("token:") :].split("/")[0], "token:{token}")
    if path.startswith("/v2/checkouts/"):
        return "/v2/checkouts/{token}"
    if len(parts) == 5:
        return f"/v2/payments/{{orderId}}/{last}"
    return path


def schemas(template: str, method: str, status: int | None = None) -> Iterator[dict[str, Any]]:
    """Yield the published schema of a request, or of an answer with that status."""
    for document in SPECIFICATIONS:
        operation = document["paths"].get(template, {}).get(method.lower())
        if operation is None:
            continue
        part = operation["requestBody"] if status is None else operation["responses"][str(status)]
        schema = part["content"]["application/json"]["schema"]
        yield schema | {"components": document["components"]}


def everything(afterpay: AfterpayBench, gateway: AfterpayGateway) -> None:
    """Let the gateway ask everything that it can."""
    gateway.check()
    gateway.charge(new_order(afterpay, payer=PAYER | {"billing_address": ADDRESS}), lambda _: None)
    held = charged(afterpay, gateway, Verb.AUTHORIZE)
    assert isinstance(gateway.capture(operation(held, Verb.CAPTURE, 400)), Approved)
    paid = charged(afterpay, gateway)
    assert isinstance(gateway.refund(operation(paid, Verb.REFUND, 300)), Approved)


def test_requests_are_as_published(afterpay: AfterpayBench, gateway: AfterpayGateway, wire: Wire) -> None:
    everything(afterpay, gateway)
    posted = [asked for asked in wire.asked if asked.method == "POST"]
    assert {template(asked.path) for asked in posted} == set(OURS)
    for asked in posted:
        ours = OURS[template(asked.path)]
        Draft202012Validator({"required": list(ours), "properties": ours}).validate(asked.body)
        for schema in schemas(template(asked.path), "POST"):
            Draft202012Validator(schema).validate(asked.body)


def test_the_sandbox_answers_as_published(afterpay: AfterpayBench, gateway: AfterpayGateway, wire: Wire) -> None:
    everything(afterpay, gateway)
    heard = [(asked, status, response) for asked, status, response in wire.heard if status < 400]
    assert {template(asked.path) for asked, _, _ in heard} >= {*OURS, "/v2/configuration"}
    for asked, status, response in heard:
        body = _without_null(json.loads(response))
        assert body
        for schema in schemas(template(asked.path), asked.method, status):
            Draft202012Validator(schema).validate(body)


def _without_null(value: Any) -> Any:
    """Afterpay answers null where its documents only know text."""
    if isinstance(value, dict):
        return {name: _without_null(part) for name, part in value.items() if part is not None}
    return [_without_null(part) for part in value] if isinstance(value, list) else value


def test_a_request_that_is_not_as_published_is_found() -> None:
    """The validation above can fail."""
    ours = OURS["/v2/payments/auth"]
    validator = Draft202012Validator({"required": list(ours), "properties": ours})
    assert not validator.is_valid({"token": "t", "requestId": "7", "merchantReference": "r"})
    for schema in schemas("/v2/checkouts", "POST"):
        assert not Draft202012Validator(schema).is_valid({"amount": {"amount": "1.00", "currency": "JPY"}})


# --- what is sent ---


def test_the_shopper_is_named_and_comes_back_to_us(
    afterpay: AfterpayBench, gateway: AfterpayGateway, wire: Wire
) -> None:
    asked = new_order(afterpay, payer=PAYER | {"billing_address": ADDRESS, "ip_address": "203.0.113.7"})
    gateway.charge(asked, lambda _: None)
    back = f"{API_URL}/returns/{asked.attempt_id}"
    assert wire.bodies("/checkouts") == [
        {
            "amount": {"amount": "10.00", "currency": "AUD"},
            "consumer": {"email": "jo@example.org", "givenNames": "Jo", "surname": "Example"},
            "merchant": {"redirectConfirmUrl": back, "redirectCancelUrl": back},
            "merchantReference": f"{asked.payment_id}/{asked.attempt_id}",
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
def test_an_address_that_is_not_whole_is_left_out(
    afterpay: AfterpayBench, gateway: AfterpayGateway, wire: Wire, address: Any
) -> None:
    gateway.charge(new_order(afterpay, payer={"email": "jo@example.org", "billing_address": address}), lambda _: None)
    (sent,) = wire.bodies("/checkouts")
    assert "billing" not in sent
    assert sent["consumer"]["email"] == "jo@example.org"


def test_every_request_says_who_asks(afterpay: AfterpayBench, gateway: AfterpayGateway, wire: Wire) -> None:
    everything(afterpay, gateway)
    for asked in wire.asked:
        assert asked.headers["User-Agent"].startswith("Celeriac/")
        assert "Merchant/sandbox-au" in asked.headers["User-Agent"]
        assert asked.headers["User-Agent"].endswith(" https://pay.example")
        assert asked.headers["Accept"] == "application/json"
        assert asked.headers["Authorization"].startswith("Basic ")
        assert asked.body is None or asked.headers["Content-Type"] == "application/json"


# --- limits ---


def test_limits_are_read_once_a_day(afterpay: AfterpayBench, gateway: AfterpayGateway, wire: Wire) -> None:
    assert [gateway.limits(), gateway.limits()] == [(100, 200_000)] * 2
    assert [asked.path for asked in wire.asked] == ["/v2/configuration"]
    assert gateway.check() == "Afterpay accepts the credentials; orders from 1.00 to 2000.00 AUD"
    assert len(wire.asked) == 2


def test_an_account_without_a_minimum(gateway: AfterpayGateway, wire: Wire) -> None:
    wire.responses["/configuration"] = (200, {"maximumAmount": {"amount": "800.00", "currency": "AUD"}})
    assert gateway.limits() == (1, 80_000)


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        (401, {"errorCode": "unauthorized"}, "unauthorized"),
        (503, b"", "http_503"),
        (200, {}, "AFTERPAY_REGION"),
        (200, {"maximumAmount": {"amount": "800.00", "currency": "USD"}}, "AFTERPAY_REGION"),
        (200, b"[]", "AFTERPAY_REGION"),
    ],
)
def test_limits_that_cannot_be_read(gateway: AfterpayGateway, wire: Wire, status: int, body: Any, said: str) -> None:
    for ask in (gateway.limits, gateway.check):
        wire.responses["/configuration"] = (status, body)
        with pytest.raises(GatewayError, match=said):
            ask()
    assert gateway.limits() == (100, 200_000)


@pytest.mark.parametrize("changes", [{"secret_key": "wrong"}, {"base": "http://127.0.0.1:1"}])
def test_a_check_that_fails_says_why_and_no_secret(afterpay: AfterpayBench, changes: dict[str, str]) -> None:
    with pytest.raises(GatewayError) as raised:
        afterpay.gateway(**changes).check()
    assert not {"wrong", afterpay.secret} & set(str(raised.value).split())


# --- settings ---

WHOLE = {
    "afterpay_merchant_id": "40999",
    "afterpay_secret_key": "0f8e",
    "afterpay_region": "au",
}
IMITATION = {
    "afterpay_merchant_id": "sandbox-au",
    "afterpay_secret_key": "sandbox",
    "afterpay_region": "au",
    "afterpay_api_base": "http://127.0.0.1:8900/afterpay",
}
SHARED = GatewayContext(api_url=API_URL, read_seconds=5, tokens=None)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "given",
    [
        {},
        WHOLE,
        WHOLE | {"afterpay_api_base": "https://global-api-sandbox.afterpay.com"},
        IMITATION,
        IMITATION | {"afterpay_webhook_secret": "other"},
    ],
    ids=str,
)
def test_settings_without_problems(given: dict[str, str]) -> None:
    assert AfterpaySettings(**given).problems() == []


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"afterpay_secret_key": None}, "AFTERPAY_SECRET_KEY"),
        ({"afterpay_merchant_id": None}, "AFTERPAY_MERCHANT_ID"),
        ({"afterpay_merchant_id": "a:b"}, "AFTERPAY_MERCHANT_ID"),
        ({"afterpay_merchant_id": "a\nb"}, "AFTERPAY_MERCHANT_ID"),
        ({"afterpay_region": None}, "AFTERPAY_REGION"),
        ({"afterpay_region": "fr"}, "AFTERPAY_REGION"),
        ({"afterpay_merchant_id": "sandbox-au"}, "AFTERPAY_API_BASE"),
        ({"afterpay_secret_key": "sandbox"}, "AFTERPAY_API_BASE"),
        ({"afterpay_api_base": "http://127.0.0.1:8900/afterpay"}, "AFTERPAY_API_BASE"),
        ({"afterpay_api_base": "http://global-api.afterpay.com"}, "AFTERPAY_API_BASE"),
        ({"afterpay_api_base": "https://global-api.afterpay.com.evil.example"}, "AFTERPAY_API_BASE"),
        ({"afterpay_api_base": "global-api.afterpay.com"}, "AFTERPAY_API_BASE"),
    ],
    ids=str,
)
def test_settings_with_a_problem(given: dict[str, Any], named: str) -> None:
    (problem,) = AfterpaySettings(**(WHOLE | given)).problems()
    assert problem.startswith(named)
    assert "0f8e" not in problem


def test_without_credentials_afterpay_is_off() -> None:
    assert AfterpaySettings().make(SHARED) is None
    assert AfterpaySettings(**(WHOLE | {"afterpay_secret_key": None})).make(SHARED) is None


def test_a_gateway_of_the_settings(sandbox: RunningSandbox) -> None:
    given = IMITATION | {"afterpay_api_base": f"{sandbox.url}/afterpay"}
    made = AfterpaySettings(**given).make(SHARED)
    assert made is not None
    assert (made.provider, made.region) == ("afterpay", "au")
    assert made.limits() == (100, 200_000)


def test_secrets_are_not_shown() -> None:
    shown = repr(AfterpaySettings(**WHOLE, afterpay_webhook_secret="whisper"))
    assert "0f8e" not in shown
    assert "whisper" not in shown
    assert AfterpaySettings().afterpay_api_base == DEFAULT_BASE
