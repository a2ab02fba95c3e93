"""Figures of scores: counted by hand on few payments, and ties as a random order would have them on average."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.fraud.assessment import Reason
from domain.fraud.quality import Judged, Quality, Tally
from domain.fraud.rule_set import Bands, FraudDecision


def quality(payments: Iterable[tuple[int, bool]]) -> Quality:
    found = Quality()
    for score, is_fraud in payments:
        found.add(Judged(score, Bands().decision(score), (), is_fraud, 100))
    return found


def test_a_ranking_without_ties() -> None:
    found = quality([(90, True), (80, False), (70, True), (20, False), (10, False)])
    # Pairs of a fraud and a genuine payment: the first fraud wins all three, the second one two of them.
    assert found.auc == pytest.approx(5 / 6)
    assert found.average_precision == pytest.approx((1 / 1 + 2 / 3) / 2)
    assert [found.precision_at(most) for most in (1, 2, 3, 5, 100)] == pytest.approx([1, 1 / 2, 2 / 3, 2 / 5, 2 / 5])
    assert [found.recall_at_false_positives(share) for share in (0, 1 / 3, 1)] == pytest.approx([1 / 2, 1, 1])
    assert [found.recall_with_flagged(share) for share in (0.2, 0.4, 0.6, 1)] == pytest.approx([1 / 2, 1 / 2, 1, 1])


def test_payments_with_one_score_are_one_group() -> None:
    found = quality([(50, True), (50, False), (50, False), (50, True), (0, False)])
    assert found.auc == pytest.approx((2 * (2 * 0.5 + 1)) / (2 * 3))
    assert found.average_precision == pytest.approx(2 / 4)
    assert [found.precision_at(most) for most in (1, 3, 4, 5)] == pytest.approx([1 / 2, 1 / 2, 1 / 2, 2 / 5])
    assert found.recall_with_flagged(0.4) == pytest.approx(1 / 2)
    assert found.recall_at_false_positives(1 / 3) == pytest.approx(1 / 2)


small = st.lists(st.tuples(st.integers(0, 3), st.booleans()), min_size=1, max_size=5)


@given(small, st.integers(1, 5))
def test_a_cut_through_a_group_is_the_mean_over_all_orders(payments: list[tuple[int, bool]], most: int) -> None:
    orders = [sorted(order, key=lambda payment: -payment[0]) for order in permutations(payments)]
    flagged = min(most, len(payments))
    mean = sum(is_fraud for order in orders for _, is_fraud in order[:flagged]) / len(orders)
    assert quality(payments).precision_at(most) == pytest.approx(mean / flagged)


@given(small)
def test_the_auc_is_the_share_of_pairs_in_the_right_order(payments: list[tuple[int, bool]]) -> None:
    pairs = [
        (one > other) + (one == other) / 2 for one, bad in payments if bad for other, worse in payments if not worse
    ]
    assert quality(payments).auc == (pytest.approx(sum(pairs) / len(pairs)) if pairs else None)


def test_without_fraud_there_is_nothing_to_find() -> None:
    found = quality([(10, False)])
    assert (found.auc, found.average_precision, found.recall_with_flagged(1)) == (None, None, None)
    assert found.precision_at(100) == 0
    assert Quality().precision_at(100) is None


def test_bands_and_rules_count_payments_and_amounts() -> None:
    found = Quality()
    amount, velocity = Reason("amount", 70, 900), Reason("user_tries_day", -5, 3)
    found.add(Judged(70, FraudDecision.BLOCK, (amount,), True, 900))
    found.add(Judged(65, FraudDecision.REVIEW, (amount, velocity), False, 800))
    assert found.bands[FraudDecision.BLOCK] == Tally(1, 900, 1, 900)
    assert found.bands[FraudDecision.APPROVE].precision is None
    assert found.rules == {"amount": Tally(2, 1700, 1, 900), "user_tries_day": Tally(1, 800, 0, 0)}
    assert found.rules["amount"].precision == 0.5
