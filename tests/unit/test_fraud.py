"""The fraud score: explained to the point, in bands, and never lower for more."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.fraud import FraudDecision, Reason, Signals, assess
from domain.fraud import assessment as engine
from domain.money import Money

QUIET = Signals(Money(1000, "EUR"), payments_hour=0, payments_day=0, declines_hour=0)
counts = st.integers(0, 200)
signals = st.builds(
    Signals,
    st.builds(Money, st.integers(1, 10**11), st.sampled_from(["EUR", "USD", "JPY", "KWD", "XOF", "VND"])),
    counts,
    counts,
    counts,
)
BANDS = {
    0: FraudDecision.APPROVE,
    29: FraudDecision.APPROVE,
    30: FraudDecision.VERIFY,
    49: FraudDecision.VERIFY,
    50: FraudDecision.REVIEW,
    69: FraudDecision.REVIEW,
    70: FraudDecision.BLOCK,
    100: FraudDecision.BLOCK,
    140: FraudDecision.BLOCK,
}


@given(signals)
def test_the_score_is_the_capped_sum_of_its_reasons(given_signals: Signals) -> None:
    assessment = assess(given_signals)
    assert assessment.score == max(0, min(100, sum(reason.points for reason in assessment.reasons)))
    assert len({reason.rule for reason in assessment.reasons}) == len(assessment.reasons)


@pytest.mark.parametrize(("points", "decision"), BANDS.items())
def test_the_score_decides(monkeypatch: pytest.MonkeyPatch, points: int, decision: FraudDecision) -> None:
    monkeypatch.setattr(engine, "RULES", (lambda _: Reason("rule", points, "value"),))
    assessment = assess(QUIET)
    assert (assessment.score, assessment.decision) == (min(points, 100), decision)


@given(signals, st.sampled_from(["payments_hour", "payments_day", "declines_hour"]), st.integers(1, 100))
def test_more_of_anything_never_scores_less(given_signals: Signals, name: str, more: int) -> None:
    busier = replace(given_signals, **{name: getattr(given_signals, name) + more})
    assert assess(busier).score >= assess(given_signals).score


@given(signals, st.integers(1, 10**11))
def test_a_larger_amount_never_scores_less(given_signals: Signals, more: int) -> None:
    money = given_signals.money
    larger = replace(given_signals, money=Money(money.minor + more, money.currency))
    assert assess(larger).score >= assess(given_signals).score


def test_an_ordinary_payment_has_no_reasons() -> None:
    assert assess(QUIET) == engine.Assessment(0, FraudDecision.APPROVE, ())


def test_a_currency_without_a_rate_adds_nothing() -> None:
    assert assess(replace(QUIET, money=Money(10**15, "XOF"))).score == 0


@pytest.mark.parametrize(
    ("minor", "currency", "decision"),
    [
        (499_999, "USD", FraudDecision.APPROVE),
        (500_000, "USD", FraudDecision.VERIFY),
        (2_000_000, "EUR", FraudDecision.REVIEW),
        (5_000_000, "EUR", FraudDecision.BLOCK),
        (749_999, "JPY", FraudDecision.APPROVE),
        (750_000, "JPY", FraudDecision.VERIFY),
        (5_000_000, "KWD", FraudDecision.VERIFY),
    ],
)
def test_amounts_are_large_by_their_worth_in_dollars(minor: int, currency: str, decision: FraudDecision) -> None:
    assert assess(replace(QUIET, money=Money(minor, currency))).decision is decision


def test_many_payments_alone_go_no_further_than_verify() -> None:
    assert assess(replace(QUIET, payments_hour=10_000, payments_day=10_000)).decision is FraudDecision.VERIFY


def test_testing_cards_is_blocked() -> None:
    assessment = assess(replace(QUIET, declines_hour=15))
    assert (assessment.decision, [reason.rule for reason in assessment.reasons]) == (
        FraudDecision.BLOCK,
        ["many_declines"],
    )
