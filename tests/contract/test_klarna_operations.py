"""Klarna's captures, voids and refunds: what only Klarna's orders and pages can do."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest
import requests

from domain.outcome import Approved, CustomerApproved, Declined, InDoubt, NotSent, Outcome, Pending
from domain.payment import Verb
from gateways.base import AttemptRequest
from gateways.klarna.gateway import KlarnaGateway
from gateways.klarna.responses import standing_of_order, standing_of_refund
from sandbox.server import RunningSandbox

from .bench import SECONDS, Books, new_order
from .benches.klarna import ProviderBench as KlarnaBench
from .test_gateway_operations import charged, operation
from .test_klarna_charges import DAY, HELD, RELEASED, assessed, gateway, klarna, opened, own, written

__all__ = ["gateway", "klarna", "own"]
PART, REST = ("capture", 400), ("void", 600)
DONE = (400, 1000)


# --- a part is captured, the rest released ---


@pytest.mark.parametrize("fault", ["error_before", "reset_before", "error_after", "timeout_after", "rate_limit"])
def test_a_worker_that_dies_before_the_rest_is_released(
    klarna: KlarnaBench, gateway: KlarnaGateway, sandbox: RunningSandbox, books: Books, fault: str
) -> None:
    first = charged(klarna, gateway, Verb.AUTHORIZE)
    asked = operation(first, Verb.CAPTURE, 400)
    books.fail("klarna.orders.release", fault, times=2)
    assert isinstance(gateway.capture(asked), InDoubt)
    is_released = fault.endswith("_after")
    assert written(sandbox, first.payment_id) == [HELD, PART, REST][: 3 if is_released else 2]
    if not is_released:
        assert isinstance(gateway.retrieve(asked), InDoubt)
    outcome = gateway.retrieve(asked)
    assert isinstance(outcome, Approved)
    assert (outcome.captured, outcome.authorized) == DONE
    assert written(sandbox, first.payment_id) == [HELD, PART, REST]
    assert gateway.retrieve(first) == outcome


def test_the_rest_of_another_capture_is_not_ours_to_release(
    klarna: KlarnaBench, gateway: KlarnaGateway, sandbox: RunningSandbox
) -> None:
    first = charged(klarna, gateway, Verb.AUTHORIZE)
    by_hand(sandbox, f"{first.reference}/captures", captured_amount=400, reference="by hand")
    outcome = gateway.retrieve(operation(first, Verb.CAPTURE))
    assert isinstance(outcome, Approved)
    assert outcome.captured == 400
    assert written(sandbox, first.payment_id) == [HELD, PART]


def test_a_capture_that_comes_back_after_klarna_forgot_its_key(own: RunningSandbox) -> None:
    klarna = KlarnaBench(own)
    gateway = klarna.gateway()
    first = charged(klarna, gateway, Verb.AUTHORIZE)
    asked = operation(first, Verb.CAPTURE, 400)
    outcome = gateway.capture(asked)
    own.state.advance(2 * DAY)
    assert gateway.capture(replace(asked, retries=1)) == outcome
    assert written(own, first.payment_id) == [HELD, PART, REST]


def test_an_authorization_that_ended_by_itself(own: RunningSandbox) -> None:
    klarna = KlarnaBench(own)
    gateway = klarna.gateway()
    first = charged(klarna, gateway, Verb.AUTHORIZE)
    own.state.advance(29 * DAY)
    ended = Approved(first.reference, voided=True)
    assert gateway.retrieve(first) == ended
    late = operation(first, Verb.CAPTURE)
    assert isinstance(gateway.capture(late), InDoubt)
    assert gateway.retrieve(late) == ended


# --- voids ---


@pytest.mark.parametrize("verb", [Verb.CHARGE, Verb.AUTHORIZE])
def test_who_agrees_while_the_page_is_closed_is_let_go(
    klarna: KlarnaBench, gateway: KlarnaGateway, sandbox: RunningSandbox, verb: Verb
) -> None:
    first, _ = opened(gateway, new_order(klarna, verb))
    klarna.let_customer_act(first.reference, is_good=True)
    void = operation(first, Verb.VOID, reason="expired")
    outcome = gateway.void(void)
    assert isinstance(outcome, Approved)
    assert outcome.voided
    assert written(sandbox, first.payment_id) == [HELD, RELEASED]
    assert gateway.retrieve(void) == outcome


@pytest.mark.parametrize(
    ("call", "fault"),
    [(call, fault) for call in ("pages.disable", "pages.read") for fault in ("error_before", "timeout_after")],
)
def test_a_page_whose_end_is_not_known(
    klarna: KlarnaBench, gateway: KlarnaGateway, books: Books, call: str, fault: str
) -> None:
    first, url = opened(gateway, new_order(klarna))
    void = operation(first, Verb.VOID)
    books.fail(f"klarna.{call}", fault)
    assert isinstance(gateway.void(void), InDoubt)
    is_open = (call, fault) == ("pages.disable", "error_before")
    found = gateway.retrieve(void)
    assert found == (NotSent("not_executed") if is_open else Approved(first.reference, voided=True))
    assert gateway.void(replace(void, retries=1)) == Approved(first.reference, voided=True)
    requests.post(url, data={"decision": "approve"}, timeout=SECONDS, allow_redirects=False)
    assert books.movements(first.payment_id) == []


def test_a_page_that_failed_is_voided(klarna: KlarnaBench, gateway: KlarnaGateway) -> None:
    first, _ = opened(gateway, new_order(klarna))
    klarna.let_customer_act(first.reference, is_good=False)
    assert gateway.void(operation(first, Verb.VOID)) == Approved(first.reference, voided=True)


def test_a_page_that_klarna_forgot_is_voided(own: RunningSandbox) -> None:
    klarna = KlarnaBench(own)
    gateway = klarna.gateway()
    first, _ = opened(gateway, new_order(klarna))
    own.state.advance(3 * DAY)
    assert isinstance(gateway.retrieve(first), InDoubt)
    assert gateway.void(operation(first, Verb.VOID)) == Approved(first.reference, voided=True)


def test_an_order_under_assessment_can_be_let_go(
    klarna: KlarnaBench, gateway: KlarnaGateway, sandbox: RunningSandbox
) -> None:
    first = assessed(klarna, gateway)
    outcome = gateway.void(operation(first, Verb.VOID))
    assert outcome == Approved(first.reference, voided=True)
    assert written(sandbox, first.payment_id) == [HELD, RELEASED]


def test_an_authorization_that_is_stopped_later_ends(
    klarna: KlarnaBench, gateway: KlarnaGateway, sandbox: RunningSandbox
) -> None:
    """Klarna takes its yes back: there is nothing to capture any more, and nothing stays held."""
    first = charged(klarna, gateway, Verb.AUTHORIZE)
    klarna.control(f"orders/{first.reference}/fraud", "stop")
    late = operation(first, Verb.CAPTURE)
    assert isinstance(gateway.capture(late), InDoubt)
    assert gateway.retrieve(late) == Approved(first.reference, voided=True)
    assert written(sandbox, first.payment_id) == [HELD, RELEASED]


# --- refunds ---


def test_equal_refunds_whose_answers_were_lost_are_told_apart(
    klarna: KlarnaBench, gateway: KlarnaGateway, books: Books
) -> None:
    first = charged(klarna, gateway)
    asked = [operation(first, Verb.REFUND, 300) for _ in range(3)]
    books.fail("klarna.refunds.create", "error_after", times=2)
    assert [type(gateway.refund(each)) for each in asked[:2]] == [InDoubt, InDoubt]
    found = [gateway.retrieve(each) for each in asked]
    assert [type(each) for each in found] == [Approved, Approved, NotSent]
    assert found[0].reference != found[1].reference
    assert [kind for kind, _ in books.movements(first.payment_id)].count("refund") == 2


def test_a_refund_that_comes_back_after_klarna_forgot_its_key(own: RunningSandbox) -> None:
    klarna = KlarnaBench(own)
    gateway = klarna.gateway()
    asked = operation(charged(klarna, gateway), Verb.REFUND, 300)
    outcome = gateway.refund(asked)
    own.state.advance(2 * DAY)
    assert gateway.refund(replace(asked, retries=1)) == outcome
    assert [kind for kind, _ in written(own, asked.payment_id)].count("refund") == 1


def test_a_refund_whose_look_up_fails_is_not_repeated(
    klarna: KlarnaBench, gateway: KlarnaGateway, books: Books
) -> None:
    asked = operation(charged(klarna, gateway), Verb.REFUND, 300)
    books.fail("klarna.orders.read", "error_before")
    assert isinstance(gateway.refund(replace(asked, retries=1)), InDoubt)
    assert [kind for kind, _ in books.movements(asked.payment_id)] == ["charge"]


def test_a_refund_of_what_klarna_does_not_show_as_captured_is_in_doubt(
    klarna: KlarnaBench, gateway: KlarnaGateway, books: Books
) -> None:
    asked = operation(charged(klarna, gateway, Verb.AUTHORIZE), Verb.REFUND)
    assert isinstance(gateway.refund(asked), InDoubt)
    assert books.movements(asked.payment_id) == [HELD]


def test_two_workers_at_once_move_the_money_once(
    klarna: KlarnaBench, gateway: KlarnaGateway, sandbox: RunningSandbox
) -> None:
    ready = klarna.ready(gateway, new_order(klarna), "good")
    refund = operation(ready, Verb.REFUND, 300)
    with ThreadPoolExecutor(4) as workers:
        outcomes = list(workers.map(lambda _: gateway.charge(ready, lambda _: None), range(8)))
        assert set(outcomes) == {Approved(ready.reference, authorized=1000, captured=1000)}
        given_back = list(workers.map(lambda _: gateway.refund(refund), range(8)))
    assert len(set(given_back)) == 1
    assert written(sandbox, ready.payment_id) == [HELD, ("capture", 1000), ("refund", 300)]


@pytest.mark.parametrize("call", ["captures", "refunds"])
def test_an_empty_answer_is_believed_only_as_far_as_the_order_shows_it(
    klarna: KlarnaBench, gateway: KlarnaGateway, books: Books, call: str
) -> None:
    """The money has moved, and reading the order fails: the look-up ends the doubt."""
    is_refund = call == "refunds"
    first = charged(klarna, gateway, Verb.CHARGE if is_refund else Verb.AUTHORIZE)
    asked = operation(first, Verb.REFUND if is_refund else Verb.CAPTURE)
    books.fail("klarna.orders.read", "error_before")
    assert isinstance((gateway.refund if is_refund else gateway.capture)(asked), InDoubt)
    assert isinstance(gateway.retrieve(asked), Approved)


# --- every state of an order ---

HOLDING = {
    "order_id": "1",
    "status": "AUTHORIZED",
    "fraud_status": "ACCEPTED",
    "original_order_amount": 1000,
    "remaining_authorized_amount": 1000,
    "captured_amount": 0,
    "refunded_amount": 0,
    "purchase_currency": "usd",
    "expires_at": "2026-12-04T10:26:06.000Z",
}
ENDED = Approved("1", voided=True)
TAKEN = Approved("1", authorized=1000, captured=1000)
STATES: list[tuple[dict[str, Any], Verb, Outcome | type[Outcome]]] = [
    ({}, Verb.CHARGE, CustomerApproved("1")),
    ({}, Verb.CAPTURE, NotSent("not_executed")),
    ({}, Verb.VOID, NotSent("not_executed")),
    ({"fraud_status": "PENDING"}, Verb.CHARGE, Pending("1")),
    ({"fraud_status": "PENDING"}, Verb.AUTHORIZE, Pending("1")),
    ({"fraud_status": "PENDING"}, Verb.VOID, NotSent("not_executed")),
    ({"fraud_status": "REJECTED"}, Verb.CHARGE, Declined),
    ({"fraud_status": "REJECTED"}, Verb.CAPTURE, Declined),
    ({"fraud_status": "REJECTED"}, Verb.VOID, ENDED),
    ({"fraud_status": "INVENTED"}, Verb.CHARGE, InDoubt),
    ({"status": "INVENTED"}, Verb.CHARGE, InDoubt),
    ({"remaining_authorized_amount": 900}, Verb.CHARGE, InDoubt),
    ({"remaining_authorized_amount": 900}, Verb.AUTHORIZE, InDoubt),
    ({"original_order_amount": 900}, Verb.CHARGE, InDoubt),
    ({"purchase_currency": "EUR"}, Verb.CAPTURE, InDoubt),
    *(({"status": status}, verb, ENDED) for status in ("CANCELLED", "EXPIRED", "CLOSED") for verb in Verb),
    ({"status": "CAPTURED", "captured_amount": 1000}, Verb.CHARGE, TAKEN),
    ({"status": "CLOSED", "captured_amount": 1000}, Verb.VOID, TAKEN),
    # Stopped after it was captured: the money is with us all the same.
    ({"status": "CAPTURED", "captured_amount": 1000, "fraud_status": "REJECTED"}, Verb.CHARGE, TAKEN),
    ({"status": "PART_CAPTURED", "captured_amount": 1}, Verb.CHARGE, Approved("1", authorized=1000, captured=1)),
]


@pytest.mark.parametrize(("changes", "verb", "expected"), STATES)
def test_every_state_of_an_order(
    klarna: KlarnaBench, changes: dict[str, Any], verb: Verb, expected: Outcome | type[Outcome]
) -> None:
    found = standing_of_order(new_order(klarna, verb), HOLDING | changes)
    assert isinstance(found, expected) if isinstance(expected, type) else found == expected


def test_an_authorization_says_until_when_it_holds(klarna: KlarnaBench) -> None:
    found = standing_of_order(new_order(klarna, Verb.AUTHORIZE), HOLDING)
    assert isinstance(found, Approved)
    assert found.authorized == 1000
    assert str(found.authorization_expires_at) == "2026-12-04 10:26:06+00:00"


def refunding(klarna: KlarnaBench, **changes: Any) -> AttemptRequest:
    return new_order(klarna, Verb.REFUND, minor=300, attempt_id="at_1", **changes)


def test_refunds_that_do_not_add_up_prove_nothing(klarna: KlarnaBench) -> None:
    other = {"refund_id": "r", "reference": "at_2", "refunded_amount": 300}
    assert standing_of_refund(refunding(klarna), {"refunds": [other], "refunded_amount": 300}) == NotSent("not_created")
    for response in ({"refunds": [other], "refunded_amount": 600}, {"refunded_amount": 300}):
        assert isinstance(standing_of_refund(refunding(klarna), response), InDoubt)


def test_a_refund_is_found_by_either_id(klarna: KlarnaBench) -> None:
    refund = {"refund_id": "r", "reference": "at_1", "refunded_amount": 300}
    found = Approved("r", refunded=300)
    assert standing_of_refund(refunding(klarna), {"refunds": [refund], "refunded_amount": 300}) == found
    by_hand = {"refunds": [refund | {"reference": "?"}], "refunded_amount": 300}
    assert standing_of_refund(refunding(klarna, reference="r"), by_hand) == found
    for amount in (299, 301):
        response = {"refunds": [refund | {"refunded_amount": amount}], "refunded_amount": amount}
        assert isinstance(standing_of_refund(refunding(klarna), response), InDoubt)


def by_hand(sandbox: RunningSandbox, path: str, **body: Any) -> None:
    """Do what somebody does in Klarna's portal."""
    url = f"{sandbox.url}/klarna/ordermanagement/v1/orders/{path}"
    requests.post(url, json=body, auth=("sandbox", "x"), timeout=SECONDS).raise_for_status()
