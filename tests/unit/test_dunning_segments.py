"""Segments: the first that fits decides, and a stable share of its users is only watched."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.dunning.draw import draw
from domain.dunning.policy import MONITOR_ONLY, STANDARD, STRONG
from domain.dunning.segments import Chosen, Segment, SegmentFacts, choose_policy

FACTS = SegmentFacts("user_1", "shop", 990, "EUR", "sepa_debit", plan="annual", country="DE")
EXACT = Segment(
    name="exact",
    policy=STRONG,
    applications=frozenset({"shop"}),
    plans=frozenset({"annual"}),
    methods=frozenset({"sepa_debit"}),
    currencies=frozenset({"EUR"}),
    countries=frozenset({"DE", "AT"}),
    minimum=990,
    maximum=990,
)
USERS = 2000


def test_a_case_that_fits_no_segment_gets_the_default() -> None:
    assert choose_policy([], FACTS, STANDARD) == Chosen(STANDARD, False, None)


def test_the_first_segment_that_fits_decides() -> None:
    others = [Segment("all", MONITOR_ONLY), Segment("never", STANDARD)]
    assert choose_policy([EXACT, *others], FACTS, STANDARD) == Chosen(STRONG, False, "exact")
    assert choose_policy(others, FACTS, STANDARD).segment == "all"


@pytest.mark.parametrize(
    "change",
    [
        {"application": "other"},
        {"plan": "monthly"},
        {"plan": None},
        {"method": "credit_card"},
        {"currency": "USD"},
        {"country": "FR"},
        {"country": None},
        {"amount": 989},
        {"amount": 991},
    ],
    ids=str,
)
def test_every_condition_of_a_segment_counts(change: dict[str, object]) -> None:
    assert EXACT.fits(FACTS)
    assert not EXACT.fits(replace(FACTS, **change))


@settings(max_examples=30)
@given(st.sampled_from([0.05, 0.1, 0.25, 0.5]), st.text(max_size=12))
def test_the_share_that_is_held_out_is_the_configured_one(holdout: float, name: str) -> None:
    segment = Segment(name, STRONG, holdout=holdout)
    held = sum(segment.holds_out(replace(FACTS, seed=f"user_{number}")) for number in range(USERS))
    # Six standard deviations: less than one name in a hundred million is further off.
    assert abs(held - USERS * holdout) < 6 * (USERS * holdout * (1 - holdout)) ** 0.5


@given(st.text(), st.floats(0, 1), st.floats(0, 1))
def test_who_is_held_out_stays_so_if_the_share_is_raised(seed: str, one: float, other: float) -> None:
    facts = replace(FACTS, seed=seed)
    low, high = (Segment("all", STRONG, holdout=share) for share in sorted((one, other)))
    assert low.holds_out(facts) <= high.holds_out(facts)
    assert choose_policy([high], facts, STANDARD) == choose_policy([high], replace(facts, amount=5), STANDARD)


def test_who_is_held_out_is_only_watched() -> None:
    assert choose_policy([replace(EXACT, holdout=1)], FACTS, STANDARD) == Chosen(MONITOR_ONLY, True, "exact")
    assert not choose_policy([replace(EXACT, holdout=0)], FACTS, STANDARD).is_holdout


def test_two_segments_hold_out_different_users() -> None:
    users = [replace(FACTS, seed=f"user_{number}") for number in range(USERS)]
    one, other = (Segment(name, STRONG, holdout=0.5) for name in ("one", "other"))
    both = sum(one.holds_out(user) and other.holds_out(user) for user in users)
    assert 0.2 < both / USERS < 0.3


@given(st.lists(st.text()))
def test_a_draw_is_below_one(seeds: list[str]) -> None:
    assert 0 <= draw(*seeds) < 1
