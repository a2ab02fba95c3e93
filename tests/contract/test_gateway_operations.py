"""Every gateway: capture, void, refund and their look-ups, against the provider's books."""

from __future__ import annotations

import json
import re
import secrets
from dataclasses import replace
from typing import Any

import pytest
import requests

from domain.money import Money
from domain.outcome import AmountMismatch, Approved, Declined, InDoubt, NotSent, Outcome, Pending
from domain.payment import Verb
from gateways.base import AttemptRequest, Gateway

from .bench import Bench, Books, new_attempt, ready_attempt

LOST = ("timeout_after", "error_after", "reset_after")
CHARGED = ("charge", 1000)
HELD = ("authorization", 1000)


def charged(provider: Bench, gateway: Gateway, verb: Verb = Verb.CHARGE, card: str = "good") -> AttemptRequest:
    """Return the attempt of a successful charge or authorization, with its reference."""
    attempt = ready_attempt(provider, verb, card=card, gateway=gateway)
    outcome = gateway.charge(attempt, lambda _: None)
    assert isinstance(outcome, Approved)
    return replace(attempt, reference=outcome.reference)


def operation(first: AttemptRequest, verb: Verb, minor: int = 1000, **changes: Any) -> AttemptRequest:
    """Return a new attempt of an operation on the money of that charge."""
    return replace(
        first,
        attempt_id=f"at_{secrets.token_hex(8)}",
        verb=verb,
        money=Money(minor, first.money.currency),
        method_token=None,
        reference=None,
        charge_reference=first.reference,
        **changes,
    )


def call(gateway: Gateway, attempt: AttemptRequest) -> Outcome:
    """Call the gateway with an operation."""
    verbs = {Verb.CAPTURE: gateway.capture, Verb.VOID: gateway.void, Verb.REFUND: gateway.refund}
    return verbs[attempt.verb](attempt)


@pytest.mark.needs("charge")
@pytest.mark.parametrize("asked", [999, 1001])
def test_another_amount_than_was_asked_is_a_mismatch_that_shows_what_was_taken(
    provider: Bench, gateway: Gateway, asked: int
) -> None:
    paid = charged(provider, gateway)
    other = replace(paid, money=Money(asked, provider.currency))
    assert gateway.retrieve(other) == AmountMismatch(paid.reference, 1000, "other_amount")
    accepted = gateway.retrieve(operation(other, Verb.CAPTURE))
    assert isinstance(accepted, Approved)
    assert accepted.captured == 1000


@pytest.mark.needs("authorize", "partial_capture")
@pytest.mark.parametrize(
    ("minor", "movements"), [(1000, [("capture", 1000)]), (400, [("capture", 400), ("void", 600)])]
)
def test_capture_takes_the_requested_amount_and_releases_the_rest(
    provider: Bench, gateway: Gateway, books: Books, minor: int, movements: list[Any]
) -> None:
    attempt = operation(charged(provider, gateway, Verb.AUTHORIZE), Verb.CAPTURE, minor)
    outcome = gateway.capture(attempt)
    assert isinstance(outcome, Approved)
    assert outcome.captured == minor
    assert books.movements(attempt.payment_id) == [HELD, *movements]
    assert gateway.retrieve(attempt) == outcome


@pytest.mark.needs("authorize")
def test_void_releases_an_authorization(provider: Bench, gateway: Gateway, books: Books) -> None:
    attempt = operation(charged(provider, gateway, Verb.AUTHORIZE), Verb.VOID)
    outcome = gateway.void(attempt)
    assert isinstance(outcome, Approved)
    assert (outcome.voided, outcome.captured) == (True, 0)
    assert books.movements(attempt.payment_id) == [HELD, ("void", 1000)]
    assert gateway.retrieve(attempt) == outcome


@pytest.mark.needs("action", "void_unfinished")
def test_void_cancels_a_charge_that_waits_for_its_customer(provider: Bench, gateway: Gateway, books: Books) -> None:
    first, saved = new_attempt(provider, method_token=provider.tokens.get("authentication")), []
    gateway.charge(first, saved.append)
    outcome = gateway.void(operation(replace(first, reference=saved[0]), Verb.VOID, reason="expired"))
    assert isinstance(outcome, Approved)
    assert outcome.voided
    assert books.movements(first.payment_id) == []


@pytest.mark.operations(Verb.CAPTURE, Verb.VOID, Verb.REFUND)
def test_a_repeated_operation_is_one(provider: Bench, gateway: Gateway, books: Books, verb: Verb) -> None:
    first = charged(provider, gateway, Verb.CHARGE if verb is Verb.REFUND else Verb.AUTHORIZE)
    attempt = operation(first, verb)
    outcomes = [call(gateway, attempt) for _ in range(3)]
    assert outcomes[0] == outcomes[1] == outcomes[2]
    assert isinstance(outcomes[0], Approved)
    assert len(books.movements(attempt.payment_id)) == 2


@pytest.mark.operations(Verb.CAPTURE, Verb.VOID, Verb.REFUND)
@pytest.mark.parametrize("fault", LOST)
def test_a_lost_response_is_doubt_until_a_look_up(
    provider: Bench, gateway: Gateway, books: Books, verb: Verb, fault: str
) -> None:
    first = charged(provider, gateway, Verb.CHARGE if verb is Verb.REFUND else Verb.AUTHORIZE)
    attempt = operation(first, verb)
    books.fail(provider.calls[verb], fault)
    assert isinstance(call(gateway, attempt), InDoubt)
    looked_up = gateway.retrieve(attempt)
    assert isinstance(looked_up, Approved)
    assert (looked_up.captured, looked_up.voided, looked_up.refunded) == {
        Verb.CAPTURE: (1000, False, 0),
        Verb.VOID: (0, True, 0),
        Verb.REFUND: (0, False, 1000),
    }[verb]
    assert len(books.movements(attempt.payment_id)) == 2


@pytest.mark.operations(Verb.CAPTURE, Verb.VOID, Verb.REFUND)
@pytest.mark.parametrize("fault", ["error_before", "reset_before"])
def test_an_operation_that_was_not_executed_can_be_made_again(
    provider: Bench, gateway: Gateway, books: Books, verb: Verb, fault: str
) -> None:
    first = charged(provider, gateway, Verb.CHARGE if verb is Verb.REFUND else Verb.AUTHORIZE)
    attempt = operation(first, verb)
    books.fail(provider.calls[verb], fault)
    assert isinstance(call(gateway, attempt), InDoubt)
    assert len(books.movements(attempt.payment_id)) == 1
    again = call(gateway, replace(attempt, retries=1))
    assert isinstance(again, Approved)
    assert len(books.movements(attempt.payment_id)) == 2


@pytest.mark.operations(Verb.CAPTURE, Verb.VOID, Verb.REFUND)
def test_a_retried_operation_has_the_key_of_the_first(
    provider: Bench, gateway: Gateway, books: Books, verb: Verb, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = charged(provider, gateway, Verb.CHARGE if verb is Verb.REFUND else Verb.AUTHORIZE)
    attempt = operation(first, verb)
    keys = keys_sent(monkeypatch)
    books.fail(provider.calls[verb], "error_before", times=2)
    for retries in range(3):
        call(gateway, replace(attempt, retries=retries))
    assert len(keys) == 3
    assert len(set(keys)) == 1


def keys_sent(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return a list that will hold the idempotency key of every request that has one, in whatever field it stands."""
    keys: list[str] = []
    send = requests.Session.send

    def send_and_note(self: requests.Session, request: requests.PreparedRequest, **how: Any) -> requests.Response:
        named = [value for name, value in request.headers.items() if re.search("idempotency|request-id", name, re.I)]
        body = request.body if isinstance(request.body, bytes) and request.body.startswith(b"{") else b"{}"
        keys.extend(str(key) for key in (*named, json.loads(body).get("requestId")) if key)
        return send(self, request, **how)

    monkeypatch.setattr(requests.Session, "send", send_and_note)
    return keys


@pytest.mark.operations(Verb.CAPTURE, Verb.VOID, Verb.REFUND)
def test_a_rate_limited_operation_was_not_sent(provider: Bench, gateway: Gateway, books: Books, verb: Verb) -> None:
    first = charged(provider, gateway, Verb.CHARGE if verb is Verb.REFUND else Verb.AUTHORIZE)
    attempt = operation(first, verb)
    books.fail(provider.calls[verb], "rate_limit")
    outcome = call(gateway, attempt)
    assert isinstance(outcome, NotSent)
    assert outcome.is_retryable
    assert len(books.movements(attempt.payment_id)) == 1


@pytest.mark.needs("authorize")
def test_no_more_is_captured_than_authorized(provider: Bench, gateway: Gateway, books: Books) -> None:
    attempt = operation(charged(provider, gateway, Verb.AUTHORIZE), Verb.CAPTURE, 1001)
    outcome = gateway.capture(attempt)
    assert isinstance(outcome, NotSent)
    assert not outcome.is_retryable
    assert books.movements(attempt.payment_id) == [HELD]


@pytest.mark.needs("authorize")
@pytest.mark.parametrize(("verb", "first_verb"), [(Verb.CAPTURE, Verb.VOID), (Verb.VOID, Verb.CAPTURE)])
def test_an_operation_that_came_too_late_is_looked_up(
    provider: Bench, gateway: Gateway, books: Books, verb: Verb, first_verb: Verb
) -> None:
    first = charged(provider, gateway, Verb.AUTHORIZE)
    done = call(gateway, operation(first, first_verb))
    late = operation(first, verb)
    assert isinstance(call(gateway, late), InDoubt)
    assert gateway.retrieve(late) == done
    assert len(books.movements(first.payment_id)) == 2


# --- refunds ---


@pytest.mark.needs("refund")
def test_a_refund_gives_everything_back(provider: Bench, gateway: Gateway, books: Books) -> None:
    attempt = operation(charged(provider, gateway), Verb.REFUND, reason="requested_by_customer")
    outcome = gateway.refund(attempt)
    assert isinstance(outcome, Approved)
    assert (outcome.refunded, outcome.captured) == (1000, 0)
    assert outcome.reference != attempt.charge_reference
    assert books.movements(attempt.payment_id) == [CHARGED, ("refund", 1000)]
    assert gateway.retrieve(replace(attempt, reference=outcome.reference)) == outcome
    assert gateway.retrieve(attempt) == outcome


@pytest.mark.needs("refund")
def test_partial_refunds_add_up_and_are_distinguished(provider: Bench, gateway: Gateway, books: Books) -> None:
    first = charged(provider, gateway)
    attempts = [operation(first, Verb.REFUND, minor) for minor in (300, 300, 400)]
    outcomes = [gateway.refund(each) for each in attempts]
    assert [type(outcome) for outcome in outcomes] == [Approved] * 3
    assert [outcome.refunded for outcome in outcomes] == [300, 300, 400]
    assert len({outcome.reference for outcome in outcomes}) == 3
    assert [gateway.retrieve(each) for each in attempts] == outcomes
    assert sum(amount for kind, amount in books.movements(first.payment_id) if kind == "refund") == 1000


@pytest.mark.needs("refund")
def test_no_more_is_refunded_than_captured(provider: Bench, gateway: Gateway, books: Books) -> None:
    first = charged(provider, gateway)
    gateway.refund(operation(first, Verb.REFUND, 600))
    outcome = gateway.refund(operation(first, Verb.REFUND, 401))
    assert isinstance(outcome, NotSent)
    assert not outcome.is_retryable
    assert books.movements(first.payment_id) == [CHARGED, ("refund", 600)]


@pytest.mark.needs("refund")
def test_a_refund_that_was_never_created_is_not_sent(provider: Bench, gateway: Gateway) -> None:
    first = charged(provider, gateway)
    gateway.refund(operation(first, Verb.REFUND, 600))
    assert isinstance(gateway.retrieve(operation(first, Verb.REFUND, 100)), NotSent)


@pytest.mark.needs("refund")
def test_a_refund_that_cannot_be_looked_up_stays_in_doubt(provider: Bench, gateway: Gateway, books: Books) -> None:
    attempt = operation(charged(provider, gateway), Verb.REFUND)
    gateway.refund(attempt)
    books.fail(provider.calls["retrieve_refund"], "error_before")
    assert isinstance(gateway.retrieve(attempt), InDoubt)


@pytest.mark.needs("refund_later")
def test_a_refund_that_the_bank_decides_later(provider: Bench, gateway: Gateway) -> None:
    attempt = operation(charged(provider, gateway, card="refund_later"), Verb.REFUND)
    outcome = gateway.refund(attempt)
    assert isinstance(outcome, Pending)
    saved_attempt = replace(attempt, reference=outcome.reference)
    assert gateway.retrieve(saved_attempt) == outcome
    provider.let_bank_decide(outcome.reference, is_good=True)
    assert gateway.retrieve(saved_attempt) == Approved(outcome.reference, refunded=1000)


@pytest.mark.needs("refund_fails")
def test_a_refund_that_fails_after_it_succeeded(provider: Bench, gateway: Gateway) -> None:
    attempt = operation(charged(provider, gateway, card="refund_fails"), Verb.REFUND)
    outcome = gateway.refund(attempt)
    assert isinstance(outcome, Approved)
    provider.let_bank_decide(outcome.reference, is_good=False)
    assert isinstance(gateway.retrieve(replace(attempt, reference=outcome.reference)), Declined)
