"""Every gateway: the outcome of a charge, which always agrees with the provider's books."""

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
from gateways.base import AttemptRequest, Gateway, GatewayError
from gateways.capabilities import FrontEndGateway
from gateways.http import watch_for_failure
from stack.process import free_port

from .bench import Bench, Books, new_attempt, now, ready_attempt

LOST = ("timeout_after", "error_after", "reset_after")
FAILED_BEFORE = ("error_before", "reset_before")


def charge(gateway: Gateway, attempt: AttemptRequest) -> tuple[Outcome, list[str]]:
    """Return the outcome and the saved references."""
    saved: list[str] = []
    return gateway.charge(attempt, saved.append), saved


# --- definitive outcomes ---


def test_an_approved_charge(provider: Bench, gateway: Gateway, books: Books) -> None:
    attempt = ready_attempt(provider)
    outcome, saved = charge(gateway, attempt)
    assert isinstance(outcome, Approved)
    assert (outcome.authorized, outcome.captured, outcome.refunded, outcome.voided) == (1000, 1000, 0, False)
    assert saved == [outcome.reference]
    assert books.movements(attempt.payment_id) == [("charge", 1000)]
    assert gateway.retrieve(replace(attempt, reference=outcome.reference)) == outcome


@pytest.mark.needs("authorize")
def test_an_authorization(provider: Bench, gateway: Gateway, books: Books) -> None:
    attempt = ready_attempt(provider, Verb.AUTHORIZE)
    outcome, _ = charge(gateway, attempt)
    assert isinstance(outcome, Approved)
    assert (outcome.authorized, outcome.captured) == (1000, 0)
    assert outcome.authorization_expires_at is not None
    assert timedelta(days=1) < outcome.authorization_expires_at - now() < timedelta(days=31)
    assert books.movements(attempt.payment_id) == [("authorization", 1000)]
    assert gateway.retrieve(replace(attempt, reference=outcome.reference)) == outcome


@pytest.mark.cards("soft", "hard", "needs_customer")
@pytest.mark.parametrize("is_off_session", [True, False])
def test_a_decline(provider: Bench, gateway: Gateway, books: Books, card: str, is_off_session: bool) -> None:
    attempt = ready_attempt(provider, card=card, is_off_session=is_off_session and "off_session" in provider.features)
    outcome, saved = charge(gateway, attempt)
    assert isinstance(outcome, Declined)
    assert outcome.decline.decline_class is DeclineClass(card)
    assert outcome.decline.code
    assert [outcome.reference] == saved
    assert books.movements(attempt.payment_id) == []
    assert gateway.retrieve(replace(attempt, reference=outcome.reference)) == outcome


@pytest.mark.needs("authentication", "off_session")
def test_authentication_required_while_the_customer_is_away(provider: Bench, gateway: Gateway, books: Books) -> None:
    attempt = ready_attempt(provider, card="authentication", is_off_session=True)
    outcome, _ = charge(gateway, attempt)
    assert isinstance(outcome, AuthenticationRequired)
    assert outcome.decline.decline_class is DeclineClass.NEEDS_CUSTOMER
    assert books.movements(attempt.payment_id) == []
    assert gateway.retrieve(replace(attempt, reference=outcome.reference)) == outcome


@pytest.mark.needs("action")
@pytest.mark.parametrize("is_good", [True, False])
def test_a_charge_that_needs_an_action_of_its_customer(
    provider: Bench, gateway: Gateway, books: Books, is_good: bool
) -> None:
    attempt = new_attempt(provider, method_token=provider.tokens.get("authentication"))
    outcome, saved = charge(gateway, attempt)
    assert isinstance(outcome, ActionRequired)
    assert [outcome.reference] == saved
    assert outcome.next_action["redirect_url"].startswith("http")
    assert books.movements(attempt.payment_id) == []
    saved_attempt = replace(attempt, reference=outcome.reference)
    waiting = gateway.retrieve(saved_attempt)
    if isinstance(waiting, CustomerApproved):  # where only a charge shows whether the customer has approved
        waiting = gateway.charge(saved_attempt, saved.append)
    assert waiting == outcome
    assert books.movements(attempt.payment_id) == []

    provider.let_customer_act(outcome.reference, is_good=is_good)
    acted = gateway.retrieve(saved_attempt)
    if isinstance(acted, CustomerApproved):
        assert books.movements(attempt.payment_id) == []
        acted = gateway.charge(replace(saved_attempt, reference=acted.reference), saved.append)
    assert isinstance(acted, Approved if is_good else Declined)
    assert books.movements(attempt.payment_id) == ([("charge", 1000)] if is_good else [])


@pytest.mark.needs("pending")
@pytest.mark.parametrize("is_good", [True, False])
def test_a_bank_that_decides_later(provider: Bench, gateway: Gateway, books: Books, is_good: bool) -> None:
    method, token = provider.pending_token(is_good=is_good)
    attempt = ready_attempt(provider, card=token, method=method)
    outcome, saved = charge(gateway, attempt)
    assert outcome == Pending(saved[0])
    saved_attempt = replace(attempt, reference=saved[0])
    assert gateway.retrieve(saved_attempt) == outcome

    provider.let_bank_decide(saved[0], is_good=is_good)
    assert isinstance(gateway.retrieve(saved_attempt), Approved if is_good else Declined)
    assert books.movements(attempt.payment_id) == ([("charge", 1000)] if is_good else [])


# --- in doubt ---


@pytest.mark.needs("charge")
@pytest.mark.parametrize("fault", LOST)
def test_a_lost_response_is_doubt_until_a_look_up(provider: Bench, gateway: Gateway, books: Books, fault: str) -> None:
    attempt = ready_attempt(provider)
    books.fail(provider.calls["charge"], fault)
    outcome, saved = charge(gateway, attempt)
    assert isinstance(outcome, InDoubt)
    assert [outcome.reference] == saved
    assert books.movements(attempt.payment_id) == [("charge", 1000)]

    looked_up = gateway.retrieve(replace(attempt, reference=saved[0]))
    assert isinstance(looked_up, Approved)
    assert looked_up.captured == 1000


@pytest.mark.needs("charge")
@pytest.mark.parametrize("fault", LOST)
def test_repeating_a_doubtful_charge_moves_nothing_more(
    provider: Bench, gateway: Gateway, books: Books, fault: str
) -> None:
    attempt = ready_attempt(provider)
    books.fail(provider.calls["charge"], fault)
    _, saved = charge(gateway, attempt)
    for retries in (0, 1):
        again, twice = charge(gateway, replace(attempt, reference=saved[0], retries=retries))
        assert isinstance(again, Approved | InDoubt)
        assert set(twice) <= set(saved)
    assert books.movements(attempt.payment_id) == [("charge", 1000)]


@pytest.mark.needs("charge")
@pytest.mark.parametrize("fault", FAILED_BEFORE)
def test_a_charge_that_was_not_executed_is_in_doubt_until_a_look_up(
    provider: Bench, gateway: Gateway, books: Books, fault: str
) -> None:
    attempt = ready_attempt(provider)
    books.fail(provider.calls["charge"], fault)
    outcome, saved = charge(gateway, attempt)
    assert isinstance(outcome, InDoubt)
    saved_attempt = replace(attempt, reference=saved[0])
    assert isinstance(gateway.retrieve(saved_attempt), NotSent | CustomerApproved)
    assert books.movements(attempt.payment_id) == []

    again, _ = charge(gateway, replace(saved_attempt, retries=1))
    assert isinstance(again, Approved)
    assert books.movements(attempt.payment_id) == [("charge", 1000)]


@pytest.mark.parametrize("fault", ["error_before", "reset_before", "timeout_after", "rate_limit"])
def test_a_failed_look_up_proves_nothing(provider: Bench, gateway: Gateway, books: Books, fault: str) -> None:
    attempt = ready_attempt(provider)
    outcome, saved = charge(gateway, attempt)
    books.fail(provider.calls["retrieve"], fault)
    saved_attempt = replace(attempt, reference=saved[0])
    assert isinstance(gateway.retrieve(saved_attempt), InDoubt)
    assert gateway.retrieve(saved_attempt) == outcome


# --- not sent ---


def test_a_refused_connection(provider: Bench, books: Books) -> None:
    attempt = new_attempt(provider)
    outcome, saved = charge(provider.gateway(base=f"http://127.0.0.1:{free_port()}"), attempt)
    assert isinstance(outcome, NotSent)
    assert outcome.is_retryable
    assert saved == []
    assert books.movements(attempt.payment_id) == []


@pytest.mark.needs("charge")
def test_a_rate_limit(provider: Bench, gateway: Gateway, books: Books) -> None:
    attempt = ready_attempt(provider)
    books.fail(provider.calls["charge"], "rate_limit")
    outcome, saved = charge(gateway, attempt)
    assert isinstance(outcome, NotSent)
    assert outcome.is_retryable
    assert books.movements(attempt.payment_id) == []
    again, _ = charge(gateway, replace(attempt, reference=saved[0], retries=1))
    assert isinstance(again, Approved)


@pytest.mark.parametrize("fault", [*LOST, *FAILED_BEFORE, "rate_limit"])
def test_without_a_saved_reference_nothing_was_sent(
    provider: Bench, gateway: Gateway, books: Books, fault: str
) -> None:
    attempt = new_attempt(provider)
    books.fail(provider.calls["create"], fault)
    outcome, saved = charge(gateway, attempt)
    assert isinstance(outcome, NotSent)
    assert outcome.is_retryable
    assert saved == []
    assert books.movements(attempt.payment_id) == []
    assert isinstance(gateway.retrieve(attempt), NotSent)

    again, saved = charge(gateway, replace(attempt, retries=1))
    assert isinstance(again, Approved | ActionRequired)
    assert len(saved) == 1
    moved = [("charge", 1000)] if isinstance(again, Approved) else []
    assert books.movements(attempt.payment_id) == moved


@pytest.mark.needs("unknown")
def test_an_unknown_token_is_not_tried_again(provider: Bench, gateway: Gateway, books: Books) -> None:
    attempt = ready_attempt(provider, card="unknown")
    outcome, saved = charge(gateway, attempt)
    assert isinstance(outcome, NotSent)
    assert not outcome.is_retryable
    assert saved == []
    assert books.movements(attempt.payment_id) == []


def test_a_wrong_key_charges_nothing(provider: Bench, books: Books) -> None:
    attempt = new_attempt(provider)
    with watch_for_failure() as failure:
        outcome, saved = charge(provider.gateway(**provider.credentials), attempt)
    assert failure.accepts_credentials is False
    assert isinstance(outcome, NotSent)
    assert saved == []


# --- the reference comes first ---


@pytest.mark.needs("charge")
def test_the_reference_is_saved_before_money_can_move(provider: Bench, gateway: Gateway, books: Books) -> None:
    attempt = ready_attempt(provider)
    seen: list[list[tuple[str, int]]] = []
    outcome = gateway.charge(attempt, lambda reference: seen.append(books.moved(reference)))
    assert seen == [[]]
    assert isinstance(outcome, Approved)
    assert books.moved(outcome.reference) == [("charge", 1000)]


@pytest.mark.needs("charge")
def test_a_reference_that_cannot_be_saved_stops_the_charge(provider: Bench, gateway: Gateway, books: Books) -> None:
    def refuse(reference: str) -> None:
        raise ConnectionError(reference)

    attempt = ready_attempt(provider)
    with pytest.raises(ConnectionError):
        gateway.charge(attempt, refuse)
    assert books.movements(attempt.payment_id) == []


def test_a_redelivered_attempt_is_the_same_charge(provider: Bench, gateway: Gateway, books: Books) -> None:
    """The worker died before it could store anything: only the idempotency key prevents a second charge."""
    attempt = ready_attempt(provider)
    first, second = charge(gateway, attempt), charge(gateway, attempt)
    assert first == second
    assert books.movements(attempt.payment_id) == [("charge", 1000)]


def test_two_attempts_are_two_charges(provider: Bench, gateway: Gateway) -> None:
    first, second = charge(gateway, ready_attempt(provider))[0], charge(gateway, ready_attempt(provider))[0]
    assert first.reference != second.reference


# --- front ends ---


@pytest.mark.needs("front_end")
def test_an_open_intent_moves_nothing_and_shows_its_secret_again(
    provider: Bench, gateway: FrontEndGateway, books: Books
) -> None:
    attempt, saved = new_attempt(provider, method_token=None), []
    secret = gateway.open_intent(attempt, saved.append)
    assert secret
    assert gateway.client_secret(saved[0]) == secret
    assert books.movements(attempt.payment_id) == []
    assert isinstance(gateway.retrieve(replace(attempt, reference=saved[0])), NotSent | ActionRequired)


@pytest.mark.needs("front_end")
def test_an_intent_that_cannot_be_opened(provider: Bench, gateway: FrontEndGateway, books: Books) -> None:
    saved: list[str] = []
    books.fail(provider.calls["create"], "error_before")
    with pytest.raises(GatewayError):
        gateway.open_intent(new_attempt(provider, method_token=None), saved.append)
    assert saved == []
    with pytest.raises(GatewayError):
        gateway.client_secret("pi_none")
