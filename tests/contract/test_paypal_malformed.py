"""Responses of PayPal that do not have the documented form, or contradict themselves: they are doubt, and no error."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from domain.money import Money
from domain.outcome import Approved, Declined, InDoubt, NotSent
from domain.payment import Verb
from gateways.base import AttemptRequest, GatewayError
from gateways.paypal.gateway import PayPalGateway

from .bench import SECONDS, new_attempt
from .benches.paypal import MemoryTokens, ProviderBench
from .served import serving

TOKEN = {"access_token": "A21", "token_type": "Bearer", "expires_in": 32400}
CAPTURE = {"id": "C1", "status": "COMPLETED", "amount": {"value": "10.00", "currency_code": "EUR"}}
ORDER = {"id": "O1", "status": "COMPLETED", "purchase_units": [{"payments": {"captures": [CAPTURE]}}]}


def paid(**changes: Any) -> dict[str, Any]:
    """Return a paid order whose capture is changed."""
    return ORDER | {"purchase_units": [{"payments": {"captures": [CAPTURE | changes]}}]}


BODIES: dict[str, Any] = {
    "nothing": None,
    "list": [],
    "empty": {},
    "text": b"<html>",
    "deep": b"[" * 100_000,
    "no status": {"id": "O1"},
    "no id": {"status": "CREATED", "links": []},
    "strange id": {"id": 7, "status": "CREATED"},
    "unknown status": {"id": "O1", "status": "OF_TOMORROW"},
    "nothing paid": {"id": "O1", "status": "COMPLETED"},
    "strange units": {"id": "O1", "status": "COMPLETED", "purchase_units": 7},
    "no amount": paid(amount=None),
    "strange amount": paid(amount={"value": "ten", "currency_code": "EUR"}),
    "negative amount": paid(amount={"value": "-10.00", "currency_code": "EUR"}),
    "float amount": paid(amount={"value": 10.0, "currency_code": "EUR"}),
    "no currency": paid(amount={"value": "10.00"}),
    "unknown currency": paid(amount={"value": "10.00", "currency_code": "???"}),
    "other currency": paid(amount={"value": "10.00", "currency_code": "USD"}),
    "unknown capture": paid(status="OF_TOMORROW"),
}
# These orders have the documented form and a capture: they show that there is no refund.
SHOW_NO_REFUND = {
    "strange amount",
    "negative amount",
    "unknown currency",
    "other currency",
}


@contextmanager
def responding(body: Any, status: int = 200) -> Iterator[PayPalGateway]:
    """The gateway of a PayPal that gives a token, and then the same response to every call."""
    raw = b"" if body is None else body
    with serving(lambda sent: (200, TOKEN) if sent.path.endswith("/oauth2/token") else (status, raw)) as served:
        yield PayPalGateway("client", "secret", MemoryTokens(), "W1", served.url, read_seconds=SECONDS)


@pytest.fixture(params=BODIES.values(), ids=BODIES.keys())
def gateway(request: pytest.FixtureRequest) -> Iterator[PayPalGateway]:
    """The gateway of a PayPal whose every response is one of these."""
    with responding(request.param) as gateway:
        yield gateway


@pytest.fixture(params=[302, 307, 418, 500, 503])
def failing_gateway(request: pytest.FixtureRequest) -> Iterator[PayPalGateway]:
    """The gateway of a PayPal whose every response is a redirect or an error."""
    with responding(b"go away", request.param) as gateway:
        yield gateway


def attempt_on_order(verb: Verb = Verb.CHARGE, **changes: Any) -> AttemptRequest:
    """Return an attempt whose order at PayPal is stored."""
    fields = {"money": Money(1000, "EUR"), "method_token": None, "reference": "O1", "charge_reference": "O1"}
    return new_attempt(ProviderBench, verb, **(fields | changes))


def test_a_charge_is_in_doubt(gateway: PayPalGateway) -> None:
    outcome = gateway.charge(attempt_on_order(), lambda _: None)
    assert isinstance(outcome, InDoubt)
    assert outcome.reference == "O1"


def test_without_a_readable_order_nothing_was_sent(gateway: PayPalGateway) -> None:
    references: list[str] = []
    outcome = gateway.charge(attempt_on_order(reference=None, charge_reference=None), references.append)
    assert isinstance(outcome, NotSent)
    assert references == []


@pytest.mark.parametrize("verb", [Verb.CAPTURE, Verb.REFUND])
def test_an_operation_is_doubt_or_was_not_sent(gateway: PayPalGateway, verb: Verb) -> None:
    outcome = getattr(gateway, verb)(attempt_on_order(verb, reference=None))
    assert isinstance(outcome, InDoubt | NotSent)


@pytest.mark.parametrize("verb", [Verb.CHARGE, Verb.REFUND])
def test_a_look_up_is_in_doubt(gateway: PayPalGateway, verb: Verb) -> None:
    assert isinstance(gateway.retrieve(attempt_on_order(verb)), InDoubt)


def test_only_an_order_that_shows_its_capture_shows_that_there_is_no_refund(
    gateway: PayPalGateway, request: pytest.FixtureRequest
) -> None:
    outcome = gateway.retrieve(attempt_on_order(Verb.REFUND, reference=None))
    assert isinstance(outcome, NotSent if request.node.callspec.id in SHOW_NO_REFUND else InDoubt)


def test_another_order_than_requested_is_malformed() -> None:
    with responding(paid(id="C1") | {"id": "O2"}) as gateway:
        assert gateway.retrieve(attempt_on_order()) == InDoubt("malformed_response", "O1")
        assert gateway.charge(attempt_on_order(), lambda _: None) == InDoubt("malformed_response", "O1")
        for verb in (Verb.CAPTURE, Verb.VOID):
            outcome = getattr(gateway, verb)(attempt_on_order(verb, reference=None))
            assert outcome == InDoubt("malformed_response", "O1")
        assert gateway.refund(attempt_on_order(Verb.REFUND, reference=None)) == InDoubt("malformed_response")


NO_ROUTE = [b"<html>no such route</html>", {"message": "no route"}, {"name": "NOT_FOUND"}, {"error": "not_found"}]


@pytest.mark.parametrize("body", NO_ROUTE, ids=["page", "message", "name", "error"])
def test_a_404_of_another_server_proves_nothing(body: Any) -> None:
    with responding(body, 404) as gateway:
        void = attempt_on_order(Verb.VOID, reference=None)
        assert isinstance(gateway.void(void), NotSent)
        assert isinstance(gateway.retrieve(void), InDoubt)
        assert isinstance(gateway.retrieve(attempt_on_order(Verb.CHARGE)), InDoubt)


HELD = {
    "id": "A1",
    "status": "CREATED",
    "amount": CAPTURE["amount"],
    "expiration_time": "2026-12-20T00:00:00Z",
}


def test_a_capture_is_not_declined_by_the_one_before_it() -> None:
    earlier = CAPTURE | {"id": "C0", "status": "DECLINED", "invoice_id": "at_old"}
    own = earlier | {"id": "C1", "invoice_id": "at_new"}
    capture = attempt_on_order(Verb.CAPTURE, attempt_id="at_new", reference=None)
    for captures, is_declined in (([earlier], False), ([earlier, own], True), ([own, earlier], True)):
        payments = {"authorizations": [HELD], "captures": captures}
        with responding(ORDER | {"purchase_units": [{"payments": payments}]}) as gateway:
            assert isinstance(gateway.retrieve(capture), Declined) == is_declined


@pytest.mark.parametrize("zone", ["", "Z", "+00:00"])
def test_a_time_without_a_zone_is_utc(zone: str) -> None:
    held = HELD | {"expiration_time": f"2026-12-20T00:00:00{zone}"}
    with responding(ORDER | {"purchase_units": [{"payments": {"authorizations": [held]}}]}) as gateway:
        outcome = gateway.retrieve(attempt_on_order(Verb.AUTHORIZE, charge_reference=None))
    expires_at = datetime(2026, 12, 20, tzinfo=UTC)
    assert outcome == Approved("O1", authorized=1000, authorization_expires_at=expires_at)


def test_another_refund_than_requested_is_doubt() -> None:
    refund = attempt_on_order(Verb.REFUND, reference="R1")
    ours = {"custom_id": refund.attempt_id, "invoice_id": refund.attempt_id}
    with responding(CAPTURE | {"id": "R2"} | ours) as gateway:
        assert gateway.retrieve(refund) == InDoubt("another_object", "R1")
        assert gateway.retrieve(replace(refund, reference="R2")) == Approved("R2", refunded=1000)


def test_the_check_fails(gateway: PayPalGateway) -> None:
    with pytest.raises(GatewayError):
        gateway.check()


def test_a_redirect_or_an_error_is_doubt(failing_gateway: PayPalGateway) -> None:
    attempt = attempt_on_order()
    assert isinstance(failing_gateway.charge(attempt, lambda _: None), InDoubt)
    assert isinstance(failing_gateway.retrieve(attempt), InDoubt)
    assert isinstance(failing_gateway.charge(replace(attempt, reference=None, charge_reference=None), print), NotSent)
    for verb in (Verb.CAPTURE, Verb.VOID, Verb.REFUND):
        assert isinstance(getattr(failing_gateway, verb)(attempt_on_order(verb, reference=None)), NotSent)
