"""Klarna's captures, voids and refunds: the cases that only Klarna's orders and pages have."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest
import requests

from domain.outcome import Approved, InDoubt, NotSent
from domain.payment import Verb
from gateways.klarna.gateway import KlarnaGateway
from sandbox.server import RunningSandbox

from .bench import SECONDS, Books, new_attempt
from .benches.klarna import ProviderBench as KlarnaBench
from .test_gateway_operations import charged, operation
from .test_klarna_charges import DAY, HELD, RELEASED, gateway, klarna, ledger_rows, own, under_assessment, with_page

__all__ = ["gateway", "klarna", "own"]
PART, REMAINDER = ("capture", 400), ("void", 600)


# --- partial captures ---


@pytest.mark.parametrize("fault", ["error_before", "reset_before", "error_after", "timeout_after", "rate_limit"])
def test_the_look_up_releases_the_remainder_that_a_dead_worker_left_held(
    klarna: KlarnaBench, gateway: KlarnaGateway, sandbox: RunningSandbox, books: Books, fault: str
) -> None:
    first = charged(klarna, gateway, Verb.AUTHORIZE)
    capture = operation(first, Verb.CAPTURE, 400)
    books.fail("klarna.orders.release", fault, times=2)
    assert isinstance(gateway.capture(capture), InDoubt)
    is_released = fault.endswith("_after")
    assert ledger_rows(sandbox, first.payment_id) == [HELD, PART, REMAINDER][: 3 if is_released else 2]
    if not is_released:
        assert isinstance(gateway.retrieve(capture), InDoubt)
    outcome = gateway.retrieve(capture)
    assert isinstance(outcome, Approved)
    assert (outcome.captured, outcome.authorized) == (400, 1000)
    assert ledger_rows(sandbox, first.payment_id) == [HELD, PART, REMAINDER]
    assert gateway.retrieve(first) == outcome


def test_the_remainder_of_a_capture_in_the_portal_is_not_released(
    klarna: KlarnaBench, gateway: KlarnaGateway, sandbox: RunningSandbox
) -> None:
    first = charged(klarna, gateway, Verb.AUTHORIZE)
    change_in_portal(sandbox, f"{first.reference}/captures", captured_amount=400, reference="portal")
    outcome = gateway.retrieve(operation(first, Verb.CAPTURE))
    assert isinstance(outcome, Approved)
    assert outcome.captured == 400
    assert ledger_rows(sandbox, first.payment_id) == [HELD, PART]


def test_a_capture_that_is_repeated_after_klarna_has_forgotten_its_key(own: RunningSandbox) -> None:
    klarna = KlarnaBench(own)
    gateway = klarna.gateway()
    first = charged(klarna, gateway, Verb.AUTHORIZE)
    capture = operation(first, Verb.CAPTURE, 400)
    outcome = gateway.capture(capture)
    own.state.advance(2 * DAY)
    assert gateway.capture(replace(capture, retries=1)) == outcome
    assert ledger_rows(own, first.payment_id) == [HELD, PART, REMAINDER]


def test_an_authorization_ends_after_28_days(own: RunningSandbox) -> None:
    klarna = KlarnaBench(own)
    gateway = klarna.gateway()
    first = charged(klarna, gateway, Verb.AUTHORIZE)
    own.state.advance(29 * DAY)
    ended = Approved(first.reference, voided=True)
    assert gateway.retrieve(first) == ended
    capture = operation(first, Verb.CAPTURE)
    assert isinstance(gateway.capture(capture), InDoubt)
    assert gateway.retrieve(capture) == ended


# --- voids ---


@pytest.mark.parametrize("verb", [Verb.CHARGE, Verb.AUTHORIZE])
def test_a_void_releases_the_order_of_a_customer_who_approves_at_the_same_moment(
    klarna: KlarnaBench, gateway: KlarnaGateway, sandbox: RunningSandbox, verb: Verb
) -> None:
    first, _ = with_page(gateway, new_attempt(klarna, verb))
    klarna.let_customer_act(first.reference, is_good=True)
    void = operation(first, Verb.VOID, reason="expired")
    outcome = gateway.void(void)
    assert isinstance(outcome, Approved)
    assert outcome.voided
    assert ledger_rows(sandbox, first.payment_id) == [HELD, RELEASED]
    assert gateway.retrieve(void) == outcome


@pytest.mark.parametrize(
    ("call", "fault"),
    [(call, fault) for call in ("pages.disable", "pages.read") for fault in ("error_before", "timeout_after")],
)
def test_a_page_may_be_closed_although_the_call_failed(
    klarna: KlarnaBench, gateway: KlarnaGateway, books: Books, call: str, fault: str
) -> None:
    first, url = with_page(gateway, new_attempt(klarna))
    void = operation(first, Verb.VOID)
    books.fail(f"klarna.{call}", fault)
    assert isinstance(gateway.void(void), InDoubt)
    is_open = (call, fault) == ("pages.disable", "error_before")
    voided = Approved(first.reference, voided=True)
    assert gateway.retrieve(void) == (NotSent("not_executed") if is_open else voided)
    assert gateway.void(replace(void, retries=1)) == voided
    requests.post(url, data={"decision": "approve"}, timeout=SECONDS, allow_redirects=False)
    assert books.movements(first.payment_id) == []


def test_a_failed_page_is_voided(klarna: KlarnaBench, gateway: KlarnaGateway) -> None:
    first, _ = with_page(gateway, new_attempt(klarna))
    klarna.let_customer_act(first.reference, is_good=False)
    assert gateway.void(operation(first, Verb.VOID)) == Approved(first.reference, voided=True)


def test_a_page_that_klarna_has_forgotten_is_voided(own: RunningSandbox) -> None:
    klarna = KlarnaBench(own)
    gateway = klarna.gateway()
    first, _ = with_page(gateway, new_attempt(klarna))
    own.state.advance(3 * DAY)
    assert isinstance(gateway.retrieve(first), InDoubt)
    assert gateway.void(operation(first, Verb.VOID)) == Approved(first.reference, voided=True)


def test_an_order_under_assessment_can_be_voided(
    klarna: KlarnaBench, gateway: KlarnaGateway, sandbox: RunningSandbox
) -> None:
    first = under_assessment(klarna, gateway)
    outcome = gateway.void(operation(first, Verb.VOID))
    assert outcome == Approved(first.reference, voided=True)
    assert ledger_rows(sandbox, first.payment_id) == [HELD, RELEASED]


def test_an_authorization_that_klarna_stops_later_has_ended(
    klarna: KlarnaBench, gateway: KlarnaGateway, sandbox: RunningSandbox
) -> None:
    """Nothing is left to capture, and nothing stays held."""
    first = charged(klarna, gateway, Verb.AUTHORIZE)
    klarna.control(f"orders/{first.reference}/fraud", "stop")
    capture = operation(first, Verb.CAPTURE)
    assert isinstance(gateway.capture(capture), InDoubt)
    assert gateway.retrieve(capture) == Approved(first.reference, voided=True)
    assert ledger_rows(sandbox, first.payment_id) == [HELD, RELEASED]


# --- refunds ---


def test_equal_refunds_whose_responses_are_lost_are_distinguished(
    klarna: KlarnaBench, gateway: KlarnaGateway, books: Books
) -> None:
    first = charged(klarna, gateway)
    refunds = [operation(first, Verb.REFUND, 300) for _ in range(3)]
    books.fail("klarna.refunds.create", "error_after", times=2)
    assert [type(gateway.refund(refund)) for refund in refunds[:2]] == [InDoubt, InDoubt]
    outcomes = [gateway.retrieve(refund) for refund in refunds]
    assert [type(outcome) for outcome in outcomes] == [Approved, Approved, NotSent]
    assert outcomes[0].reference != outcomes[1].reference
    assert [kind for kind, _ in books.movements(first.payment_id)].count("refund") == 2


def test_a_refund_that_is_repeated_after_klarna_has_forgotten_its_key(own: RunningSandbox) -> None:
    klarna = KlarnaBench(own)
    gateway = klarna.gateway()
    refund = operation(charged(klarna, gateway), Verb.REFUND, 300)
    outcome = gateway.refund(refund)
    own.state.advance(2 * DAY)
    assert gateway.refund(replace(refund, retries=1)) == outcome
    assert [kind for kind, _ in ledger_rows(own, refund.payment_id)].count("refund") == 1


def test_a_refund_whose_look_up_fails_is_not_repeated(
    klarna: KlarnaBench, gateway: KlarnaGateway, books: Books
) -> None:
    refund = operation(charged(klarna, gateway), Verb.REFUND, 300)
    books.fail("klarna.orders.read", "error_before")
    assert isinstance(gateway.refund(replace(refund, retries=1)), InDoubt)
    assert [kind for kind, _ in books.movements(refund.payment_id)] == ["charge"]


def test_a_refund_of_an_order_that_is_not_captured_is_in_doubt(
    klarna: KlarnaBench, gateway: KlarnaGateway, books: Books
) -> None:
    refund = operation(charged(klarna, gateway, Verb.AUTHORIZE), Verb.REFUND)
    assert isinstance(gateway.refund(refund), InDoubt)
    assert books.movements(refund.payment_id) == [HELD]


def test_workers_at_the_same_time_move_the_money_once(
    klarna: KlarnaBench, gateway: KlarnaGateway, sandbox: RunningSandbox
) -> None:
    ready = klarna.ready(gateway, new_attempt(klarna), "good")
    refund = operation(ready, Verb.REFUND, 300)
    with ThreadPoolExecutor(4) as workers:
        outcomes = list(workers.map(lambda _: gateway.charge(ready, lambda _: None), range(8)))
        assert set(outcomes) == {Approved(ready.reference, authorized=1000, captured=1000)}
        refunded = list(workers.map(lambda _: gateway.refund(refund), range(8)))
    assert len(set(refunded)) == 1
    assert ledger_rows(sandbox, ready.payment_id) == [HELD, ("capture", 1000), ("refund", 300)]


@pytest.mark.parametrize("call", ["captures", "refunds"])
def test_an_accepted_call_is_in_doubt_until_the_order_shows_its_result(
    klarna: KlarnaBench, gateway: KlarnaGateway, books: Books, call: str
) -> None:
    """Reading the order fails after the money has moved: the look-up ends the doubt."""
    is_refund = call == "refunds"
    first = charged(klarna, gateway, Verb.CHARGE if is_refund else Verb.AUTHORIZE)
    attempt = operation(first, Verb.REFUND if is_refund else Verb.CAPTURE)
    books.fail("klarna.orders.read", "error_before")
    assert isinstance((gateway.refund if is_refund else gateway.capture)(attempt), InDoubt)
    assert isinstance(gateway.retrieve(attempt), Approved)


def change_in_portal(sandbox: RunningSandbox, path: str, **body: Any) -> None:
    """Change an order as a person does in Klarna's merchant portal."""
    url = f"{sandbox.url}/klarna/ordermanagement/v1/orders/{path}"
    requests.post(url, json=body, auth=("sandbox", "x"), timeout=SECONDS).raise_for_status()
