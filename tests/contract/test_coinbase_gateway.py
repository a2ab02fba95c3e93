"""Coinbase Business: charges, voids and refunds against the sandbox, with the customer on the hosted page."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import requests

from domain.decline import Decline, DeclineClass
from domain.money import Money
from domain.outcome import ActionRequired, Approved, Declined, InDoubt, NotSent, Pending
from domain.payment import Verb
from gateways.base import GatewayError
from sandbox.server import RunningSandbox
from sandbox.state import Settings

from .bench import API_URL, SECONDS, Books, new_attempt
from .bench import ready_attempt as paid_attempt
from .benches.coinbase import CHECKOUT_ID, SECRET, ProviderBench
from .test_gateway_operations import charged, operation

# --- charges ---


def test_a_charge_whose_response_was_lost_is_the_same_checkout(coinbase: ProviderBench, books: Books) -> None:
    attempt, gateway, references = new_attempt(coinbase), coinbase.gateway(), []
    books.fail(coinbase.calls["create"], "reset_after")
    assert isinstance(gateway.charge(attempt, references.append), NotSent)
    checkouts = [checkout for checkout in service_of(coinbase).checkouts.all() if is_for(checkout, attempt.attempt_id)]
    gateway.charge(replace(attempt, retries=1), references.append)
    gateway.charge(attempt, references.append)
    assert [checkout.id for checkout in checkouts] == [references[0]]
    assert references == [references[0]] * 2


def service_of(coinbase: ProviderBench) -> Any:
    """Return the sandbox's service."""
    return next(each for each in coinbase.sandbox.state.providers if getattr(each, "provider", "") == "coinbase")


def is_for(checkout: Any, attempt_id: str) -> bool:
    """Tell whether a checkout of the sandbox names an attempt."""
    return bool(checkout.body["metadata"].get("attempt_id") == attempt_id)


@pytest.mark.parametrize(
    ("decision", "outcome"), [("approve", Approved), ("decline", Declined), ("cancel", ActionRequired)]
)
def test_the_hosted_page(coinbase: ProviderBench, decision: str, outcome: type) -> None:
    attempt = coinbase.waiting()
    waiting = coinbase.gateway().retrieve(attempt)
    assert isinstance(waiting, ActionRequired)
    page = requests.get(waiting.next_action["redirect_url"], timeout=SECONDS)
    assert "10.00 EUR" in page.text
    response = requests.post(page.url, data={"decision": decision}, timeout=SECONDS, allow_redirects=False)
    assert response.headers["Location"] == f"{API_URL}/returns/{attempt.attempt_id}"
    assert isinstance(coinbase.gateway().retrieve(attempt), outcome)


def test_a_failed_payment_is_final(coinbase: ProviderBench) -> None:
    attempt, gateway = paid_attempt(coinbase, card="hard"), coinbase.gateway()
    assert gateway.retrieve(attempt) == Declined(attempt.reference, Decline("payment_failed", DeclineClass.HARD))
    coinbase.decide(attempt.reference, "approve")
    assert isinstance(gateway.retrieve(attempt), Declined)


def test_an_unpaid_checkout_expires_and_cannot_be_paid_later() -> None:
    with RunningSandbox(Settings(seed=1)) as running:
        coinbase = ProviderBench(running)
        attempt = coinbase.waiting()
        running.state.advance(24 * 3600 + 1)
        assert coinbase.gateway().retrieve(attempt) == Approved(attempt.reference, voided=True)
        coinbase.decide(attempt.reference, "approve")
        assert coinbase.gateway().retrieve(attempt) == Approved(attempt.reference, voided=True)
        assert coinbase.event(attempt.reference)["eventType"] == "checkout.payment.expired"
        assert running.state.ledger.movements == []


def test_a_payment_is_pending_until_it_settles() -> None:
    with RunningSandbox(Settings(seed=1, async_settle_seconds=60)) as running:
        coinbase = ProviderBench(running)
        attempt = coinbase.waiting()
        coinbase.decide(attempt.reference, "approve")
        assert coinbase.gateway().retrieve(attempt) == Pending(attempt.reference)
        running.state.advance(61)
        assert coinbase.gateway().retrieve(attempt) == Approved(attempt.reference, authorized=1000, captured=1000)


@pytest.mark.parametrize("currency", ["EUR", "USD", "GBP", "SGD"])
def test_every_currency_is_charged_to_the_cent(coinbase: ProviderBench, books: Books, currency: str) -> None:
    attempt = paid_attempt(coinbase, money=Money(1999, currency))
    assert coinbase.gateway().retrieve(attempt) == Approved(attempt.reference, authorized=1999, captured=1999)
    assert books.movements(attempt.payment_id) == [("charge", 1999)]


def test_an_authorization_a_capture_and_another_currency_are_not_supported(coinbase: ProviderBench) -> None:
    gateway = coinbase.gateway()
    outcomes = [
        gateway.charge(new_attempt(coinbase, Verb.AUTHORIZE), pytest.fail),
        gateway.charge(new_attempt(coinbase, money=Money(1000, "JPY")), pytest.fail),
        gateway.capture(operation(replace(new_attempt(coinbase), reference=CHECKOUT_ID), Verb.CAPTURE)),
    ]
    assert outcomes == [
        NotSent("not_supported", is_retryable=False),
        NotSent("currency_not_supported", is_retryable=False, param="currency"),
        NotSent("not_supported", is_retryable=False),
    ]


# --- voids ---


def test_a_void_after_the_payment_is_doubt_and_the_look_up_shows_the_payment(coinbase: ProviderBench) -> None:
    gateway = coinbase.gateway()
    paid = charged(coinbase, gateway)
    late_void = operation(paid, Verb.VOID)
    assert isinstance(gateway.void(late_void), InDoubt)
    assert gateway.retrieve(late_void) == Approved(paid.reference, authorized=1000, captured=1000)


def test_a_void_whose_response_was_lost_is_looked_up(coinbase: ProviderBench, books: Books) -> None:
    attempt, gateway = operation(coinbase.waiting(), Verb.VOID), coinbase.gateway()
    books.fail(coinbase.calls["void"], "timeout_after")
    assert isinstance(gateway.void(attempt), InDoubt)
    assert gateway.retrieve(attempt) == Approved(attempt.charge_reference, voided=True)


# --- refunds ---


def test_a_refund_may_fail_later(coinbase: ProviderBench, books: Books) -> None:
    gateway = coinbase.gateway()
    paid = charged(coinbase, gateway, card="refund_later")
    attempt = operation(paid, Verb.REFUND)
    pending = gateway.refund(attempt)
    assert isinstance(pending, Pending)
    coinbase.let_bank_decide(pending.reference, is_good=False)
    declined = Declined(pending.reference, Decline("refund_failed", DeclineClass.HARD))
    assert gateway.retrieve(attempt) == declined
    assert gateway.retrieve(replace(attempt, reference=pending.reference)) == declined
    assert books.movements(paid.payment_id) == [("charge", 1000)]
    assert isinstance(gateway.refund(operation(paid, Verb.REFUND)), Pending)


# --- credentials ---


def test_the_check_accepts_a_good_key_and_refuses_another_without_showing_it(coinbase: ProviderBench) -> None:
    assert "accepts the API key" in coinbase.gateway().check()
    with pytest.raises(GatewayError, match="unauthorized") as raised:
        coinbase.gateway(**coinbase.credentials).check()
    assert SECRET not in str(raised.value)
