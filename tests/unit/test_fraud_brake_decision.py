"""When the global brake is on: by the share of declines, against what is usual, and never for a few."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from domain.fraud.brake import BrakePolicy, Traffic, is_under_attack

POLICY = BrakePolicy()
USUAL = Traffic(1000, 100)
tries = st.integers(0, 5000)


@given(tries.flatmap(lambda number: st.builds(Traffic, st.just(number), st.integers(0, number))))
def test_a_few_declines_put_no_brake_on(usual: Traffic) -> None:
    assert not is_under_attack(Traffic(20, 20), usual, POLICY)


@given(tries.flatmap(lambda number: st.builds(Traffic, st.just(number), st.integers(0, number))))
def test_an_attack_in_which_nearly_all_is_declined_is_seen_whatever_is_usual(usual: Traffic) -> None:
    assert is_under_attack(Traffic(100, 81), usual, POLICY)


@given(st.integers(21, 500), st.integers(0, 500))
def test_one_decline_more_never_takes_the_brake_off(tried: int, declined: int) -> None:
    declined = min(declined, tried - 1)
    if is_under_attack(Traffic(tried, declined), USUAL, POLICY):
        assert is_under_attack(Traffic(tried, declined + 1), USUAL, POLICY)


def test_three_times_the_usual_share_is_the_bound() -> None:
    assert [is_under_attack(Traffic(100, declined), Traffic(1000, 200), POLICY) for declined in (60, 61)] == [
        False,
        True,
    ]


def test_a_shop_with_few_declines_is_taken_for_one_with_some() -> None:
    assert [is_under_attack(Traffic(100, declined), Traffic(1000, 0), POLICY) for declined in (30, 31)] == [
        False,
        True,
    ]


def test_a_brake_that_is_switched_off_stays_off() -> None:
    assert not is_under_attack(Traffic(1000, 1000), USUAL, BrakePolicy(times_usual=0))
