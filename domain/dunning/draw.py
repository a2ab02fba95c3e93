"""A stable draw: chance without dice, so that a decision that is made again is the same."""

from __future__ import annotations

import hashlib


def draw(*seeds: str) -> float:
    """Return a number from 0 to below 1 that depends on the seeds only, evenly spread over different seeds.

    Not CRC-32, by which routing draws its shares: two draws of one id by it are not independent of each other.

    >>> draw("case_1", "1") == draw("case_1", "1") != draw("case_1", "2")
    True
    """
    digest = hashlib.sha256("\0".join(seeds).encode()).digest()
    # Six bytes: a float has all of their values, so that the result stays below 1.
    return int.from_bytes(digest[:6], "big") / 2**48
