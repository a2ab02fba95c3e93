"""Schedules of look-ups and retries: bounded, never backwards, the same when computed again."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from domain.backoff import NOT_SENT_TRIES, doubt_delay, next_waiting_look_up, not_sent_delay, outage_delay

counts = st.integers(0, 10_000)
ages = st.timedeltas(timedelta(0), timedelta(days=40))
SINCE = datetime(2026, 11, 28, 12, tzinfo=UTC)
ZERO = timedelta(0)


@given(counts)
def test_look_ups_become_rarer_and_never_end(count: int) -> None:
    assert ZERO < doubt_delay(count) <= doubt_delay(count + 1) <= timedelta(minutes=5)


@given(ages, st.lists(ages, max_size=2))
def test_a_wait_is_looked_up_at_instants_that_no_other_look_up_moves(age: timedelta, ends: list[timedelta]) -> None:
    planned = next_waiting_look_up(SINCE, SINCE + age, *(SINCE + end for end in ends))
    assert ZERO < planned - (SINCE + age) <= timedelta(hours=6)
    between = SINCE + age + (planned - SINCE - age) / 2
    assert next_waiting_look_up(SINCE, between, *(SINCE + end for end in ends)) == planned


@given(ages, st.timedeltas(timedelta(minutes=10), timedelta(days=40)))
def test_a_wait_is_looked_up_shortly_before_its_end_and_after_it(age: timedelta, life: timedelta) -> None:
    end, now = SINCE + life, SINCE + age
    planned = next_waiting_look_up(SINCE, now, end)
    for margin in (timedelta(minutes=-5), timedelta(minutes=1)):
        assert now >= end + margin or planned <= end + margin


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


@given(st.timedeltas(min_value=ZERO, max_value=timedelta(hours=2)), st.text(min_size=1))
def test_what_waits_for_a_provider_that_is_down_follows_within_a_minute(waited: timedelta, seed: str) -> None:
    assert timedelta(seconds=10) <= outage_delay(waited, seed) <= timedelta(minutes=1)
    assert outage_delay(waited, seed) == outage_delay(waited, seed)


def test_all_tries_together_ride_out_half_an_hour() -> None:
    total = sum((not_sent_delay(retries, "at") for retries in range(NOT_SENT_TRIES)), ZERO)
    assert timedelta(minutes=15) < total < timedelta(hours=2)
