"""A PayPal that answers with something else than it documents: nothing is concluded from it, nothing breaks."""

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
from gateways.base import GatewayError, Order
from gateways.paypal.gateway import PayPalGateway

from .bench import SECONDS, new_order
from .benches.paypal import MemoryTokens, ProviderBench
from .served import answering, serving

TOKEN = {"access_token": "A21", "token_type": "Bearer", "expires_in": 32400}
CAPTURE = {"id": "C1", "status": "COMPLETED", "amount": {"value": "10.00", "currency_code": "EUR"}}
ORDER = {"id": "O1", "status": "COMPLETED", "purchase_units": [{"payments": {"captures": [CAPTURE]}}]}


def paid(**changes: Any) -> dict[str, Any]:
    """Return a paid order whose capture is strange."""
    return ORDER | {"purchase_units": [{"payments": {"captures": [CAPTURE | changes]}}]}


NONSENSE: dict[str, Any] = {
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
    "other amount": paid(amount={"value": "1000.00", "currency_code": "EUR"}),
    "other currency": paid(amount={"value": "10.00", "currency_code": "USD"}),
    "unknown capture": paid(status="OF_TOMORROW"),
}


# The refunds beside it are not there, and that can be seen.
SHOWS_A_CAPTURE = [name for name in NONSENSE if name.split()[-1] in ("amount", "currency", "capture")]


@contextmanager
def strange(answer: Any, status: int = 200) -> Iterator[PayPalGateway]:
    """The gateway of a PayPal that gives a token, and then one answer to everything."""
    body = b"" if answer is None else answer
    with serving(lambda asked: (200, TOKEN) if asked.path.endswith("/oauth2/token") else (status, body)) as served:
        yield PayPalGateway("client", "secret", MemoryTokens(), "W1", served.url, read_seconds=SECONDS)


@pytest.fixture(params=NONSENSE.values(), ids=NONSENSE.keys())
def gateway(request: pytest.FixtureRequest) -> Iterator[PayPalGateway]:
    """The gateway of a PayPal that makes no sense."""
    with strange(request.param) as gateway:
        yield gateway


@pytest.fixture(params=[302, 307, 418, 500, 503])
def elsewhere(request: pytest.FixtureRequest) -> Iterator[PayPalGateway]:
    """The gateway of a PayPal that sends everybody away."""
    with strange(b"go away", request.param) as gateway:
        yield gateway


def asked(verb: Verb = Verb.CHARGE, **changes: Any) -> Order:
    """Return an order whose object at PayPal is known."""
    given = {"money": Money(1000, "EUR"), "method_token": None, "reference": "O1", "charge_reference": "O1"}
    return new_order(ProviderBench, verb, **(given | changes))


def test_a_charge_is_in_doubt(gateway: PayPalGateway) -> None:
    outcome = gateway.charge(asked(), lambda _: None)
    assert isinstance(outcome, InDoubt)
    assert outcome.reference == "O1"


def test_an_order_that_cannot_be_read_was_not_made(gateway: PayPalGateway) -> None:
    remembered: list[str] = []
    outcome = gateway.charge(asked(reference=None, charge_reference=None), remembered.append)
    assert isinstance(outcome, NotSent)
    assert remembered == []


@pytest.mark.parametrize("verb", [Verb.CAPTURE, Verb.REFUND])
def test_an_operation_does_nothing(gateway: PayPalGateway, verb: Verb) -> None:
    outcome = getattr(gateway, verb)(asked(verb, reference=None))
    assert isinstance(outcome, InDoubt | NotSent)


@pytest.mark.parametrize("verb", [Verb.CHARGE, Verb.REFUND])
def test_a_look_up_says_nothing(gateway: PayPalGateway, verb: Verb) -> None:
    assert isinstance(gateway.retrieve(asked(verb)), InDoubt)


def test_an_order_without_its_payments_shows_no_refund(gateway: PayPalGateway, request: pytest.FixtureRequest) -> None:
    outcome = gateway.retrieve(asked(Verb.REFUND, reference=None))
    shows_the_capture = request.node.callspec.id in SHOWS_A_CAPTURE
    assert isinstance(outcome, NotSent if shows_the_capture else InDoubt)


def test_another_order_than_was_asked_for() -> None:
    with strange(paid(id="C1") | {"id": "O2"}) as gateway:
        assert gateway.retrieve(asked()) == InDoubt("malformed_answer", "O1")
        assert gateway.charge(asked(), lambda _: None) == InDoubt("malformed_answer", "O1")


NO_ROUTE = [b"<html>no such route</html>", {"message": "no route"}, {"name": "NOT_FOUND"}, {"error": "not_found"}]


@pytest.mark.parametrize("body", NO_ROUTE, ids=["page", "message", "name", "error"])
def test_a_404_of_another_server_proves_nothing(body: Any) -> None:
    with strange(body, 404) as gateway:
        void = asked(Verb.VOID, reference=None)
        assert isinstance(gateway.void(void), NotSent)
        assert isinstance(gateway.retrieve(void), InDoubt)
        assert isinstance(gateway.retrieve(asked(Verb.CHARGE)), InDoubt)


HELD = {
    "id": "A1",
    "status": "CREATED",
    "amount": CAPTURE["amount"],
    "expiration_time": "2026-12-20T00:00:00Z",
}


def test_a_capture_is_not_declined_by_the_one_before_it() -> None:
    before = CAPTURE | {"id": "C0", "status": "DECLINED", "invoice_id": "at_old"}
    own = before | {"id": "C1", "invoice_id": "at_new"}
    capture = asked(Verb.CAPTURE, attempt_id="at_new", reference=None)
    for captures, is_declined in (([before], False), ([before, own], True), ([own, before], True)):
        payments = {"authorizations": [HELD], "captures": captures}
        with strange(ORDER | {"purchase_units": [{"payments": payments}]}) as gateway:
            assert isinstance(gateway.retrieve(capture), Declined) == is_declined


@pytest.mark.parametrize("zone", ["", "Z", "+00:00"])
def test_a_time_without_a_zone_is_utc(zone: str) -> None:
    held = HELD | {"expiration_time": f"2026-12-20T00:00:00{zone}"}
    with strange(ORDER | {"purchase_units": [{"payments": {"authorizations": [held]}}]}) as gateway:
        outcome = gateway.retrieve(asked(Verb.AUTHORIZE, charge_reference=None))
    expires_at = datetime(2026, 12, 20, tzinfo=UTC)
    assert outcome == Approved("O1", authorized=1000, authorization_expires_at=expires_at)


@pytest.mark.parametrize(
    "changes",
    [
        {"access_token": "A\u20ac"},
        {"access_token": ""},
        {"access_token": "A\n"},
        {"access_token": 7},
        {"expires_in": 10**400},
        {"expires_in": 10**6},
        {"expires_in": 0},
        {"expires_in": -1},
        {"expires_in": "32400"},
        {"expires_in": 1.5},
    ],
)
def test_a_token_that_is_none(changes: dict[str, Any]) -> None:
    with answering((200, TOKEN | changes)) as served:
        gateway = PayPalGateway("client", "secret", MemoryTokens(), "W1", served.url, read_seconds=SECONDS)
        assert gateway.charge(asked(), lambda _: None) == NotSent("no_access_token", reference="O1")
        assert gateway.retrieve(asked()) == InDoubt("no_access_token", "O1")


def test_another_refund_than_was_asked_for() -> None:
    with strange(CAPTURE | {"id": "R2"}) as gateway:
        refund = asked(Verb.REFUND, reference="R1")
        assert gateway.retrieve(refund) == InDoubt("another_object", "R1")
        assert gateway.retrieve(replace(refund, reference="R2")) == Approved("R2", refunded=1000)


def test_the_check_says_so(gateway: PayPalGateway) -> None:
    with pytest.raises(GatewayError):
        gateway.check()


def test_a_redirect_or_an_error_is_doubt(elsewhere: PayPalGateway) -> None:
    order = asked()
    assert isinstance(elsewhere.charge(order, lambda _: None), InDoubt)
    assert isinstance(elsewhere.retrieve(order), InDoubt)
    assert isinstance(elsewhere.charge(replace(order, reference=None, charge_reference=None), print), NotSent)
    for verb in (Verb.CAPTURE, Verb.VOID, Verb.REFUND):
        assert isinstance(getattr(elsewhere, verb)(asked(verb, reference=None)), NotSent)
