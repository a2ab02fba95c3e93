"""Klarna's charges: hosted pages, fraud assessments that take hours, off-session orders by customer token."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
import requests

from domain.decline import DeclineClass
from domain.money import Money
from domain.outcome import ActionRequired, Approved, CustomerApproved, Declined, InDoubt, NotSent, Pending
from domain.payment import Verb
from gateways.base import AttemptRequest, GatewayError
from gateways.klarna.gateway import KlarnaGateway
from gateways.klarna.hosted_page import HostedPage
from sandbox.server import RunningSandbox
from sandbox.state import Settings

from .bench import API_URL, PAYER, SECONDS, Books, new_attempt, ready_attempt
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


def ledger_rows(sandbox: RunningSandbox, payment_id: str) -> list[tuple[str, int]]:
    """Return every movement of a payment in the sandbox's ledger, holds included."""
    rows = sandbox.state.ledger.movements
    return [(row.kind, row.amount) for row in rows if row.metadata.get("payment_id") == payment_id]


def with_page(gateway: KlarnaGateway, charge: AttemptRequest) -> tuple[AttemptRequest, str]:
    """Return the attempt with the reference of its new hosted page, and the page's address."""
    outcome = gateway.charge(charge, lambda _: None)
    assert isinstance(outcome, ActionRequired)
    return replace(charge, reference=outcome.reference), outcome.next_action["redirect_url"]


def under_assessment(klarna: KlarnaBench, gateway: KlarnaGateway, verb: Verb = Verb.CHARGE) -> AttemptRequest:
    """Return an attempt whose order waits for the fraud assessment."""
    payer = PAYER | {"email": "jo+pend-accept@example.org"}
    charge, _ = with_page(gateway, new_attempt(klarna, verb, payer=payer))
    klarna.let_customer_act(charge.reference, is_good=True)
    outcome = gateway.retrieve(charge)
    assert isinstance(outcome, Pending)
    return replace(charge, reference=outcome.reference)


# --- the hosted page ---


@pytest.mark.parametrize(
    ("decision", "kind"), [("approve", CustomerApproved), ("decline", Declined), ("cancel", Approved)]
)
def test_a_customer_decides_on_the_page(
    klarna: KlarnaBench, gateway: KlarnaGateway, decision: str, kind: type[Any]
) -> None:
    charge, url = with_page(gateway, new_attempt(klarna))
    page = requests.get(url, timeout=SECONDS)
    assert "10.00 USD" in page.text
    redirect = requests.post(url, data={"decision": decision}, timeout=SECONDS, allow_redirects=False)
    assert (redirect.status_code, redirect.headers["Location"]) == (303, f"{API_URL}/returns/{charge.attempt_id}")
    outcome = gateway.retrieve(charge)
    assert isinstance(outcome, kind)
    if isinstance(outcome, Approved):
        assert outcome == Approved(charge.reference, voided=True)


def test_a_page_without_a_decision_stays_open(klarna: KlarnaBench, gateway: KlarnaGateway) -> None:
    charge, url = with_page(gateway, new_attempt(klarna))
    requests.get(url, timeout=SECONDS)
    assert gateway.retrieve(charge) == ActionRequired(charge.reference, {"type": "redirect", "redirect_url": url})
    # The worker has died, and the charge is sent once more.
    assert gateway.charge(charge, lambda _: None) == gateway.retrieve(charge)


def test_the_reference_contains_the_address_of_the_page(klarna: KlarnaBench, gateway: KlarnaGateway) -> None:
    """Klarna does not show the address again, and another worker may have to send the customer there."""
    charge, url = with_page(gateway, new_attempt(klarna))
    page = HostedPage.of(charge.reference)
    assert page == HostedPage(page.id, url)
    assert len(charge.reference) <= 255


def test_a_failed_payment_session_is_not_sent(klarna: KlarnaBench, gateway: KlarnaGateway, books: Books) -> None:
    for fault in ("error_after", "reset_after", "rate_limit"):
        books.fail("klarna.sessions.create", fault)
        outcome = gateway.charge(new_attempt(klarna), pytest.fail)
        assert isinstance(outcome, NotSent)
        assert outcome.is_retryable


@pytest.mark.parametrize(
    "address", [{}, None, {"country": None}, {"country": ""}, {"country": "USA"}, {"country": "Ü1"}]
)
def test_without_a_country_no_page_is_made(klarna: KlarnaBench, gateway: KlarnaGateway, address: Any) -> None:
    charge = new_attempt(klarna, payer={"email": "jo@example.org", "billing_address": address})
    refused = NotSent("billing_country_missing", is_retryable=False, param="billing_address")
    assert gateway.charge(charge, pytest.fail) == refused


def test_a_currency_or_amount_that_klarna_refuses_is_not_retried(klarna: KlarnaBench, gateway: KlarnaGateway) -> None:
    for money in (Money(1000, "EUR"), Money(1000, "JPY"), Money(100_000_001, "USD")):
        outcome = gateway.charge(new_attempt(klarna, money=money), pytest.fail)
        assert outcome == NotSent("bad_value", is_retryable=False)


@pytest.mark.parametrize(
    ("country", "currency", "minor"),
    [("SE", "SEK", 99_00), ("hu", "HUF", 12_345_00), ("DE", "EUR", 1), ("NZ", "NZD", 7)],
)
def test_amounts_arrive_in_minor_units_of_every_currency(
    klarna: KlarnaBench, sandbox: RunningSandbox, country: str, currency: str, minor: int
) -> None:
    payer = PAYER | {"billing_address": PAYER["billing_address"] | {"country": country}}
    charge = ready_attempt(klarna, money=Money(minor, currency), payer=payer)
    outcome = klarna.gateway().charge(charge, lambda _: None)
    assert outcome == Approved(charge.reference, authorized=minor, captured=minor)
    assert ledger_rows(sandbox, charge.payment_id) == [("authorization", minor), ("capture", minor)]


# --- the order ---


def test_an_order_of_another_amount_or_currency_is_not_captured(
    klarna: KlarnaBench, gateway: KlarnaGateway, books: Books
) -> None:
    charge = ready_attempt(klarna)
    for money, amount in ((Money(999, "USD"), 1000), (Money(1000, "EUR"), None)):
        other = replace(charge, money=money)
        for outcome in (gateway.retrieve(other), gateway.charge(other, lambda _: None)):
            held = outcome.authorized if isinstance(outcome, Approved) else None
            assert (held, isinstance(outcome, InDoubt)) == (amount, amount is None)
    assert books.movements(charge.payment_id) == []


def test_the_order_is_saved_before_it_is_captured(klarna: KlarnaBench, gateway: KlarnaGateway, books: Books) -> None:
    """The attempt still has the page as its reference."""
    charge, _ = with_page(gateway, new_attempt(klarna))
    klarna.let_customer_act(charge.reference, is_good=True)
    seen: list[tuple[str, Any]] = []
    outcome = gateway.charge(charge, lambda reference: seen.append((reference, books.moved(reference))))
    assert isinstance(outcome, Approved)
    assert seen == [(outcome.reference, [])]
    assert HostedPage.of(outcome.reference) is None


def test_a_charge_that_is_repeated_after_klarna_has_forgotten_its_key(own: RunningSandbox) -> None:
    klarna = KlarnaBench(own)
    charge = ready_attempt(klarna)
    first = klarna.gateway().charge(charge, lambda _: None)
    own.state.advance(2 * DAY)
    assert klarna.gateway().charge(charge, lambda _: None) == first
    assert ledger_rows(own, charge.payment_id) == [HELD, CAPTURED]


# --- the fraud assessment ---


def test_nothing_is_captured_during_the_assessment(
    klarna: KlarnaBench, gateway: KlarnaGateway, sandbox: RunningSandbox
) -> None:
    charge = under_assessment(klarna, gateway)
    saved: list[str] = []
    assert gateway.charge(charge, saved.append) == Pending(charge.reference)
    assert saved == [charge.reference]
    assert ledger_rows(sandbox, charge.payment_id) == [HELD]


def test_an_accepted_order_is_captured(klarna: KlarnaBench, gateway: KlarnaGateway, books: Books) -> None:
    charge = under_assessment(klarna, gateway)
    klarna.let_bank_decide(charge.reference, is_good=True)
    assert gateway.retrieve(charge) == CustomerApproved(charge.reference)
    outcome = gateway.charge(charge, lambda _: None)
    assert outcome == Approved(charge.reference, authorized=1000, captured=1000)
    assert books.movements(charge.payment_id) == [("charge", 1000)]


@pytest.mark.parametrize("verb", [Verb.CHARGE, Verb.AUTHORIZE])
def test_a_rejected_order_is_released(
    klarna: KlarnaBench, gateway: KlarnaGateway, sandbox: RunningSandbox, verb: Verb
) -> None:
    charge = under_assessment(klarna, gateway, verb)
    klarna.let_bank_decide(charge.reference, is_good=False)
    outcome = gateway.retrieve(charge)
    assert isinstance(outcome, Approved | Declined)
    assert ledger_rows(sandbox, charge.payment_id) == [HELD, RELEASED]
    assert isinstance(outcome, Declined)
    assert outcome.decline.decline_class is DeclineClass.HARD
    assert gateway.retrieve(charge) == outcome
    assert gateway.charge(charge, lambda _: None) == outcome


@pytest.mark.parametrize("fault", ["error_before", "error_after", "rate_limit"])
def test_a_rejected_order_is_declined_only_after_its_release(
    klarna: KlarnaBench, gateway: KlarnaGateway, sandbox: RunningSandbox, books: Books, fault: str
) -> None:
    charge = under_assessment(klarna, gateway)
    klarna.let_bank_decide(charge.reference, is_good=False)
    books.fail("klarna.orders.cancel", fault)
    assert isinstance(gateway.retrieve(charge), InDoubt)
    assert isinstance(gateway.retrieve(charge), Declined)
    assert ledger_rows(sandbox, charge.payment_id) == [HELD, RELEASED]


def test_the_assessment_ends_without_a_call(own: RunningSandbox) -> None:
    klarna = KlarnaBench(own)
    charge = under_assessment(klarna, klarna.gateway())
    own.state.advance(DAY)
    assert klarna.gateway().retrieve(charge) == CustomerApproved(charge.reference)


# --- customer tokens, off-session ---


def off_session(klarna: KlarnaBench, token: str | None = "customer-token", verb: Verb = Verb.CHARGE) -> AttemptRequest:
    return new_attempt(klarna, verb, is_off_session=True, method_token=token, payer={})


def test_a_token_order_is_charged(klarna: KlarnaBench, gateway: KlarnaGateway, sandbox: RunningSandbox) -> None:
    charge = off_session(klarna)
    seen: list[Any] = []
    outcome = gateway.charge(
        charge, lambda reference: seen.append((reference, ledger_rows(sandbox, charge.payment_id)))
    )
    assert outcome == Approved(outcome.reference, authorized=1000, captured=1000)
    # The money is only held when the order is saved: a worker that dies here has charged nothing.
    assert seen == [(outcome.reference, [HELD])]
    assert ledger_rows(sandbox, charge.payment_id) == [HELD, CAPTURED]
    assert gateway.retrieve(replace(charge, reference=outcome.reference)) == outcome


def test_a_token_order_is_authorized(klarna: KlarnaBench, gateway: KlarnaGateway) -> None:
    outcome = gateway.charge(off_session(klarna, verb=Verb.AUTHORIZE), lambda _: None)
    assert isinstance(outcome, Approved)
    assert (outcome.authorized, outcome.captured) == (1000, 0)


@pytest.mark.parametrize("fault", ["timeout_after", "error_after", "reset_after", "error_before"])
def test_a_token_order_whose_response_is_lost_is_in_doubt_and_placed_once(
    klarna: KlarnaBench, gateway: KlarnaGateway, sandbox: RunningSandbox, books: Books, fault: str
) -> None:
    charge = off_session(klarna)
    books.fail("klarna.tokens.order", fault)
    doubt = gateway.charge(charge, pytest.fail)
    assert isinstance(doubt, InDoubt)
    # No look-up finds the order before the same call does, also after a worker has died.
    assert gateway.retrieve(charge) == CustomerApproved(doubt.reference)
    missed = replace(charge, reference=doubt.reference)
    assert gateway.retrieve(missed) == CustomerApproved(doubt.reference)
    again = gateway.charge(missed, lambda _: None)
    assert isinstance(again, Approved)
    assert ledger_rows(sandbox, charge.payment_id) == [HELD, CAPTURED]


def test_a_token_order_keeps_its_key_for_ever(
    klarna: KlarnaBench, gateway: KlarnaGateway, sandbox: RunningSandbox, books: Books
) -> None:
    charge = off_session(klarna)
    books.fail("klarna.tokens.order", "reset_after")
    missed = gateway.charge(charge, pytest.fail).reference
    again = replace(charge, reference=missed, retries=1, key_number=1)
    assert isinstance(gateway.charge(again, lambda _: None), Approved)
    assert ledger_rows(sandbox, charge.payment_id) == [HELD, CAPTURED]


def test_a_token_order_that_was_refused_for_now_is_not_in_doubt(
    klarna: KlarnaBench, gateway: KlarnaGateway, books: Books
) -> None:
    books.fail("klarna.tokens.order", "rate_limit")
    outcome = gateway.charge(off_session(klarna), pytest.fail)
    assert isinstance(outcome, NotSent)
    assert (outcome.is_retryable, outcome.reference) == (True, None)


def missed_order(gateway: KlarnaGateway, books: Books, charge: AttemptRequest, fault: str) -> AttemptRequest:
    """Return the void of a token order whose response was lost."""
    books.fail("klarna.tokens.order", fault)
    reference = gateway.charge(charge, pytest.fail).reference
    return replace(charge, verb=Verb.VOID, attempt_id=f"{charge.attempt_id}-void", charge_reference=reference)


@pytest.mark.parametrize("fault", ["reset_after", "reset_before"])
def test_a_token_order_whose_response_is_lost_is_found_and_released(
    klarna: KlarnaBench, gateway: KlarnaGateway, sandbox: RunningSandbox, books: Books, fault: str
) -> None:
    charge = off_session(klarna)
    void = missed_order(gateway, books, charge, fault)
    assert isinstance(gateway.retrieve(void), NotSent)
    voided = gateway.void(void)
    assert isinstance(voided, Approved)
    assert voided.voided
    assert ledger_rows(sandbox, charge.payment_id) == [HELD, ("void", 1000)]
    assert gateway.void(void) == voided


def test_a_token_order_that_klarna_refuses_needs_no_release(
    klarna: KlarnaBench, gateway: KlarnaGateway, books: Books
) -> None:
    for token in ("customer-token+denied", "unknown"):
        void = missed_order(gateway, books, off_session(klarna, token), "reset_before")
        assert gateway.void(void) == Approved(void.charge_reference, voided=True)


def test_no_second_token_order_is_placed_once_klarna_has_forgotten_the_key(
    klarna: KlarnaBench, gateway: KlarnaGateway, sandbox: RunningSandbox, books: Books
) -> None:
    charge = off_session(klarna)
    void = missed_order(gateway, books, charge, "reset_after")
    late = replace(charge, reference=void.charge_reference, claimed_at=charge.claimed_at + timedelta(hours=23))
    assert isinstance(gateway.charge(late, pytest.fail), InDoubt)
    assert isinstance(gateway.retrieve(late), InDoubt)
    assert isinstance(gateway.void(replace(void, claimed_at=late.claimed_at)), NotSent)
    assert ledger_rows(sandbox, charge.payment_id) == [HELD]


def test_a_token_order_that_klarna_rejects_is_declined(klarna: KlarnaBench, gateway: KlarnaGateway) -> None:
    outcome = gateway.charge(off_session(klarna, "customer-token+denied"), pytest.fail)
    assert isinstance(outcome, Declined)
    assert (outcome.decline.code, outcome.decline.decline_class) == ("rejected", DeclineClass.HARD)


@pytest.mark.parametrize("token", [None, "unknown", "../tokens/customer-token"])
def test_a_missing_or_unknown_token_is_not_charged(
    klarna: KlarnaBench, gateway: KlarnaGateway, token: str | None
) -> None:
    outcome = gateway.charge(off_session(klarna, token), pytest.fail)
    # A slash makes another path, which Klarna does not have: that proves nothing about the token.
    is_doubt = token is not None and "/" in token
    assert isinstance(outcome, InDoubt) if is_doubt else isinstance(outcome, NotSent) and not outcome.is_retryable


@pytest.mark.parametrize("is_good", [True, False])
def test_a_token_order_under_assessment(
    klarna: KlarnaBench, gateway: KlarnaGateway, books: Books, is_good: bool
) -> None:
    _, token = klarna.pending_token(is_good=is_good)
    charge = off_session(klarna, token)
    outcome = gateway.charge(charge, lambda _: None)
    assert isinstance(outcome, Pending)
    saved = replace(charge, reference=outcome.reference)
    klarna.let_bank_decide(outcome.reference, is_good=is_good)
    assert isinstance(gateway.retrieve(saved), CustomerApproved if is_good else Declined)
    assert isinstance(gateway.charge(saved, lambda _: None), Approved if is_good else Declined)
    assert books.movements(charge.payment_id) == ([("charge", 1000)] if is_good else [])


# --- credentials ---


def test_check_accepts_good_credentials_only(klarna: KlarnaBench, gateway: KlarnaGateway) -> None:
    assert gateway.check().startswith("klarna: credentials accepted")
    with pytest.raises(GatewayError, match="http_401"):
        klarna.gateway(**klarna.credentials).check()


def test_check_fails_at_a_host_that_is_not_klarna(klarna: KlarnaBench, sandbox: RunningSandbox) -> None:
    with pytest.raises(GatewayError):
        klarna.gateway(base=f"{sandbox.url}/elsewhere").check()


def test_the_gateway_does_not_show_its_password(klarna: KlarnaBench) -> None:
    gateway = klarna.gateway(password="sandbox-password-canary")
    assert "canary" not in f"{gateway!r} {vars(gateway)!r}"
