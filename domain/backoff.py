"""When to look again: pure schedules for doubt and for calls that never reached the provider."""

from __future__ import annotations

import zlib
from datetime import timedelta

# Doubt is usually over as soon as the provider answers again, so the first looks come quickly; after
# that every five minutes, for as long as it takes: doubt never turns into "failed" by itself.
_DOUBT_SECONDS = (1, 3, 10, 30, 60)
_DOUBT_CEILING = timedelta(minutes=5)

# A payment that waits for a bank or for the customer is told by webhook; the look is for a lost webhook.
_WAITING = (timedelta(minutes=1), timedelta(minutes=10), timedelta(hours=1))
_WAITING_CEILING = timedelta(hours=6)

# 2, 4, 8 ... seconds up to five minutes: thirteen tries ride out an outage of about half an hour.
NOT_SENT_TRIES = 13
_NOT_SENT_CEILING = timedelta(minutes=5)


def doubt_delay(lookups: int) -> timedelta:
    """Return how long to wait before look number `checks` + 1 at an attempt in doubt.

    >>> [doubt_delay(n).total_seconds() for n in range(7)]
    [1.0, 3.0, 10.0, 30.0, 60.0, 300.0, 300.0]
    """
    return timedelta(seconds=_DOUBT_SECONDS[lookups]) if lookups < len(_DOUBT_SECONDS) else _DOUBT_CEILING


def waiting_delay(lookups: int) -> timedelta:
    """Return how long to wait before look number `checks` + 1 at a pending or unfinished attempt."""
    return _WAITING[lookups] if lookups < len(_WAITING) else _WAITING_CEILING


def not_sent_delay(retries: int, seed: str) -> timedelta:
    """Return the exponential, jittered pause after `retries` calls that were not executed.

    The jitter is a hash of `seed` and the count: computing it again does not move a due time.

    >>> not_sent_delay(0, "a") == not_sent_delay(0, "a")
    True
    >>> all(not_sent_delay(n, "a") <= timedelta(minutes=5) for n in range(40))
    True
    """
    ceiling = min(timedelta(seconds=2 ** min(retries + 1, 16)), _NOT_SENT_CEILING)
    share = zlib.crc32(f"{seed}:{retries}".encode()) / 2**32
    return ceiling * (0.5 + share / 2)
