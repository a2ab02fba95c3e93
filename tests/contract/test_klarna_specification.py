"""What is sent to Klarna and what its sandbox answers, against Klarna's own OpenAPI, where that is found."""

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

from .bench import Books, new_order
from .benches.klarna import ProviderBench as KlarnaBench
from .specifications import all_of
from .test_gateway_operations import operation

FOUND = all_of("klarna")


@dataclass(frozen=True)
class Exchange:
    """One call, as it went over the wire."""

    method: str
    path: str
    headers: dict[str, str]
    sent: Any
    status: int
    got: Any
    answer_headers: dict[str, str]


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
    """Every call of a payment's life: charged and refunded, authorized and captured in part, authorized and let go,
    charged while the customer is away, given up before he came, and captured twice."""
    klarna = KlarnaBench(sandbox)
    gateway = klarna.gateway()
    found: list[Exchange] = []
    gateway._client._session.hooks["response"].append(
        lambda response, **_: found.append(recorded(response, gateway._client.base))
    )
    charged = klarna.ready(gateway, new_order(klarna), "good")
    gateway.charge(charged, lambda _: None)
    gateway.refund(operation(charged, Verb.REFUND, 300))
    for verb, minor in ((Verb.CAPTURE, 400), (Verb.VOID, 1000)):
        held = klarna.ready(gateway, new_order(klarna, Verb.AUTHORIZE), "good")
        (gateway.capture if verb is Verb.CAPTURE else gateway.void)(operation(held, verb, minor))
        (gateway.capture if verb is Verb.VOID else gateway.void)(operation(held, verb, minor))
    gateway.charge(new_order(klarna, is_off_session=True, method_token="customer-token"), lambda _: None)
    waiting = new_order(klarna)
    reference = gateway.charge(waiting, lambda _: None).reference
    gateway.void(operation(new_order(klarna, reference=reference), Verb.VOID))
    return found


def operation_of(exchange: Exchange) -> tuple[dict[str, Any], dict[str, Any]] | None:
    """Return the specification that describes a call, and the call's operation in it."""
    for specification in FOUND:
        for path, operations in specification["paths"].items():
            pattern = re.sub(r"\\\{[^}]*\\\}", "[^/]+", re.escape(path))
            if re.fullmatch(pattern, exchange.path) and exchange.method.lower() in operations:
                return specification, operations[exchange.method.lower()]
    return None


def schema_of(described: dict[str, Any], specification: dict[str, Any]) -> dict[str, Any] | None:
    contents = list((described.get("content") or {}).values())
    return contents[0]["schema"] | {"components": specification["components"]} if contents else None


def unknown(value: Any, schema: dict[str, Any], specification: dict[str, Any]) -> list[str]:
    """Return the fields that a schema does not know."""
    if "$ref" in schema:
        schema = specification["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    if isinstance(value, list):
        return [name for item in value for name in unknown(item, schema.get("items", {}), specification)]
    if not isinstance(value, dict) or "properties" not in schema:
        return []
    known = schema["properties"]
    deeper = [name for key in value.keys() & known.keys() for name in unknown(value[key], known[key], specification)]
    return [*sorted(value.keys() - known.keys()), *deeper]


def test_the_life_of_a_payment_was_recorded(exchanges: list[Exchange]) -> None:
    assert len(exchanges) > 25
    assert {201, 200, 204, 403} <= {exchange.status for exchange in exchanges}
    assert all("klarna-correlation-id" in exchange.answer_headers for exchange in exchanges)


def test_what_moves_money_carries_a_key_and_our_name(exchanges: list[Exchange]) -> None:
    moving = [exchange for exchange in exchanges if exchange.path.endswith(("/captures", "/refunds", "/cancel"))]
    assert len(moving) >= 6
    for exchange in moving:
        assert uuid.UUID(exchange.headers["Klarna-Idempotency-Key"]).version == 4
        assert exchange.sent is None or exchange.sent["reference"].startswith("at_")


@pytest.mark.parametrize("is_found", [bool(FOUND)], ids=["specification-found" if FOUND else "none-found-here"])
def test_requests_and_answers_are_as_specified(exchanges: list[Exchange], is_found: bool) -> None:
    described = [(exchange, operation_of(exchange)) for exchange in exchanges]
    checked = [(exchange, found) for exchange, found in described if found is not None]
    for exchange, (specification, found) in checked:
        asked = schema_of(found.get("requestBody") or {}, specification)
        answered = schema_of(found["responses"][str(exchange.status)], specification)
        for value, schema in ((exchange.sent, asked), (exchange.got, answered)):
            if schema is not None:
                jsonschema.validate(value, schema)
                assert unknown(value, schema, specification) == []
        assert set(found["responses"][str(exchange.status)].get("headers") or {}) <= exchange.answer_headers.keys()
    # Hosted pages and customer tokens are in neither file.
    outside = {exchange.path.split("/")[1] for exchange, found in described if found is None}
    assert outside == (
        {"hpp", "customer-token"} if is_found else {"payments", "hpp", "ordermanagement", "customer-token"}
    )
