"""Every gateway: what comes of a charge, and that the provider's books agree with the outcome."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from domain.decline import DeclineClass
from domain.outcome import (
    ActionRequired,
    Approved,
    AuthenticationRequired,
    CustomerApproved,
    Declined,
    InDoubt,
    NotSent,
    Outcome,
    Pending,
)
from domain.payment import Verb
from gateways.base import AttemptRequest, FrontEndGateway, Gateway, GatewayError
from stack.process import free_port

from .bench import Bench, Books, attempt, new_order, now

LOST = ("timeout_after", "error_after", "reset_after")
FAILED_BEFORE = ("error_before", "reset_before")


def charge(gateway: Gateway, asked: AttemptRequest) -> tuple[Outcome, list[str]]:
    """Return the outcome and what was remembered."""
    remembered: list[str] = []
    return gateway.charge(asked, remembered.append), remembered


# --- definitive answers ---


def test_an_approved_charge(provider: Bench, gateway: Gateway, books: Books) -> None:
    asked = attempt(provider)
    outcome, remembered = charge(gateway, asked)
    assert isinstance(outcome, Approved)
    assert (outcome.authorized, outcome.captured, outcome.refunded, outcome.voided) == (1000, 1000, 0, False)
    assert remembered == [outcome.reference]
    assert books.movements(asked.payment_id) == [("charge", 1000)]
    assert gateway.retrieve(replace(asked, reference=outcome.reference)) == outcome


@pytest.mark.needs("authorize")
def test_an_authorization(provider: Bench, gateway: Gateway, books: Books) -> None:
    asked = attempt(provider, Verb.AUTHORIZE)
    outcome, _ = charge(gateway, asked)
    assert isinstance(outcome, Approved)
    assert (outcome.authorized, outcome.captured) == (1000, 0)
    assert outcome.authorization_expires_at is not None
    assert timedelta(days=1) < outcome.authorization_expires_at - now() < timedelta(days=31)
    assert books.movements(asked.payment_id) == [("authorization", 1000)]
    assert gateway.retrieve(replace(asked, reference=outcome.reference)) == outcome


@pytest.mark.cards("soft", "hard", "needs_customer")
@pytest.mark.parametrize("is_off_session", [True, False])
def test_a_decline(provider: Bench, gateway: Gateway, books: Books, card: str, is_off_session: bool) -> None:
    asked = attempt(provider, card=card, is_off_session=is_off_session and "off_session" in provider.features)
    outcome, remembered = charge(gateway, asked)
    assert isinstance(outcome, Declined)
    assert outcome.decline.decline_class is DeclineClass(card)
    assert outcome.decline.code
    assert [outcome.reference] == remembered
    assert books.movements(asked.payment_id) == []
    assert gateway.retrieve(replace(asked, reference=outcome.reference)) == outcome


@pytest.mark.needs("authentication", "off_session")
def test_authentication_required_while_the_customer_is_away(provider: Bench, gateway: Gateway, books: Books) -> None:
    asked = attempt(provider, card="authentication", is_off_session=True)
    outcome, _ = charge(gateway, asked)
    assert isinstance(outcome, AuthenticationRequired)
    assert outcome.decline.decline_class is DeclineClass.NEEDS_CUSTOMER
    assert books.movements(asked.payment_id) == []
    assert gateway.retrieve(replace(asked, reference=outcome.reference)) == outcome


@pytest.mark.needs("action")
@pytest.mark.parametrize("is_good", [True, False])
def test_an_action_of_the_customer(provider: Bench, gateway: Gateway, books: Books, is_good: bool) -> None:
    asked = new_order(provider, method_token=provider.tokens.get("authentication"))
    outcome, remembered = charge(gateway, asked)
    assert isinstance(outcome, ActionRequired)
    assert [outcome.reference] == remembered
    assert outcome.next_action["redirect_url"].startswith("http")
    assert books.movements(asked.payment_id) == []
    known = replace(asked, reference=outcome.reference)
    waiting = gateway.retrieve(known)
    if isinstance(waiting, CustomerApproved):  # where only a charge can tell whether the customer has agreed
        waiting = gateway.charge(known, remembered.append)
    assert waiting == outcome
    assert books.movements(asked.payment_id) == []

    provider.let_customer_act(outcome.reference, is_good=is_good)
    acted = gateway.retrieve(known)
    if isinstance(acted, CustomerApproved):
        assert books.movements(asked.payment_id) == []
        acted = gateway.charge(replace(known, reference=acted.reference), remembered.append)
    assert isinstance(acted, Approved if is_good else Declined)
    assert books.movements(asked.payment_id) == ([("charge", 1000)] if is_good else [])


@pytest.mark.needs("pending")
@pytest.mark.parametrize("is_good", [True, False])
def test_a_bank_that_answers_later(provider: Bench, gateway: Gateway, books: Books, is_good: bool) -> None:
    method, token = provider.pending_token(is_good=is_good)
    asked = attempt(provider, card=token, method=method)
    outcome, remembered = charge(gateway, asked)
    assert outcome == Pending(remembered[0])
    known = replace(asked, reference=remembered[0])
    assert gateway.retrieve(known) == outcome

    provider.let_bank_answer(remembered[0], is_good=is_good)
    assert isinstance(gateway.retrieve(known), Approved if is_good else Declined)
    assert books.movements(asked.payment_id) == ([("charge", 1000)] if is_good else [])


# --- in doubt ---


@pytest.mark.needs("charge")
@pytest.mark.parametrize("fault", LOST)
def test_a_lost_answer_is_doubt_and_the_look_up_ends_it(
    provider: Bench, gateway: Gateway, books: Books, fault: str
) -> None:
    asked = attempt(provider)
    books.fail(provider.calls["charge"], fault)
    outcome, remembered = charge(gateway, asked)
    assert isinstance(outcome, InDoubt)
    assert [outcome.reference] == remembered
    assert books.movements(asked.payment_id) == [("charge", 1000)]

    found = gateway.retrieve(replace(asked, reference=remembered[0]))
    assert isinstance(found, Approved)
    assert found.captured == 1000


@pytest.mark.needs("charge")
@pytest.mark.parametrize("fault", LOST)
def test_repeating_a_doubtful_charge_moves_nothing_more(
    provider: Bench, gateway: Gateway, books: Books, fault: str
) -> None:
    asked = attempt(provider)
    books.fail(provider.calls["charge"], fault)
    _, remembered = charge(gateway, asked)
    for retries in (0, 1):
        again, twice = charge(gateway, replace(asked, reference=remembered[0], retries=retries))
        assert isinstance(again, Approved | InDoubt)
        assert set(twice) <= set(remembered)
    assert books.movements(asked.payment_id) == [("charge", 1000)]


@pytest.mark.needs("charge")
@pytest.mark.parametrize("fault", FAILED_BEFORE)
def test_doubt_about_what_was_not_executed_ends_as_not_sent(
    provider: Bench, gateway: Gateway, books: Books, fault: str
) -> None:
    asked = attempt(provider)
    books.fail(provider.calls["charge"], fault)
    outcome, remembered = charge(gateway, asked)
    assert isinstance(outcome, InDoubt)
    known = replace(asked, reference=remembered[0])
    assert isinstance(gateway.retrieve(known), NotSent | CustomerApproved)
    assert books.movements(asked.payment_id) == []

    again, _ = charge(gateway, replace(known, retries=1))
    assert isinstance(again, Approved)
    assert books.movements(asked.payment_id) == [("charge", 1000)]


@pytest.mark.parametrize("fault", ["error_before", "reset_before", "timeout_after", "rate_limit"])
def test_a_look_up_that_fails_says_nothing(provider: Bench, gateway: Gateway, books: Books, fault: str) -> None:
    asked = attempt(provider)
    outcome, remembered = charge(gateway, asked)
    books.fail(provider.calls["retrieve"], fault)
    known = replace(asked, reference=remembered[0])
    assert isinstance(gateway.retrieve(known), InDoubt)
    assert gateway.retrieve(known) == outcome


# --- not sent ---


def test_a_refused_connection(provider: Bench, books: Books) -> None:
    asked = new_order(provider)
    outcome, remembered = charge(provider.gateway(base=f"http://127.0.0.1:{free_port()}"), asked)
    assert isinstance(outcome, NotSent)
    assert outcome.is_retryable
    assert remembered == []
    assert books.movements(asked.payment_id) == []


@pytest.mark.needs("charge")
def test_a_rate_limit(provider: Bench, gateway: Gateway, books: Books) -> None:
    asked = attempt(provider)
    books.fail(provider.calls["charge"], "rate_limit")
    outcome, remembered = charge(gateway, asked)
    assert isinstance(outcome, NotSent)
    assert outcome.is_retryable
    assert books.movements(asked.payment_id) == []
    again, _ = charge(gateway, replace(asked, reference=remembered[0], retries=1))
    assert isinstance(again, Approved)


@pytest.mark.parametrize("fault", [*LOST, *FAILED_BEFORE, "rate_limit"])
def test_without_a_remembered_object_nothing_was_sent(
    provider: Bench, gateway: Gateway, books: Books, fault: str
) -> None:
    asked = new_order(provider)
    books.fail(provider.calls["create"], fault)
    outcome, remembered = charge(gateway, asked)
    assert isinstance(outcome, NotSent)
    assert outcome.is_retryable
    assert remembered == []
    assert books.movements(asked.payment_id) == []
    assert isinstance(gateway.retrieve(asked), NotSent)

    again, remembered = charge(gateway, replace(asked, retries=1))
    assert isinstance(again, Approved | ActionRequired)
    assert len(remembered) == 1
    moved = [("charge", 1000)] if isinstance(again, Approved) else []
    assert books.movements(asked.payment_id) == moved


@pytest.mark.needs("unknown")
def test_an_unknown_token_is_not_tried_again(provider: Bench, gateway: Gateway, books: Books) -> None:
    asked = attempt(provider, card="unknown")
    outcome, remembered = charge(gateway, asked)
    assert isinstance(outcome, NotSent)
    assert not outcome.is_retryable
    assert remembered == []
    assert books.movements(asked.payment_id) == []


def test_a_wrong_key_charges_nothing(provider: Bench, books: Books) -> None:
    asked = new_order(provider)
    outcome, remembered = charge(provider.gateway(**provider.credentials), asked)
    assert isinstance(outcome, NotSent)
    assert remembered == []


# --- the reference comes first ---


@pytest.mark.needs("charge")
def test_the_reference_is_remembered_before_money_can_move(provider: Bench, gateway: Gateway, books: Books) -> None:
    asked = attempt(provider)
    seen: list[list[tuple[str, int]]] = []
    outcome = gateway.charge(asked, lambda reference: seen.append(books.moved(reference)))
    assert seen == [[]]
    assert isinstance(outcome, Approved)
    assert books.moved(outcome.reference) == [("charge", 1000)]


@pytest.mark.needs("charge")
def test_a_reference_that_cannot_be_kept_stops_the_charge(provider: Bench, gateway: Gateway, books: Books) -> None:
    def refuse(reference: str) -> None:
        raise ConnectionError(reference)

    asked = attempt(provider)
    with pytest.raises(ConnectionError):
        gateway.charge(asked, refuse)
    assert books.movements(asked.payment_id) == []


def test_a_redelivered_order_is_the_same_charge(provider: Bench, gateway: Gateway, books: Books) -> None:
    """The worker died before it could store anything: the key alone must do."""
    asked = attempt(provider)
    first, second = charge(gateway, asked), charge(gateway, asked)
    assert first == second
    assert books.movements(asked.payment_id) == [("charge", 1000)]


def test_two_attempts_are_two_charges(provider: Bench, gateway: Gateway) -> None:
    first, second = charge(gateway, attempt(provider))[0], charge(gateway, attempt(provider))[0]
    assert first.reference != second.reference


# --- front ends ---


@pytest.mark.needs("front_end")
def test_an_open_intent_moves_nothing_and_shows_its_secret_again(
    provider: Bench, gateway: FrontEndGateway, books: Books
) -> None:
    asked, remembered = new_order(provider, method_token=None), []
    secret = gateway.open_intent(asked, remembered.append)
    assert secret
    assert gateway.client_secret(remembered[0]) == secret
    assert books.movements(asked.payment_id) == []
    assert isinstance(gateway.retrieve(replace(asked, reference=remembered[0])), NotSent | ActionRequired)


@pytest.mark.needs("front_end")
def test_an_intent_that_cannot_be_opened(provider: Bench, gateway: FrontEndGateway, books: Books) -> None:
    remembered: list[str] = []
    books.fail(provider.calls["create"], "error_before")
    with pytest.raises(GatewayError):
        gateway.open_intent(new_order(provider, method_token=None), remembered.append)
    assert remembered == []
    with pytest.raises(GatewayError):
        gateway.client_secret("pi_none")
