"""Coinbase Commerce: charges, voids and acceptances against the sandbox, with the customer on the hosted page."""

from __future__ import annotations

from dataclasses import replace

import pytest
import requests

from domain.money import Money
from domain.outcome import ActionRequired, AmountMismatch, Approved, Declined, InDoubt, NotSent, Pending
from domain.payment import Verb
from domain.payment_methods import PaymentMethod
from gateways.base import GatewayError
from sandbox.server import RunningSandbox
from sandbox.state import Settings

from .bench import API_URL, SECONDS, Books, new_attempt
from .bench import ready_attempt as paid_attempt
from .benches.coinbase_commerce import CHARGE_ID, ProviderBench, charge_in
from .served import replying
from .test_gateway_operations import operation

# --- charges ---


@pytest.mark.parametrize("fault", ["timeout_after", "error_after", "reset_after"])
def test_a_charge_whose_response_was_lost_is_found_again(commerce: ProviderBench, books: Books, fault: str) -> None:
    attempt, gateway, references = new_attempt(commerce), commerce.gateway(), []
    books.fail(commerce.calls["create"], fault)
    assert isinstance(gateway.charge(attempt, references.append), NotSent)
    gateway.charge(replace(attempt, retries=1), references.append)
    assert commerce.charges_of(attempt) == set(references)


def test_a_list_that_fails_makes_no_second_charge(commerce: ProviderBench, books: Books) -> None:
    attempt = new_attempt(commerce, retries=1)
    books.fail("coinbase_commerce.list", "error_before")
    outcome = commerce.gateway().charge(attempt, pytest.fail)
    assert isinstance(outcome, NotSent)
    assert outcome.is_retryable
    assert commerce.charges_of(attempt) == set()


@pytest.mark.parametrize("metadata", [None, [], "x", {"attempt_id": 7}], ids=str)
def test_charges_of_other_systems_may_have_any_metadata(commerce: ProviderBench, metadata: object) -> None:
    attempt, references = new_attempt(commerce, retries=1), []
    lost = charge_in("NEW", metadata={"attempt_id": attempt.attempt_id})
    with replying((200, {"data": [{"metadata": metadata}, lost]})) as server:
        outcome = commerce.gateway(base=server.url).charge(attempt, references.append)
    assert isinstance(outcome, ActionRequired)
    assert references == [CHARGE_ID]
    assert [request.method for request in server.requests] == ["GET"]


def test_a_malformed_list_makes_no_second_charge(commerce: ProviderBench) -> None:
    for data in (None, {}, [7]):
        with replying((200, {"data": data})) as server:
            outcome = commerce.gateway(base=server.url).charge(new_attempt(commerce, retries=1), pytest.fail)
        assert outcome == NotSent("malformed_response")
        assert [request.method for request in server.requests] == ["GET"]


@pytest.mark.parametrize(
    ("method", "network", "coin"),
    [
        (PaymentMethod.BITCOIN, "bitcoin", "Bitcoin"),
        (PaymentMethod.ETHEREUM, "ethereum", "Ethereum"),
        (PaymentMethod.USDT, "tether", "USDT"),
    ],
)
def test_a_named_coin_has_its_address(commerce: ProviderBench, method: PaymentMethod, network: str, coin: str) -> None:
    attempt = commerce.waiting(method=method)
    outcome = commerce.gateway().retrieve(attempt)
    assert isinstance(outcome, ActionRequired)
    assert outcome.next_action.keys() == {"type", "redirect_url", "network", "address"}
    assert outcome.next_action["network"] == network
    assert commerce.events()[0]["data"]["addresses"][network] == outcome.next_action["address"]
    assert commerce.events()[0]["data"]["description"] == f"Payment {attempt.payment_id} in {coin}"


@pytest.mark.parametrize("decision", ["approve", "decline", "cancel"])
def test_the_hosted_page(commerce: ProviderBench, decision: str) -> None:
    attempt = commerce.waiting()
    waiting = commerce.gateway().retrieve(attempt)
    assert isinstance(waiting, ActionRequired)
    page = requests.get(waiting.next_action["redirect_url"], timeout=SECONDS)
    assert "10.00 USD" in page.text
    assert "Pay too little" in page.text
    response = requests.post(page.url, data={"decision": decision}, timeout=SECONDS, allow_redirects=False)
    assert response.headers["Location"] == f"{API_URL}/returns/{attempt.attempt_id}"
    outcomes = {"approve": Approved, "decline": Declined, "cancel": ActionRequired}
    assert isinstance(commerce.gateway().retrieve(attempt), outcomes[decision])


@pytest.mark.parametrize(("minor", "currency"), [(1999, "EUR"), (5000, "JPY"), (1230, "KWD")])
def test_any_currency_keeps_its_minor_units(commerce: ProviderBench, books: Books, minor: int, currency: str) -> None:
    attempt = paid_attempt(commerce, money=Money(minor, currency))
    assert commerce.gateway().retrieve(attempt) == Approved(attempt.reference, authorized=minor, captured=minor)
    assert books.movements(attempt.payment_id) == [("charge", minor)]


def test_an_unpaid_charge_expires_and_may_be_paid_too_late() -> None:
    with RunningSandbox(Settings(seed=1)) as running:
        commerce = ProviderBench(running)
        attempt = commerce.waiting()
        running.state.advance(3601)
        assert commerce.gateway().retrieve(attempt) == Approved(attempt.reference, voided=True)
        commerce.decide(attempt.reference, "approve")
        assert commerce.gateway().retrieve(attempt) == AmountMismatch(attempt.reference, 1000, "delayed")
        assert commerce.events()[0]["type"] == "charge:delayed"


# --- money that does not match ---


@pytest.mark.parametrize(
    ("decision", "received", "reason"),
    [("pay_too_little", 600, "underpaid"), ("pay_too_much", 1500, "overpaid"), ("pay_too_late", 1000, "delayed")],
)
def test_money_that_does_not_match_can_be_accepted_once(
    commerce: ProviderBench, books: Books, decision: str, received: int, reason: str
) -> None:
    attempt, gateway = paid_attempt(commerce, card=decision), commerce.gateway()
    unresolved = AmountMismatch(attempt.reference, received, reason)
    assert gateway.retrieve(attempt) == unresolved
    assert books.movements(attempt.payment_id) == []
    acceptance = operation(attempt, Verb.CAPTURE, received)
    assert gateway.retrieve(acceptance) == NotSent("not_executed", reference=attempt.reference)

    resolved = Approved(attempt.reference, authorized=received, captured=received)
    assert gateway.capture(acceptance) == resolved
    assert gateway.retrieve(acceptance) == resolved == gateway.retrieve(attempt)
    assert isinstance(gateway.capture(acceptance), InDoubt)
    assert books.movements(attempt.payment_id) == [("charge", received)]


def test_an_acceptance_whose_response_was_lost_is_looked_up(commerce: ProviderBench, books: Books) -> None:
    gateway = commerce.gateway()
    acceptance = operation(paid_attempt(commerce, card="pay_too_little"), Verb.CAPTURE, 600)
    books.fail(commerce.calls["capture"], "timeout_after")
    assert isinstance(gateway.capture(acceptance), InDoubt)
    outcome = gateway.retrieve(acceptance)
    assert isinstance(outcome, Approved)
    assert outcome.captured == 600


# --- what cannot be done ---


def test_a_charge_under_way_cannot_be_canceled(commerce: ProviderBench) -> None:
    attempt, gateway = paid_attempt(commerce, card="slow"), commerce.gateway()
    late_void = operation(attempt, Verb.VOID)
    assert isinstance(gateway.void(late_void), InDoubt)
    assert gateway.retrieve(late_void) == Pending(attempt.reference)


def test_refunds_and_authorizations_are_refused(commerce: ProviderBench) -> None:
    gateway = commerce.gateway()
    refund = operation(paid_attempt(commerce), Verb.REFUND)
    by_hand = NotSent("refund_by_hand", is_retryable=False)
    assert (gateway.refund(refund), gateway.retrieve(refund)) == (by_hand, by_hand)
    outcome = gateway.charge(new_attempt(commerce, Verb.AUTHORIZE), pytest.fail)
    assert outcome == NotSent("not_supported", is_retryable=False)


# --- credentials ---


def test_the_check_accepts_a_good_key_and_refuses_another_without_showing_it(commerce: ProviderBench) -> None:
    assert "accepts the API key" in commerce.gateway().check()
    with pytest.raises(GatewayError, match="authentication_error") as raised:
        commerce.gateway(api_key="unknown-key").check()
    assert "unknown-key" not in str(raised.value)
