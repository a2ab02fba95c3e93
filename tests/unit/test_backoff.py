"""Schedules of look-ups and retries: bounded, never backwards, the same when computed again."""

from __future__ import annotations

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from domain.backoff import NOT_SENT_TRIES, doubt_delay, not_sent_delay, waiting_delay

counts = st.integers(0, 10_000)
ZERO = timedelta(0)


@given(counts)
def test_look_ups_become_rarer_and_never_end(count: int) -> None:
    for delay, ceiling in ((doubt_delay, timedelta(minutes=5)), (waiting_delay, timedelta(hours=6))):
        assert ZERO < delay(count) <= delay(count + 1) <= ceiling


def test_doubt_is_looked_up_within_moments_and_many_times_within_the_hour() -> None:
    assert doubt_delay(0) <= timedelta(seconds=2)
    assert sum((doubt_delay(count) for count in range(10)), ZERO) < timedelta(hours=1)


@given(counts, st.text(min_size=1))
def test_a_pause_is_jittered_and_bounded_and_always_the_same(retries: int, seed: str) -> None:
    pause = not_sent_delay(retries, seed)
    ceiling = min(timedelta(seconds=2 ** min(retries + 1, 20)), timedelta(minutes=5))
    assert ceiling / 2 <= pause <= ceiling
    assert pause == not_sent_delay(retries, seed)


def test_attempts_are_not_due_again_at_the_same_time() -> None:
    pauses = {not_sent_delay(6, f"at_{number}") for number in range(100)}
    assert len(pauses) > 90


def test_all_tries_together_ride_out_half_an_hour() -> None:
    total = sum((not_sent_delay(retries, "at") for retries in range(NOT_SENT_TRIES)), ZERO)
    assert timedelta(minutes=15) < total < timedelta(hours=2)
