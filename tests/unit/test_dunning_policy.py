"""Dunning policies: stored and read back unchanged, one version for one content, and one sentence for each mistake."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta
from math import inf, nan
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.dunning.policy import (
    MONITOR_ONLY,
    MOST_RETRIES,
    SHIPPED,
    STANDARD,
    STRONG,
    DunningPolicy,
    EndAction,
    GraceAnchor,
    ResumeAnchor,
    problems_of,
)
from stack.process import ROOT

FIRST = datetime(2026, 1, 31, 9, 30, tzinfo=UTC)
DAY = timedelta(days=1)
gaps = st.one_of(st.integers(1, 11), st.floats(0.84, 11))
delays = st.lists(gaps, max_size=MOST_RETRIES).map(lambda each: tuple(sum(each[: n + 1]) for n in range(len(each))))
# Beyond the list the fifth day is the last one within 90.
plans = delays.flatmap(lambda days: st.tuples(st.just(days), st.integers(0, max(len(days), 5))))
policies = st.builds(
    lambda plan, **others: DunningPolicy(*plan, **others),
    plans,
    name=st.text(min_size=1),
    grace_days=st.one_of(st.integers(0, 365), st.floats(0, 365)),
    grace_anchor=st.sampled_from(GraceAnchor),
    end_action=st.sampled_from(EndAction),
    resume_anchor=st.sampled_from(ResumeAnchor),
    window_days=st.floats(0, 2.5),
    technical_delays_hours=st.just((1, 6, 24)),
    least_gap_hours=st.just(20),
    most_unknown_retries=st.integers(0, 2),
    is_monitor_only=st.booleans(),
)


@given(policies)
def test_a_policy_that_is_stored_is_read_back_unchanged(policy: DunningPolicy) -> None:
    assert problems_of(policy) == {}
    again = DunningPolicy.from_json(json.loads(json.dumps(policy.to_json())))
    assert again == policy
    assert again.version == policy.version
    assert again.to_json() == policy.to_json()


@given(policies, policies, st.sampled_from([field.name for field in fields(DunningPolicy)]))
def test_two_policies_have_one_version_if_they_say_the_same(
    one: DunningPolicy, other: DunningPolicy, name: str
) -> None:
    changed = replace(one, **{name: getattr(other, name)})
    assert (one.version == changed.version) == (name == "name" or one == changed)


def test_the_version_is_the_same_in_every_process() -> None:
    code = "from domain.dunning.policy import STANDARD; print(STANDARD.version)"
    printed = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert printed.strip() == STANDARD.version


def test_what_a_stored_policy_leaves_out_is_as_in_standard() -> None:
    assert DunningPolicy.from_json({}) == STANDARD


def test_a_stored_policy_with_an_unknown_key_is_refused() -> None:
    with pytest.raises(ValueError, match="colour: no policy has this key"):
        DunningPolicy.from_json({**STANDARD.to_json(), "colour": "red"})


@pytest.mark.parametrize("policy", SHIPPED.values(), ids=SHIPPED)
def test_the_shipped_policies_keep_the_limits(policy: DunningPolicy) -> None:
    assert problems_of(policy) == {}


def test_standard_is_days_3_7_and_14_exactly() -> None:
    assert (STANDARD.delays_days, STANDARD.attempts, STANDARD.window_days) == ((3, 7, 14), 3, 0)


def test_strong_makes_eight_tries_five_of_them_within_ten_days() -> None:
    latest = [day + STRONG.window_days for day in STRONG.delays_days]
    assert (STRONG.attempts, len(latest)) == (8, 8)
    assert len([day for day in latest if day <= 10]) == 5


def test_monitor_only_ends_nothing() -> None:
    assert (MONITOR_ONLY.end_action, MONITOR_ONLY.attempts) == (EndAction.KEEP, 0)


@pytest.mark.parametrize(
    ("field", "value", "sentence"),
    [
        ("delays_days", (7, 3), "must increase, such as 3,7,14"),
        ("delays_days", (3, 3), "must increase, such as 3,7,14"),
        ("delays_days", (-1, 3), "must be above 0"),
        ("delays_days", (0, 3), "must be above 0"),
        ("delays_days", (3, nan), "must be above 0"),
        ("delays_days", (3, inf), "must be above 0"),
        ("delays_days", (0.5, 3), "must be at least 20 hours apart, and as long after the first failure"),
        ("delays_days", (3, 3.5), "must be at least 20 hours apart, and as long after the first failure"),
        ("delays_days", (3, 91), "must be at most 90"),
        ("delays_days", tuple(range(1, 10)), "must be at most 8 days"),
        ("attempts", -1, "must be from 0 to 8"),
        ("attempts", 9, "must be from 0 to 8"),
        ("attempts", 6, "must not lead to a retry after day 90; days beyond the list double"),
        ("grace_days", -1, "must be from 0 to 365"),
        ("grace_days", nan, "must be from 0 to 365"),
        ("window_days", -0.5, "must be from 0 to 2.5"),
        ("window_days", 3, "must be from 0 to 2.5"),
        ("least_gap_hours", 19, "must be from 20 to 2160"),
        ("most_unknown_retries", 3, "must be from 0 to 2"),
        ("technical_delays_hours", (), "must be hours of at least 1 that do not decrease, such as 1,6,24"),
        ("technical_delays_hours", (6, 1), "must be hours of at least 1 that do not decrease, such as 1,6,24"),
        ("technical_delays_hours", (0, 1), "must be hours of at least 1 that do not decrease, such as 1,6,24"),
        ("technical_delays_hours", (1, nan), "must be hours of at least 1 that do not decrease, such as 1,6,24"),
    ],
)
def test_each_mistake_has_one_sentence(field: str, value: Any, sentence: str) -> None:
    assert problems_of(replace(STANDARD, **{field: value})) == {field: sentence}


@given(policies, st.floats(0, 200), st.floats(0, 200))
def test_grace_never_ends_before_the_last_retry_has_failed(policy: DunningPolicy, first: float, lasts: float) -> None:
    first_failed_at = FIRST + first * DAY
    last_failed_at = first_failed_at + lasts * DAY
    ends_at = policy.grace_ends_at(first_failed_at, last_failed_at)
    assert ends_at >= last_failed_at
    assert ends_at >= first_failed_at + policy.grace_days * DAY - timedelta(microseconds=1)
    access_ends_at = policy.access_ends_at(first_failed_at, ends_at)
    assert access_ends_at is not None
    assert access_ends_at <= ends_at
