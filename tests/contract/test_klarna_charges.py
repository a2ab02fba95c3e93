"""Klarna's charges: pages that people click, assessments that take hours, customers who are away."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import requests

from domain.decline import DeclineClass
from domain.money import Money
from domain.outcome import ActionRequired, Approved, Declined, InDoubt, NotSent, Pending, Ready
from domain.payment import Verb
from gateways.base import GatewayError, Order
from gateways.klarna.answers import HostedPage
from gateways.klarna.gateway import KlarnaGateway
from sandbox.server import RunningSandbox
from sandbox.state import Settings

from .bench import API_URL, PAYER, SECONDS, Books, new_order, order
from .benches.klarna import ProviderBench as KlarnaBench

HELD, CAPTURED, RELEASED = ("authorization", 1000), ("capture", 1000), ("void", 1000)
DAY = 24 * 3600


@pytest.fixture
def klarna(sandbox: RunningSandbox) -> Iterator[KlarnaBench]:
    """Klarna's bench, without faults."""
    yield KlarnaBench(sandbox)
    sandbox.state.faults.clear()


@pytest.fixture
def gateway(klarna: KlarnaBench) -> KlarnaGateway:
    """Klarna's gateway."""
    return klarna.gateway()


@pytest.fixture
def own() -> Iterator[RunningSandbox]:
    """A sandbox whose clock may be moved."""
    with RunningSandbox(Settings(seed=1)) as running:
        yield running


def written(sandbox: RunningSandbox, payment_id: str) -> list[tuple[str, int]]:
    """Return the ledger's rows of a payment as they are, holds included."""
    rows = sandbox.state.ledger.movements
    return [(row.kind, row.amount) for row in rows if row.metadata.get("payment_id") == payment_id]


def opened(gateway: KlarnaGateway, asked: Order) -> tuple[Order, str]:
    """Return the order of a page that was opened, and the page's address."""
    outcome = gateway.charge(asked, lambda _: None)
    assert isinstance(outcome, ActionRequired)
    return replace(asked, reference=outcome.reference), outcome.next_action["redirect_url"]


def assessed(klarna: KlarnaBench, gateway: KlarnaGateway, verb: Verb = Verb.CHARGE) -> Order:
    """Return an order that waits for the fraud assessment."""
    payer = PAYER | {"email": "jo+pend-accept@example.org"}
    asked, _ = opened(gateway, new_order(klarna, verb, payer=payer))
    klarna.let_customer_act(asked.reference, is_good=True)
    outcome = gateway.retrieve(asked)
    assert isinstance(outcome, Pending)
    return replace(asked, reference=outcome.reference)


# --- the hosted page ---


@pytest.mark.parametrize(("decision", "kind"), [("approve", Ready), ("decline", Declined), ("cancel", Approved)])
def test_a_person_clicks(klarna: KlarnaBench, gateway: KlarnaGateway, decision: str, kind: type[Any]) -> None:
    asked, url = opened(gateway, new_order(klarna))
    shown = requests.get(url, timeout=SECONDS)
    assert "10.00 USD" in shown.text
    sent = requests.post(url, data={"decision": decision}, timeout=SECONDS, allow_redirects=False)
    assert (sent.status_code, sent.headers["Location"]) == (303, f"{API_URL}/returns/{asked.attempt_id}")
    outcome = gateway.retrieve(asked)
    assert isinstance(outcome, kind)
    if isinstance(outcome, Approved):
        assert outcome == Approved(asked.reference, voided=True)


def test_walking_away_leaves_it_open(klarna: KlarnaBench, gateway: KlarnaGateway) -> None:
    asked, url = opened(gateway, new_order(klarna))
    requests.get(url, timeout=SECONDS)
    assert gateway.retrieve(asked) == ActionRequired(asked.reference, {"type": "redirect", "redirect_url": url})
    # A charge that is sent once more, the worker having died, asks for the same page.
    assert gateway.charge(asked, lambda _: None) == gateway.retrieve(asked)


def test_the_address_of_the_page_outlives_the_worker(klarna: KlarnaBench, gateway: KlarnaGateway) -> None:
    """Klarna does not show it again: whoever only has the reference can still send the customer there."""
    asked, url = opened(gateway, new_order(klarna))
    page = HostedPage.of(asked.reference)
    assert page == HostedPage(page.id, url)
    assert len(asked.reference) <= 255


@pytest.mark.parametrize(
    "answer", [{"session_id": "a/b"}, {"redirect_url": "x:y"}, {"redirect_url": "https://" + "x" * 255}]
)
def test_a_page_that_cannot_be_kept_is_none(answer: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="page"):
        HostedPage.created({"session_id": "1", "redirect_url": "https://pay.example/1"} | answer)


def test_the_sessions_answer_may_be_lost_too(klarna: KlarnaBench, gateway: KlarnaGateway, books: Books) -> None:
    for fault in ("error_after", "reset_after", "rate_limit"):
        books.fail("klarna.sessions.create", fault)
        outcome = gateway.charge(new_order(klarna), pytest.fail)
        assert isinstance(outcome, NotSent)
        assert outcome.is_retryable


@pytest.mark.parametrize(
    "address", [{}, None, {"country": None}, {"country": ""}, {"country": "USA"}, {"country": "Ü1"}]
)
def test_without_a_country_nothing_is_asked(klarna: KlarnaBench, gateway: KlarnaGateway, address: Any) -> None:
    asked = new_order(klarna, payer={"email": "jo@example.org", "billing_address": address})
    assert gateway.charge(asked, pytest.fail) == NotSent("billing_country_missing", is_retryable=False)


def test_what_klarna_does_not_sell_is_not_tried_again(klarna: KlarnaBench, gateway: KlarnaGateway) -> None:
    for money in (Money(1000, "EUR"), Money(1000, "JPY"), Money(100_000_001, "USD")):
        outcome = gateway.charge(new_order(klarna, money=money), pytest.fail)
        assert outcome == NotSent("bad_value", is_retryable=False)


@pytest.mark.parametrize(
    ("country", "currency", "minor"),
    [("SE", "SEK", 99_00), ("hu", "HUF", 12_345_00), ("DE", "EUR", 1), ("NZ", "NZD", 7)],
)
def test_minor_units_of_every_currency(
    klarna: KlarnaBench, sandbox: RunningSandbox, country: str, currency: str, minor: int
) -> None:
    payer = PAYER | {"billing_address": PAYER["billing_address"] | {"country": country}}
    asked = order(klarna, money=Money(minor, currency), payer=payer)
    outcome = klarna.gateway().charge(asked, lambda _: None)
    assert outcome == Approved(asked.reference, authorized=minor, captured=minor)
    assert written(sandbox, asked.payment_id) == [("authorization", minor), ("capture", minor)]


# --- what is read from the order ---


def test_another_amount_or_currency_is_in_doubt(klarna: KlarnaBench, gateway: KlarnaGateway, books: Books) -> None:
    asked = order(klarna)
    for money in (Money(999, "USD"), Money(1000, "EUR")):
        other = replace(asked, money=money)
        assert isinstance(gateway.retrieve(other), InDoubt)
        assert isinstance(gateway.charge(other, lambda _: None), InDoubt)
    assert books.movements(asked.payment_id) == []


def test_the_order_is_remembered_before_it_is_captured(
    klarna: KlarnaBench, gateway: KlarnaGateway, books: Books
) -> None:
    """Also when the worker only knows the page."""
    asked, _ = opened(gateway, new_order(klarna))
    klarna.let_customer_act(asked.reference, is_good=True)
    seen: list[tuple[str, Any]] = []
    outcome = gateway.charge(asked, lambda known: seen.append((known, books.moved(known))))
    assert isinstance(outcome, Approved)
    assert seen == [(outcome.reference, [])]
    assert HostedPage.of(outcome.reference) is None


def test_a_charge_that_comes_back_after_klarna_forgot_its_key(own: RunningSandbox) -> None:
    klarna = KlarnaBench(own)
    asked = order(klarna)
    first = klarna.gateway().charge(asked, lambda _: None)
    own.state.advance(2 * DAY)
    assert klarna.gateway().charge(asked, lambda _: None) == first
    assert written(own, asked.payment_id) == [HELD, CAPTURED]


# --- the fraud assessment ---


def test_nothing_is_captured_during_the_assessment(
    klarna: KlarnaBench, gateway: KlarnaGateway, sandbox: RunningSandbox
) -> None:
    asked = assessed(klarna, gateway)
    remembered: list[str] = []
    assert gateway.charge(asked, remembered.append) == Pending(asked.reference)
    assert remembered == [asked.reference]
    assert written(sandbox, asked.payment_id) == [HELD]


def test_an_assessment_that_ends_well(klarna: KlarnaBench, gateway: KlarnaGateway, books: Books) -> None:
    asked = assessed(klarna, gateway)
    klarna.let_bank_answer(asked.reference, is_good=True)
    assert gateway.retrieve(asked) == Ready(asked.reference)
    outcome = gateway.charge(asked, lambda _: None)
    assert outcome == Approved(asked.reference, authorized=1000, captured=1000)
    assert books.movements(asked.payment_id) == [("charge", 1000)]


@pytest.mark.parametrize("verb", [Verb.CHARGE, Verb.AUTHORIZE])
def test_a_rejected_order_is_let_go(
    klarna: KlarnaBench, gateway: KlarnaGateway, sandbox: RunningSandbox, verb: Verb
) -> None:
    asked = assessed(klarna, gateway, verb)
    klarna.let_bank_answer(asked.reference, is_good=False)
    outcome = gateway.retrieve(asked)
    assert isinstance(outcome, Approved | Declined)
    assert written(sandbox, asked.payment_id) == [HELD, RELEASED]
    assert isinstance(outcome, Declined)
    assert outcome.decline.decline_class is DeclineClass.HARD
    assert gateway.retrieve(asked) == outcome
    assert gateway.charge(asked, lambda _: None) == outcome


@pytest.mark.parametrize("fault", ["error_before", "error_after", "rate_limit"])
def test_it_is_declined_once_it_is_let_go(
    klarna: KlarnaBench, gateway: KlarnaGateway, sandbox: RunningSandbox, books: Books, fault: str
) -> None:
    asked = assessed(klarna, gateway)
    klarna.let_bank_answer(asked.reference, is_good=False)
    books.fail("klarna.orders.cancel", fault)
    assert isinstance(gateway.retrieve(asked), InDoubt)
    assert isinstance(gateway.retrieve(asked), Declined)
    assert written(sandbox, asked.payment_id) == [HELD, RELEASED]


def test_the_assessment_ends_by_itself(own: RunningSandbox) -> None:
    klarna = KlarnaBench(own)
    asked = assessed(klarna, klarna.gateway())
    own.state.advance(DAY)
    assert klarna.gateway().retrieve(asked) == Ready(asked.reference)


# --- customers who are away ---


def away(klarna: KlarnaBench, token: str | None = "customer-token", verb: Verb = Verb.CHARGE) -> Order:
    return new_order(klarna, verb, is_off_session=True, method_token=token, payer={})


def test_a_token_is_charged(klarna: KlarnaBench, gateway: KlarnaGateway, sandbox: RunningSandbox) -> None:
    asked = away(klarna)
    seen: list[Any] = []
    outcome = gateway.charge(asked, lambda known: seen.append((known, written(sandbox, asked.payment_id))))
    assert outcome == Approved(outcome.reference, authorized=1000, captured=1000)
    # Only held when it is remembered: a worker that dies here has charged nothing.
    assert seen == [(outcome.reference, [HELD])]
    assert written(sandbox, asked.payment_id) == [HELD, CAPTURED]
    assert gateway.retrieve(replace(asked, reference=outcome.reference)) == outcome


def test_a_token_is_authorized(klarna: KlarnaBench, gateway: KlarnaGateway) -> None:
    outcome = gateway.charge(away(klarna, verb=Verb.AUTHORIZE), lambda _: None)
    assert isinstance(outcome, Approved)
    assert (outcome.authorized, outcome.captured) == (1000, 0)


@pytest.mark.parametrize("fault", ["timeout_after", "error_after", "reset_after", "error_before", "rate_limit"])
def test_a_token_whose_answer_was_lost_is_one_order(
    klarna: KlarnaBench, gateway: KlarnaGateway, sandbox: RunningSandbox, books: Books, fault: str
) -> None:
    asked = away(klarna)
    books.fail("klarna.tokens.order", fault)
    outcome = gateway.charge(asked, pytest.fail)
    assert isinstance(outcome, NotSent)
    assert outcome.is_retryable
    again = gateway.charge(replace(asked, retries=1), lambda _: None)
    assert isinstance(again, Approved)
    assert written(sandbox, asked.payment_id) == [HELD, CAPTURED]


def test_a_token_that_klarna_rejects(klarna: KlarnaBench, gateway: KlarnaGateway) -> None:
    outcome = gateway.charge(away(klarna, "customer-token+denied"), pytest.fail)
    assert isinstance(outcome, Declined)
    assert (outcome.decline.code, outcome.decline.decline_class) == ("rejected", DeclineClass.HARD)


@pytest.mark.parametrize("token", [None, "unknown", "../tokens/customer-token"])
def test_without_a_known_token_nobody_is_charged(
    klarna: KlarnaBench, gateway: KlarnaGateway, token: str | None
) -> None:
    outcome = gateway.charge(away(klarna, token), pytest.fail)
    assert isinstance(outcome, NotSent)
    # That there is no such path the server says, not Klarna.
    assert outcome.is_retryable == (token is not None and "/" in token)


@pytest.mark.parametrize("is_good", [True, False])
def test_a_token_that_is_assessed(klarna: KlarnaBench, gateway: KlarnaGateway, books: Books, is_good: bool) -> None:
    _, token = klarna.pending_token(is_good=is_good)
    asked = away(klarna, token)
    outcome = gateway.charge(asked, lambda _: None)
    assert isinstance(outcome, Pending)
    known = replace(asked, reference=outcome.reference)
    klarna.let_bank_answer(outcome.reference, is_good=is_good)
    assert isinstance(gateway.retrieve(known), Ready if is_good else Declined)
    assert isinstance(gateway.charge(known, lambda _: None), Approved if is_good else Declined)
    assert books.movements(asked.payment_id) == ([("charge", 1000)] if is_good else [])


# --- credentials ---


def test_credentials_are_checked(klarna: KlarnaBench, gateway: KlarnaGateway) -> None:
    assert gateway.check().startswith("klarna: credentials accepted")
    with pytest.raises(GatewayError, match="http_401"):
        klarna.gateway(**klarna.credentials).check()


def test_a_host_that_is_not_klarna_accepts_nothing(klarna: KlarnaBench, sandbox: RunningSandbox) -> None:
    with pytest.raises(GatewayError):
        klarna.gateway(base=f"{sandbox.url}/elsewhere").check()


def test_nothing_shows_the_password(klarna: KlarnaBench) -> None:
    gateway = klarna.gateway(password="sandbox-password-canary")
    shown = f"{gateway!r} {vars(gateway)!r}"
    assert "canary" not in shown
