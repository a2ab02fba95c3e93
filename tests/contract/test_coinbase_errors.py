"""Both Coinbase products: what an error response or a malformed response proves about each kind of call."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from domain.outcome import InDoubt, NotSent, Outcome
from domain.payment import Verb
from gateways.coinbase import errors as business_errors
from gateways.coinbase_commerce import errors as commerce_errors
from gateways.failures import FailureKind
from sandbox.server import RunningSandbox
from stack.process import free_port

from .bench import Bench, new_attempt
from .benches.coinbase import CHECKOUT_ID as ID
from .benches.coinbase import ProviderBench as BusinessBench
from .benches.coinbase_commerce import ProviderBench as CommerceBench
from .served import replying
from .specifications import all_of
from .test_gateway_operations import operation

SPECIFICATIONS = all_of("coinbase", "business-checkouts.hand-written.json")
# Documented (docs.cdp.coinbase.com; the official package coinbase-commerce), read 2026-11-23.
STATUSES = {400, 401, 403, 404, 429, 500}
TYPES = {
    "not_found", "param_required", "validation_error", "invalid_request", "authentication_error",
    "rate_limit_exceeded", "internal_server_error",
}  # fmt: skip
PRIVATE = "no checkout for jo@example.org"


@pytest.fixture(params=[BusinessBench, CommerceBench], ids=lambda kind: kind.provider)
def bench(request: pytest.FixtureRequest, sandbox: RunningSandbox) -> Bench:
    """Each of the two benches."""
    return request.param(sandbox)


def outcomes(bench: Bench, status: int, body: Any) -> dict[str, Outcome]:
    """Return what each kind of call concludes from the same response."""
    new = new_attempt(bench)
    known = replace(new, reference=ID)
    with replying((status, body)) as server:
        gateway = bench.gateway(base=server.url)
        return {
            "create": gateway.charge(new, pytest.fail),
            "void": gateway.void(operation(known, Verb.VOID)),
            "refund": gateway.refund(operation(known, Verb.REFUND)),
            "retrieve": gateway.retrieve(known),
        }


def expected(kind: FailureKind, reason: str) -> dict[str, Outcome]:
    """Return what each kind of call has to conclude from a failure."""
    retryable, final = NotSent(reason), NotSent(reason, is_retryable=False)
    doubt, known_doubt = InDoubt(reason), InDoubt(reason, ID)
    not_voided = NotSent(reason, reference=ID)
    return {
        FailureKind.AT_FAULT: {"create": final, "void": known_doubt, "refund": final, "retrieve": known_doubt},
        FailureKind.NOT_EXECUTED: {
            "create": retryable,
            "void": not_voided,
            "refund": retryable,
            "retrieve": known_doubt,
        },
        FailureKind.UNKNOWN: {"create": retryable, "void": known_doubt, "refund": doubt, "retrieve": known_doubt},
    }[kind]


def supported(bench: Bench, by_call: dict[str, Outcome]) -> dict[str, Outcome]:
    """Leave refunds out where the product has none."""
    return {name: outcome for name, outcome in by_call.items() if name != "refund" or "refund" in bench.features}


def test_every_documented_error_is_decided() -> None:
    assert business_errors.STATUSES.keys() >= STATUSES
    assert commerce_errors.ERRORS.keys() == TYPES
    for specification in SPECIFICATIONS:
        assert set(specification["error"]["http"]) == STATUSES


@pytest.mark.parametrize("status", [*sorted(business_errors.STATUSES), 302, 402, 418, 502, 503])
def test_an_error_without_a_known_type_is_decided_by_its_status(bench: Bench, status: int) -> None:
    table = business_errors.STATUSES if bench.provider == "coinbase" else commerce_errors.STATUSES
    wanted = expected(table.get(status, FailureKind.UNKNOWN), f"http_{status}")
    for body in (b"", b"<html>", {}, [], {"error": PRIVATE}, {"errorType": PRIVATE}, {"error": {"type": PRIVATE}}):
        assert supported(bench, outcomes(bench, status, body)) == supported(bench, wanted)


def test_a_request_that_never_left_was_not_executed(bench: Bench) -> None:
    attempt = replace(new_attempt(bench), reference=ID)
    gateway = bench.gateway(base=f"http://127.0.0.1:{free_port()}")
    assert gateway.void(operation(attempt, Verb.VOID)) == NotSent("unreachable", reference=ID)
    if "refund" in bench.features:
        assert gateway.refund(operation(attempt, Verb.REFUND)) == NotSent("unreachable")
    assert gateway.retrieve(attempt) == InDoubt("unreachable", ID)


@pytest.mark.parametrize("kind", sorted(TYPES))
def test_an_error_of_commerce_is_decided_by_its_type(sandbox: RunningSandbox, kind: str) -> None:
    bench = CommerceBench(sandbox)
    body = {"error": {"type": kind, "message": PRIVATE}}
    wanted = expected(commerce_errors.ERRORS[kind], kind)
    assert supported(bench, outcomes(bench, 422, body)) == supported(bench, wanted)


def test_the_type_of_an_error_of_business_is_the_reason(sandbox: RunningSandbox) -> None:
    body = {"errorType": "invalid_request", "errorMessage": PRIVATE}
    assert outcomes(BusinessBench(sandbox), 400, body) == expected(FailureKind.AT_FAULT, "invalid_request")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b"[]",
        b"null",
        b"\xff",
        b"[" * 100_000,
        b'{"data": null}',
        b'{"data": []}',
        b'{"data": {"id": null}}',
        b'{"id": "1", "data": {"id": "1"}}',
        b'{"id": "1", "status": 7, "refunds": [7], "data": {"id": "1", "timeline": [7]}}',
        b'{"id": "1", "status": "COMPLETED", "data": {"id": "1", "timeline": [{"status": "COMPLETED"}]}}',
        b'{"checkout": {"refunds": 7}}',
    ],
    ids=lambda body: body[:70].decode("latin-1"),
)
def test_a_malformed_response_proves_nothing(bench: Bench, body: bytes) -> None:
    new, references = new_attempt(bench), []
    known = replace(new, reference=ID)
    with replying((200, body)) as server:
        gateway = bench.gateway(base=server.url)
        created = gateway.charge(new, references.append)
        assert isinstance(created, InDoubt) if references else created == NotSent("malformed_response")
        assert isinstance(gateway.retrieve(known), InDoubt)
        assert isinstance(gateway.void(operation(known, Verb.VOID)), InDoubt)
        if "refund" in bench.features:
            assert isinstance(gateway.refund(operation(known, Verb.REFUND)), InDoubt)
