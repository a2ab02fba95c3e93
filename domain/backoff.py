"""Schedules for looking up and sending again: pure functions of how often it was tried."""

from __future__ import annotations

import zlib
from datetime import timedelta

# Doubt usually ends as soon as the provider responds again, so the first look-ups come quickly. After them every
# five minutes without an end: doubt never turns into "failed" by itself.
_DOUBT_SECONDS = (1, 3, 10, 30, 60)
_DOUBT_CEILING = timedelta(minutes=5)

# So many look-ups of an attempt in doubt take longer than any provider call.
LOOKUPS_THAT_OUTLAST_A_CALL = 6

# A webhook tells when a bank or a customer has decided; the look-up only makes up for a lost webhook.
_WAITING = (timedelta(minutes=1), timedelta(minutes=10), timedelta(hours=1))
_WAITING_CEILING = timedelta(hours=6)

# 2, 4, 8 ... seconds up to five minutes: thirteen tries outlast an outage of about half an hour.
NOT_SENT_TRIES = 13
_NOT_SENT_CEILING = timedelta(minutes=5)


def doubt_delay(lookups: int) -> timedelta:
    """Return how long to wait before the next look-up of an attempt in doubt, after `lookups` of them.

    >>> [doubt_delay(n).total_seconds() for n in range(7)]
    [1.0, 3.0, 10.0, 30.0, 60.0, 300.0, 300.0]
    """
    return timedelta(seconds=_DOUBT_SECONDS[lookups]) if lookups < len(_DOUBT_SECONDS) else _DOUBT_CEILING


def waiting_delay(lookups: int) -> timedelta:
    """Return how long to wait before the next look-up of an attempt that waits for its bank or customer.

    >>> [str(waiting_delay(n)) for n in range(4)]
    ['0:01:00', '0:10:00', '1:00:00', '6:00:00']
    """
    return _WAITING[lookups] if lookups < len(_WAITING) else _WAITING_CEILING


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
    share = zlib.crc32(f"{seed}:{retries}".encode()) / 2**32
    return ceiling * (0.5 + share / 2)
