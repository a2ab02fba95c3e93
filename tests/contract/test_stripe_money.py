"""Stripe's minor units where they are not ISO 4217's, both ways."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.money import Money
from domain.outcome import Approved
from domain.payment import Verb
from domain.payment_methods import PaymentMethod, capabilities
from gateways.stripe.money import from_stripe, to_stripe
from sandbox.server import RunningSandbox

from .bench import Books, ready_attempt
from .benches.stripe import ProviderBench as StripeBench
from .test_gateway_operations import operation

AMOUNTS = [
    ("500", "EUR", 50_000),
    ("500", "JPY", 500),
    ("500", "ISK", 50_000),
    ("500", "UGX", 50_000),
    ("500", "MGA", 500),
    ("1.230", "KWD", 1230),
]


@pytest.mark.parametrize(("text", "currency", "sent"), AMOUNTS)
def test_both_ways(text: str, currency: str, sent: int) -> None:
    money = Money.parse(text, currency)
    assert to_stripe(money) == sent
    assert from_stripe(sent, currency.lower()) == money.minor


@given(st.integers(1, 10**9), st.sampled_from(["EUR", "JPY", "ISK", "UGX", "MGA", "KWD", "CLP", "VND"]))
def test_an_accepted_amount_is_never_rounded(minor: int, currency: str) -> None:
    money = Money(minor, currency)
    if capabilities(PaymentMethod.CREDIT_CARD)[0].problem(money, is_capture_later=False):
        return
    sent = to_stripe(money)
    assert from_stripe(sent, currency) == minor
    assert 0 < sent <= 99_999_999


@pytest.mark.parametrize(
    ("text", "currency", "sent"), [("12000", "ISK", 1_200_000), ("50000", "MGA", 50_000), ("9000", "JPY", 9000)]
)
def test_the_provider_takes_the_intended_amount(
    sandbox: RunningSandbox, books: Books, text: str, currency: str, sent: int
) -> None:
    bench, money = StripeBench(sandbox), Money.parse(text, currency)
    attempt = ready_attempt(bench, money=money)
    outcome = bench.gateway().charge(attempt, lambda _: None)
    assert isinstance(outcome, Approved)
    assert outcome.captured == money.minor
    assert books.movements(attempt.payment_id) == [("charge", sent)]


@pytest.mark.parametrize(
    ("text", "part", "currency", "sent", "sent_part"),
    [
        ("12000", "5000", "ISK", 1_200_000, 500_000),
        ("50000", "20000", "MGA", 50_000, 20_000),
        ("9000", "4000", "JPY", 9000, 4000),
        ("9.870", "4.320", "KWD", 9870, 4320),
    ],
)
def test_captures_and_refunds_have_the_intended_amount(
    sandbox: RunningSandbox, books: Books, text: str, part: str, currency: str, sent: int, sent_part: int
) -> None:
    bench, whole, taken = StripeBench(sandbox), Money.parse(text, currency), Money.parse(part, currency)
    gateway, held = bench.gateway(), ready_attempt(bench, Verb.AUTHORIZE, money=whole)
    outcome = gateway.charge(held, lambda _: None)
    assert isinstance(outcome, Approved)
    first = replace(held, reference=outcome.reference)
    capture, refund = (operation(first, verb, taken.minor) for verb in (Verb.CAPTURE, Verb.REFUND))
    captured, refunded = gateway.capture(capture), gateway.refund(refund)
    assert isinstance(captured, Approved)
    assert isinstance(refunded, Approved)
    assert (captured.captured, refunded.refunded) == (taken.minor, taken.minor)
    moved = dict(books.movements(held.payment_id))
    assert (moved["authorization"], moved["capture"], moved["refund"]) == (sent, sent_part, sent_part)
