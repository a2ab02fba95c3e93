"""Coinbase's refusals and nonsense, in both gateways: what each proves about each kind of call."""

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

from .bench import Bench, new_order
from .benches.coinbase import ProviderBench as Business
from .benches.coinbase_commerce import ProviderBench as Commerce
from .served import answering
from .specifications import all_of
from .test_gateway_operations import operation

SPECIFICATIONS = all_of("coinbase", "business-checkouts.hand-written.json")
# Documented (docs.cdp.coinbase.com; the official package coinbase-commerce), read 2026-11-23.
STATUSES = {400, 401, 403, 404, 429, 500}
TYPES = {
    "not_found", "param_required", "validation_error", "invalid_request", "authentication_error",
    "rate_limit_exceeded", "internal_server_error",
}  # fmt: skip
ID = "68f7a946db0529ea9b6d3a12"
PRIVATE = "no checkout for jo@example.org"


@pytest.fixture(params=[Business, Commerce], ids=lambda kind: kind.provider)
def bench(request: pytest.FixtureRequest, sandbox: RunningSandbox) -> Bench:
    """Both benches in turn."""
    return request.param(sandbox)


def outcomes(bench: Bench, status: int, body: Any) -> dict[str, Outcome]:
    """Return what each kind of call makes of the same answer."""
    asked = new_order(bench)
    known = replace(asked, reference=ID)
    with answering((status, body)) as canned:
        gateway = bench.gateway(base=canned.url)
        return {
            "create": gateway.charge(asked, pytest.fail),
            "void": gateway.void(operation(known, Verb.VOID)),
            "refund": gateway.refund(operation(known, Verb.REFUND)),
            "retrieve": gateway.retrieve(known),
        }


def expected(kind: FailureKind, reason: str) -> dict[str, Outcome]:
    later, never = NotSent(reason), NotSent(reason, is_retryable=False)
    doubt, known = InDoubt(reason), InDoubt(reason, ID)
    held = NotSent(reason, reference=ID)
    return {
        FailureKind.AT_FAULT: {"create": never, "void": known, "refund": never, "retrieve": known},
        FailureKind.NOT_EXECUTED: {"create": later, "void": held, "refund": later, "retrieve": known},
        FailureKind.UNKNOWN: {"create": later, "void": known, "refund": doubt, "retrieve": known},
    }[kind]


def without_refund(bench: Bench, found: dict[str, Outcome]) -> dict[str, Outcome]:
    """Leave out what Commerce does not have."""
    return {name: outcome for name, outcome in found.items() if name != "refund" or "refund" in bench.features}


def test_every_documented_error_is_decided() -> None:
    assert business_errors.STATUSES.keys() >= STATUSES
    assert commerce_errors.ERRORS.keys() == TYPES
    for spec in SPECIFICATIONS:
        assert set(spec["error"]["http"]) == STATUSES


@pytest.mark.parametrize("status", [*sorted(business_errors.STATUSES), 302, 402, 418, 502, 503])
def test_a_refusal_by_its_status(bench: Bench, status: int) -> None:
    table = business_errors.STATUSES if bench.provider == "coinbase" else commerce_errors.STATUSES
    wanted = expected(table.get(status, FailureKind.UNKNOWN), f"http_{status}")
    for body in (b"", b"<html>", {}, [], {"error": PRIVATE}, {"errorType": PRIVATE}, {"error": {"type": PRIVATE}}):
        assert without_refund(bench, outcomes(bench, status, body)) == without_refund(bench, wanted)


def test_what_never_left_was_not_executed(bench: Bench) -> None:
    asked = replace(new_order(bench), reference=ID)
    gateway = bench.gateway(base=f"http://127.0.0.1:{free_port()}")
    assert gateway.void(operation(asked, Verb.VOID)) == NotSent("unreachable", reference=ID)
    if "refund" in bench.features:
        assert gateway.refund(operation(asked, Verb.REFUND)) == NotSent("unreachable")
    assert gateway.retrieve(asked) == InDoubt("unreachable", ID)


@pytest.mark.parametrize("kind", sorted(TYPES))
def test_a_refusal_of_commerce_by_its_type(sandbox: RunningSandbox, kind: str) -> None:
    bench = Commerce(sandbox)
    body = {"error": {"type": kind, "message": PRIVATE}}
    wanted = expected(commerce_errors.ERRORS[kind], kind)
    assert without_refund(bench, outcomes(bench, 422, body)) == without_refund(bench, wanted)


def test_a_type_of_business_is_the_reason(sandbox: RunningSandbox) -> None:
    body = {"errorType": "invalid_request", "errorMessage": PRIVATE}
    assert outcomes(Business(sandbox), 400, body) == expected(FailureKind.AT_FAULT, "invalid_request")


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
def test_nonsense_concludes_nothing(bench: Bench, body: bytes) -> None:
    asked, remembered = new_order(bench), []
    known = replace(asked, reference=ID)
    with answering((200, body)) as canned:
        gateway = bench.gateway(base=canned.url)
        created = gateway.charge(asked, remembered.append)
        assert isinstance(created, InDoubt) if remembered else created == NotSent("malformed_response")
        assert isinstance(gateway.retrieve(known), InDoubt)
        assert isinstance(gateway.void(operation(known, Verb.VOID)), InDoubt)
        if "refund" in bench.features:
            assert isinstance(gateway.refund(operation(known, Verb.REFUND)), InDoubt)
