"""Requests to Klarna and responses of its sandbox agree with Klarna's own OpenAPI files, where they are at hand."""

from __future__ import annotations

import json
import re
import uuid
from dataclasses import dataclass
from typing import Any

import jsonschema
import pytest
import requests

from domain.payment import Verb
from sandbox.server import RunningSandbox

from .bench import Books, new_attempt
from .benches.klarna import ProviderBench as KlarnaBench
from .specifications import all_of
from .test_gateway_operations import operation

SPECIFICATIONS = all_of("klarna")


@dataclass(frozen=True)
class Exchange:
    """One call: its request and its response."""

    method: str
    path: str
    headers: dict[str, str]
    request_body: Any
    status: int
    response_body: Any
    response_headers: dict[str, str]


def recorded(response: requests.Response, base: str) -> Exchange:
    request = response.request
    return Exchange(
        str(request.method),
        str(request.url).removeprefix(base),
        dict(request.headers),
        json.loads(request.body) if request.body else None,
        response.status_code,
        response.json() if response.content else None,
        dict(response.headers),
    )


@pytest.fixture
def exchanges(sandbox: RunningSandbox, books: Books) -> list[Exchange]:
    """Every call of several payments: charged and refunded, captured in part, voided, charged off-session, closed
    before the customer approved, captured twice."""
    klarna = KlarnaBench(sandbox)
    gateway = klarna.gateway()
    exchanges: list[Exchange] = []
    gateway._client._session.hooks["response"].append(
        lambda response, **_: exchanges.append(recorded(response, gateway._client.base))
    )
    charged = klarna.ready(gateway, new_attempt(klarna), "good")
    gateway.charge(charged, lambda _: None)
    gateway.refund(operation(charged, Verb.REFUND, 300))
    for verb, minor in ((Verb.CAPTURE, 400), (Verb.VOID, 1000)):
        held = klarna.ready(gateway, new_attempt(klarna, Verb.AUTHORIZE), "good")
        (gateway.capture if verb is Verb.CAPTURE else gateway.void)(operation(held, verb, minor))
        (gateway.capture if verb is Verb.VOID else gateway.void)(operation(held, verb, minor))
    gateway.charge(new_attempt(klarna, is_off_session=True, method_token="customer-token"), lambda _: None)
    waiting = new_attempt(klarna)
    reference = gateway.charge(waiting, lambda _: None).reference
    gateway.void(operation(new_attempt(klarna, reference=reference), Verb.VOID))
    return exchanges


def operation_of(exchange: Exchange) -> tuple[dict[str, Any], dict[str, Any]] | None:
    """Return the specification that describes a call, and its operation there."""
    for specification in SPECIFICATIONS:
        for path, operations in specification["paths"].items():
            pattern = re.sub(r"\\\{[^}]*\\\}", "[^/]+", re.escape(path))
            if re.fullmatch(pattern, exchange.path) and exchange.method.lower() in operations:
                return specification, operations[exchange.method.lower()]
    return None


def schema_of(part: dict[str, Any], specification: dict[str, Any]) -> dict[str, Any] | None:
    contents = list((part.get("content") or {}).values())
    return contents[0]["schema"] | {"components": specification["components"]} if contents else None


def undocumented(value: Any, schema: dict[str, Any], specification: dict[str, Any]) -> list[str]:
    """Return the fields that a schema does not document."""
    if "$ref" in schema:
        schema = specification["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    if isinstance(value, list):
        return [name for item in value for name in undocumented(item, schema.get("items", {}), specification)]
    if not isinstance(value, dict) or "properties" not in schema:
        return []
    documented = schema["properties"]
    deeper = [
        name
        for key in value.keys() & documented.keys()
        for name in undocumented(value[key], documented[key], specification)
    ]
    return [*sorted(value.keys() - documented.keys()), *deeper]


def test_every_kind_of_call_is_recorded(exchanges: list[Exchange]) -> None:
    assert len(exchanges) > 25
    assert {201, 200, 204, 403} <= {exchange.status for exchange in exchanges}
    assert all("klarna-correlation-id" in exchange.response_headers for exchange in exchanges)


def test_calls_that_move_money_have_an_idempotency_key_and_the_attempts_id(exchanges: list[Exchange]) -> None:
    moving = [exchange for exchange in exchanges if exchange.path.endswith(("/captures", "/refunds", "/cancel"))]
    assert len(moving) >= 6
    for exchange in moving:
        assert uuid.UUID(exchange.headers["Klarna-Idempotency-Key"]).version == 4
        assert exchange.request_body is None or exchange.request_body["reference"].startswith("at_")


@pytest.mark.parametrize(
    "is_at_hand", [bool(SPECIFICATIONS)], ids=["specification" if SPECIFICATIONS else "no-specification-here"]
)
def test_requests_and_responses_are_as_specified(exchanges: list[Exchange], is_at_hand: bool) -> None:
    described = [(exchange, operation_of(exchange)) for exchange in exchanges]
    for exchange, match in described:
        if match is not None:
            check(exchange, *match)
    # Hosted pages and customer tokens are in neither file.
    outside = {exchange.path.split("/")[1] for exchange, match in described if match is None}
    assert outside == (
        {"hpp", "customer-token"} if is_at_hand else {"payments", "hpp", "ordermanagement", "customer-token"}
    )


def check(exchange: Exchange, specification: dict[str, Any], operation: dict[str, Any]) -> None:
    """Compare both bodies and the response's headers with the operation's schemas."""
    response = operation["responses"][str(exchange.status)]
    request_schema = schema_of(operation.get("requestBody") or {}, specification)
    response_schema = schema_of(response, specification)
    for value, schema in ((exchange.request_body, request_schema), (exchange.response_body, response_schema)):
        if schema is not None:
            jsonschema.validate(value, schema)
            assert undocumented(value, schema, specification) == []
    assert set(response.get("headers") or {}) <= exchange.response_headers.keys()
