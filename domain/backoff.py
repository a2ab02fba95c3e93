"""Schedules for looking up and sending again: pure functions of how often it was tried, or how long it waits."""

from __future__ import annotations

import zlib
from datetime import datetime, timedelta

# Doubt usually ends as soon as the provider responds again, so the first look-ups come quickly. After them every
# five minutes without an end: doubt never turns into "failed" by itself.
_DOUBT_SECONDS = (1, 3, 10, 30, 60)
_DOUBT_CEILING = timedelta(minutes=5)

# So many look-ups of an attempt in doubt take longer than any provider call.
LOOKUPS_THAT_OUTLAST_A_CALL = 6

# A webhook tells when a bank or a customer has decided; the look-up only makes up for a lost webhook. The ages of a
# wait at which it is looked up; then at every multiple of the last number.
_WAITING = (timedelta(minutes=1), timedelta(minutes=10), timedelta(hours=1))
_WAITING_EVERY = timedelta(hours=6)
# Before the end: time for a charge that fails at first and is sent again. After it: clocks differ by seconds.
_BEFORE_END = timedelta(minutes=5)
_AFTER_END = timedelta(minutes=1)
# A visit brings a look-up forward at once, and the next visit only after this time: anybody may visit.
VISIT_PAUSE = timedelta(seconds=5)

# 2, 4, 8 ... seconds up to five minutes: thirteen tries outlast an outage of about half an hour.
NOT_SENT_TRIES = 13
_NOT_SENT_CEILING = timedelta(minutes=5)

# An open breaker lets a probe pass every ten seconds; when it closes, what has waited follows within a minute.
_IN_OUTAGE = (timedelta(seconds=10), timedelta(minutes=1))
# So long a charge waits for a provider that is down. A customer does not expect to be charged later than that.
LONGEST_OUTAGE = timedelta(hours=1)


def doubt_delay(lookups: int) -> timedelta:
    """Return how long to wait before the next look-up of an attempt in doubt, after `lookups` of them.

    >>> [doubt_delay(n).total_seconds() for n in range(7)]
    [1.0, 3.0, 10.0, 30.0, 60.0, 300.0, 300.0]
    """
    return timedelta(seconds=_DOUBT_SECONDS[lookups]) if lookups < len(_DOUBT_SECONDS) else _DOUBT_CEILING


def next_waiting_look_up(since: datetime, now: datetime, *ends: datetime | None) -> datetime:
    """Return when an attempt that waits for its bank or customer since then is looked up next.

    The plan is one of instants and counts nothing, so that a look-up that is brought forward takes the place of none.
    `ends`: after these nothing can come of the wait, so that a look-up comes shortly before each and one after.

    >>> noon = datetime(2026, 11, 28, 12)
    >>> [f"{next_waiting_look_up(noon, noon + timedelta(minutes=age)):%d. %H:%M}" for age in (0, 1, 30, 60, 360)]
    ['28. 12:01', '28. 12:10', '28. 13:00', '28. 18:00', '29. 00:00']
    >>> three = noon + timedelta(hours=3)
    >>> [f"{next_waiting_look_up(noon, noon + timedelta(minutes=age), three):%H:%M}" for age in (60, 175, 181)]
    ['14:55', '15:01', '18:00']
    """
    age = now - since
    step = next((step for step in _WAITING if step > age), (age // _WAITING_EVERY + 1) * _WAITING_EVERY)
    around_ends = [end + margin for end in ends if end is not None for margin in (-_BEFORE_END, _AFTER_END)]
    return min(instant for instant in (since + step, *around_ends) if instant > now)


def after_visit(now: datetime, last_visit: datetime | None) -> datetime:
    """Return when an attempt is looked up because of a visit: at once, or shortly after the look-up of the last one.

    >>> noon = datetime(2026, 11, 28, 12)
    >>> after_visit(noon, None) == after_visit(noon, noon - timedelta(hours=1)) == noon
    True
    >>> str(after_visit(noon, noon - timedelta(seconds=2)) - noon)
    '0:00:03'
    """
    return now if last_visit is None else max(now, last_visit + VISIT_PAUSE)


def failure_delay(failures: int) -> timedelta:
    """Return how long a row rests whose task has failed so often by a bug of ours.

    >>> [failure_delay(n).total_seconds() for n in (1, 2, 3, 20)]
    [2.0, 4.0, 8.0, 300.0]
    """
    return min(timedelta(seconds=2 ** min(failures, 16)), _DOUBT_CEILING)


def not_sent_delay(retries: int, seed: str) -> timedelta:
    """Return the exponential pause with jitter after `retries` calls that were not executed.

    The jitter is a hash of `seed` and the count, so that computing it again does not move a due time.

    >>> not_sent_delay(0, "a") == not_sent_delay(0, "a")
    True
    >>> all(not_sent_delay(n, "a") <= timedelta(minutes=5) for n in range(40))
    True
    """
    ceiling = min(timedelta(seconds=2 ** min(retries + 1, 16)), _NOT_SENT_CEILING)
    return ceiling * (0.5 + _jitter(seed, retries) / 2)


def outage_delay(waited: timedelta, seed: str) -> timedelta:
    """Return how long an attempt rests that has `waited` so long for a provider that is down: a quarter of that, from
    ten seconds to a minute, with jitter from a hash.

    >>> [outage_delay(timedelta(minutes=age), "a").seconds // 10 for age in (0, 2, 30)]
    [1, 4, 6]
    """
    shortest, longest = _IN_OUTAGE
    return min(max(waited / 4, shortest) * (1 + _jitter(seed, waited.total_seconds()) / 2), longest)


def _jitter(seed: str, step: float) -> float:
    """Return a share from 0 to 1 that is always the same for one step of one seed."""
    return zlib.crc32(f"{seed}:{step}".encode()) / 2**32
