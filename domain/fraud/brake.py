"""The global brake: while far more tries of an application are declined than usual, strangers are held up.

It is for attacks that share nothing: a card, an address and a device of its own for each try. Known customers pass."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from domain.fraud.windows import BucketSize, bucket_of

RECENT = timedelta(minutes=15)
USUAL = timedelta(days=7)
# In percent. A shop without a history is taken for one of which so many tries are declined; and where most are, more
# than so many is an attack whatever is usual.
_LEAST_USUAL_SHARE, _MOST_SHARE = 10, 80
BRAKED = "fraud_brake"


class BrakeAction(StrEnum):
    """What the brake does to strangers: they authenticate, or are refused."""

    CHALLENGE = "challenge"
    REFUSE = "refuse"


@dataclass(frozen=True, slots=True)
class BrakePolicy:
    """`least_tries`: fewer within fifteen minutes say nothing. `times_usual`: the brake is on from so many times the
    usual share of declines on; 0: never."""

    least_tries: int = 20
    times_usual: int = 3
    action: BrakeAction = BrakeAction.CHALLENGE


@dataclass(frozen=True, slots=True)
class Traffic:
    """Tries of an application, and how many of them were declined."""

    tries: int = 0
    declines: int = 0


def is_under_attack(recent: Traffic, usual: Traffic, policy: BrakePolicy) -> bool:
    """Tell whether the brake is to be on, by the last fifteen minutes and by the seven days before today.

    >>> policy, usual = BrakePolicy(), Traffic(1000, 150)
    >>> [is_under_attack(Traffic(100, declined), usual, policy) for declined in (45, 46)]
    [False, True]
    >>> is_under_attack(Traffic(20, 20), usual, policy), is_under_attack(Traffic(21, 7), Traffic(), policy)
    (False, True)
    """
    if not policy.times_usual or recent.tries <= policy.least_tries:
        return False
    tries = max(usual.tries, 1)
    percents = min(policy.times_usual * max(usual.declines * 100, _LEAST_USUAL_SHARE * tries), _MOST_SHARE * tries)
    return recent.declines * 100 * tries > percents * recent.tries


def first_buckets(now: datetime) -> tuple[int, int, int]:
    """Return the first bucket of five minutes of the recent tries, and the first day of the usual ones and the first
    after them."""
    today = bucket_of(now, BucketSize.DAY)
    return bucket_of(now - RECENT), today - USUAL.days, today
