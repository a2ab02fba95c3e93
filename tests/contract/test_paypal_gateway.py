"""PayPal's orders, captures and refunds: what only PayPal's gateway does."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import requests

from domain.money import Money
from domain.outcome import ActionRequired, Approved, CustomerApproved, Declined, InDoubt, NotSent, Pending
from domain.payment import Verb
from gateways.base import AttemptRequest
from sandbox.server import RunningSandbox
from sandbox.state import Settings

from .bench import API_URL, SECONDS, Books, new_attempt
from .bench import ready_attempt as approved_order
from .benches.paypal import ProviderBench
from .test_gateway_operations import charged, operation


@pytest.fixture
def own_sandbox() -> Iterator[RunningSandbox]:
    """A sandbox of its own, whose clock may be moved."""
    with RunningSandbox(Settings()) as sandbox:
        yield sandbox


def waiting_order(paypal: ProviderBench, **changes: Any) -> tuple[AttemptRequest, ActionRequired]:
    """Return the attempt of an order that waits for its buyer, and its outcome."""
    created = new_attempt(paypal, **changes)
    outcome = paypal.gateway().charge(created, lambda _: None)
    assert isinstance(outcome, ActionRequired)
    return replace(created, reference=outcome.reference), outcome


# --- the buyer ---


def click(url: str, decision: str) -> tuple[str, dict[str, list[str]]]:
    """Click on PayPal's page; return the address to which the buyer is sent, and its query."""
    assert decision in requests.get(url, timeout=SECONDS).text
    response = requests.post(url, data={"decision": decision}, timeout=SECONDS, allow_redirects=False)
    assert response.status_code == 303
    parts = urlsplit(response.headers["Location"])
    return f"{parts.scheme}://{parts.netloc}{parts.path}", parse_qs(parts.query)


def test_the_buyer_approves(paypal: ProviderBench, books: Books) -> None:
    waiting, outcome = waiting_order(paypal)
    address, query = click(outcome.next_action["redirect_url"], "approve")
    assert address == f"{API_URL}/returns/{waiting.attempt_id}"
    assert query["token"] == [waiting.reference]
    assert "canceled" not in query
    assert paypal.gateway().retrieve(waiting) == CustomerApproved(waiting.reference)
    assert books.movements(waiting.payment_id) == []
    assert isinstance(paypal.gateway().charge(waiting, lambda _: None), Approved)


def test_the_buyer_cancels_and_then_approves(paypal: ProviderBench, books: Books) -> None:
    waiting, outcome = waiting_order(paypal)
    address, query = click(outcome.next_action["redirect_url"], "cancel")
    assert address == f"{API_URL}/returns/{waiting.attempt_id}"
    assert query["canceled"] == ["1"]
    assert paypal.gateway().retrieve(waiting) == outcome
    click(outcome.next_action["redirect_url"], "approve")
    assert paypal.gateway().retrieve(waiting) == CustomerApproved(waiting.reference)
    assert books.movements(waiting.payment_id) == []


def test_the_buyers_bank_refuses(paypal: ProviderBench, books: Books) -> None:
    """The order is completed all the same: only the capture in it shows that nothing was paid."""
    waiting, outcome = waiting_order(paypal)
    click(outcome.next_action["redirect_url"], "decline")
    declined = paypal.gateway().charge(waiting, lambda _: None)
    assert isinstance(declined, Declined)
    assert paypal.account.orders[waiting.reference].status == "COMPLETED"
    assert books.movements(waiting.payment_id) == []


def test_without_a_saved_account_an_absent_buyer_is_not_charged(paypal: ProviderBench) -> None:
    off_session, references = new_attempt(paypal, is_off_session=True), []
    outcome = paypal.gateway().charge(off_session, references.append)
    assert outcome == NotSent("saved_account_required", is_retryable=False)
    assert references == []


# --- closing ---


@pytest.mark.parametrize("is_approved", [False, True])
def test_an_unpaid_order_is_closed_by_leaving_it(paypal: ProviderBench, books: Books, is_approved: bool) -> None:
    gateway, (waiting, _) = paypal.gateway(), waiting_order(paypal)
    if is_approved:
        paypal.let_customer_act(waiting.reference, is_good=True)
    void = operation(waiting, Verb.VOID)
    # Celeriac's own capture can be under way only after the buyer has approved.
    closed = Approved(waiting.reference, voided=True, may_still_charge=is_approved)
    assert gateway.void(void) == gateway.retrieve(void) == closed
    assert books.movements(waiting.payment_id) == []


@pytest.mark.parametrize("token", [None, "sandbox_COMPLETED"])
def test_an_order_of_a_saved_account_is_closed_by_leaving_it(paypal: ProviderBench, token: str | None) -> None:
    created, references = new_attempt(paypal, method_token="sandbox_TRANSACTION_REFUSED"), []
    gateway = paypal.gateway()
    gateway.charge(created, references.append)
    void = replace(operation(replace(created, reference=references[0]), Verb.VOID), method_token=token)
    # The order is captured without the buyer, so Celeriac's own capture may be under way.
    closed = Approved(references[0], voided=True, may_still_charge=True)
    assert gateway.void(void) == gateway.retrieve(void) == closed


def test_a_refused_order_is_closed_for_good(paypal: ProviderBench) -> None:
    gateway, refused = paypal.gateway(), paypal.approved_in_scenario("5120")
    assert isinstance(gateway.charge(refused, lambda _: None), Declined)
    void = operation(refused, Verb.VOID)
    assert gateway.void(void) == gateway.retrieve(void) == Approved(refused.reference, voided=True)


def test_a_paid_order_is_not_closed(paypal: ProviderBench, books: Books) -> None:
    gateway = paypal.gateway()
    paid = charged(paypal, gateway)
    outcome = gateway.void(operation(paid, Verb.VOID))
    assert outcome == Approved(paid.reference, authorized=1000, captured=1000)
    assert books.movements(paid.payment_id) == [("charge", 1000)]


def test_an_order_that_paypal_has_deleted(paypal: ProviderBench) -> None:
    """PayPal deletes an order within hours when it is not approved."""
    gateway, (waiting, _) = paypal.gateway(), waiting_order(paypal)
    del paypal.account.orders[waiting.reference]
    assert gateway.retrieve(waiting) == ActionRequired(waiting.reference, {"type": "redirect"})
    void = operation(waiting, Verb.VOID)
    closed = Approved(waiting.reference, voided=True, may_still_charge=True)
    assert gateway.void(void) == gateway.retrieve(void) == closed
    with_saved_account = replace(waiting, method_token="sandbox_COMPLETED")
    assert gateway.retrieve(with_saved_account) == InDoubt("INVALID_RESOURCE_ID", waiting.reference)


# --- money that comes later, and goes back ---


@pytest.mark.parametrize("is_good", [True, False])
def test_an_echeck_takes_days(paypal: ProviderBench, books: Books, is_good: bool) -> None:
    gateway, pending = paypal.gateway(), paypal.approved_in_scenario("PENDING")
    assert gateway.charge(pending, lambda _: None) == gateway.retrieve(pending) == Pending(pending.reference)
    paypal.let_bank_decide(pending.reference, is_good=is_good)
    assert isinstance(gateway.retrieve(pending), Approved if is_good else Declined)
    assert books.movements(pending.payment_id) == ([("charge", 1000)] if is_good else [])


def test_a_refund_by_echeck_that_fails(paypal: ProviderBench, books: Books) -> None:
    gateway = paypal.gateway()
    refund = operation(charged(paypal, gateway, card="refund_later"), Verb.REFUND, 600)
    pending = gateway.refund(refund)
    assert pending == gateway.refund(refund) == gateway.retrieve(refund)
    assert isinstance(pending, Pending)
    paypal.let_bank_decide(pending.reference, is_good=False)
    failed = gateway.retrieve(replace(refund, reference=pending.reference))
    assert isinstance(failed, Declined)
    assert failed.decline.code == "FAILED"
    assert gateway.retrieve(refund) == failed
    assert books.movements(refund.payment_id) == [("charge", 1000)]


def test_a_refund_of_an_order_that_was_never_paid(paypal: ProviderBench) -> None:
    waiting, _ = waiting_order(paypal)
    assert paypal.gateway().refund(operation(waiting, Verb.REFUND)) == NotSent("not_captured", is_retryable=False)


def test_a_capture_of_an_order_that_was_never_authorized(paypal: ProviderBench) -> None:
    waiting, _ = waiting_order(paypal)
    capture = operation(waiting, Verb.CAPTURE)
    assert paypal.gateway().capture(capture) == NotSent("not_authorized", False, waiting.reference)


def test_an_authorization_ends_by_itself(own_sandbox: RunningSandbox) -> None:
    paypal = ProviderBench(own_sandbox)
    gateway = paypal.gateway()
    held = approved_order(paypal, Verb.AUTHORIZE)
    outcome = gateway.charge(held, lambda _: None)
    own_sandbox.state.advance(timedelta(days=30).total_seconds())
    assert gateway.retrieve(held) == Approved(outcome.reference, voided=True)
    assert isinstance(gateway.capture(operation(held, Verb.CAPTURE)), InDoubt)
    assert Books(own_sandbox).movements(held.payment_id) == [("authorization", 1000), ("void", 1000)]


# --- the same call again ---


def test_a_repeat_moves_nothing_after_paypal_dropped_the_request_id(own_sandbox: RunningSandbox) -> None:
    """PayPal keeps the request ids of orders for six hours, and those of payments for 45 days."""
    paypal = ProviderBench(own_sandbox)
    gateway, state = paypal.gateway(), own_sandbox.state
    paid = charged(paypal, gateway)
    refund = operation(paid, Verb.REFUND, 300)
    made = gateway.refund(refund)
    state.advance(timedelta(hours=7).total_seconds())
    assert gateway.charge(paid, lambda _: None) == InDoubt("ORDER_ALREADY_CAPTURED", paid.reference)
    state.advance(timedelta(days=46).total_seconds())
    assert gateway.refund(refund) == made
    assert Books(own_sandbox).movements(paid.payment_id) == [("charge", 1000), ("refund", 300)]
    assert len(paypal.simulated.tokens) == 2  # the first has expired


# --- amounts ---


@pytest.mark.parametrize(
    ("text", "currency", "value"),
    [
        ("10.50", "EUR", "10.50"),
        ("500", "JPY", "500"),
        ("2000", "HUF", "2000"),
        ("350", "TWD", "350"),
        ("0.01", "USD", "0.01"),
    ],
)
@pytest.mark.parametrize("verb", [Verb.CHARGE, Verb.AUTHORIZE])
def test_amounts_of_every_kind(
    paypal: ProviderBench, books: Books, text: str, currency: str, value: str, verb: Verb
) -> None:
    gateway, money = paypal.gateway(), Money.parse(text, currency)
    approved = approved_order(paypal, verb, money=money)
    assert paypal.account.orders[approved.reference].unit["amount"] == {"currency_code": currency, "value": value}
    outcome = gateway.charge(approved, lambda _: None)
    assert isinstance(outcome, Approved)
    assert outcome.authorized == money.minor
    if verb is Verb.AUTHORIZE:
        outcome = gateway.capture(replace(operation(approved, Verb.CAPTURE), money=money))
    refund = replace(operation(approved, Verb.REFUND), money=money)
    assert gateway.refund(refund).refunded == outcome.captured == money.minor
    assert books.movements(approved.payment_id)[0][1] == money.minor


@pytest.mark.parametrize("currency", ["HUF", "TWD"])
def test_decimals_that_paypal_does_not_take(paypal: ProviderBench, currency: str) -> None:
    gateway, references = paypal.gateway(), []
    with_decimals = new_attempt(paypal, money=Money(1050, currency))
    refused = NotSent("decimals_not_supported", is_retryable=False, param="amount")
    assert gateway.charge(with_decimals, references.append) == refused
    assert references == []
    held = approved_order(paypal, Verb.AUTHORIZE, money=Money(2000, currency))
    gateway.charge(held, lambda _: None)
    capture = replace(operation(held, Verb.CAPTURE), money=Money(1050, currency))
    assert gateway.capture(capture) == NotSent("decimals_not_supported", False, held.reference)
