"""Windows: what was counted of an entity in the time just before a payment. One implementation for payments as they
come and for those of a file: counts are kept in buckets, and a window is a number of whole buckets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import IntEnum

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class BucketSize(IntEnum):
    """The length of a bucket in seconds."""

    FIVE_MINUTES = 300
    DAY = 86_400


class Window(IntEnum):
    """The length of a window in seconds. It begins with the bucket in which its first second lies, and ends just before
    the payment, so that it is up to one bucket longer than its name."""

    MINUTES = 600
    HOUR = 3_600
    DAY = 86_400
    WEEK = 7 * 86_400
    MONTH = 30 * 86_400

    @property
    def bucket_size(self) -> BucketSize:
        """The buckets that it is made of."""
        return BucketSize.FIVE_MINUTES if self <= Window.DAY else BucketSize.DAY

    def first_bucket(self, now: datetime) -> int:
        """Return the number of its first bucket.

        >>> two_o_clock = datetime(1970, 1, 1, 2, tzinfo=UTC)
        >>> Window.HOUR.first_bucket(two_o_clock), bucket_of(two_o_clock)
        (12, 24)
        """
        return bucket_of(now - timedelta(seconds=int(self)), self.bucket_size)


# How long buckets of each size are read, and a day more for clocks that disagree.
KEPT_FOR = {
    BucketSize.FIVE_MINUTES: timedelta(seconds=int(Window.DAY)) + timedelta(days=1),
    BucketSize.DAY: timedelta(seconds=int(Window.MONTH)) + timedelta(days=2),
}


def bucket_of(at: datetime, size: BucketSize = BucketSize.FIVE_MINUTES) -> int:
    """Return the number of the bucket in which an instant lies, counted from 1970."""
    return (at - EPOCH) // timedelta(seconds=int(size))


@dataclass(frozen=True, slots=True)
class Counts:
    """What was counted of one entity within one window. `tries`: calls that an issuer could see, whatever came of them.
    `amount`: the sum of their amounts, in hundredths of the base currency. `abandoned`: challenges that the customer
    left. `frauds`: payments of which it became known in the window that they were fraud; whenever they were made."""

    tries: int = 0
    declines: int = 0
    abandoned: int = 0
    amount: int = 0
    frauds: int = 0

    def __add__(self, other: Counts) -> Counts:
        return Counts(
            self.tries + other.tries,
            self.declines + other.declines,
            self.abandoned + other.abandoned,
            self.amount + other.amount,
            self.frauds + other.frauds,
        )

    @property
    def successes(self) -> int:
        """Tries that neither failed nor were left."""
        return max(0, self.tries - self.declines - self.abandoned)


NOTHING = Counts()


@dataclass(frozen=True, slots=True)
class History:
    """What is known of one entity before a payment. `counts`: by window; `linked`: how many entities of another kind
    were tried together with it, by kind and window. `first_at`, `last_at`: its first and its newest try before this
    one; None for an entity that was never seen. `last_fraud_at`: when a fraud of it last became known. `place`: where a
    user last was, as `domain.fraud.geography` stores it, and `at`, in seconds since 1970."""

    counts: Mapping[Window, Counts] = field(default_factory=dict)
    linked: Mapping[tuple[str, Window], int] = field(default_factory=dict)
    first_at: datetime | None = None
    last_at: datetime | None = None
    last_fraud_at: datetime | None = None
    place: Mapping[str, int] | None = None

    def within(self, window: Window) -> Counts:
        """Return the counts of a window."""
        return self.counts.get(window, NOTHING)


NEVER_SEEN = History()
# What no rule reads is not counted: of these kinds only buckets of one size are kept.
_ONE_SIZE = {
    "network": BucketSize.FIVE_MINUTES,
    "bin": BucketSize.FIVE_MINUTES,
    "email_pattern": BucketSize.FIVE_MINUTES,
    "email": BucketSize.DAY,
    "address": BucketSize.DAY,
}


def sizes_of(kind: str) -> tuple[BucketSize, ...]:
    """Return in which buckets an entity of a kind is counted."""
    return (_ONE_SIZE[kind],) if kind in _ONE_SIZE else tuple(BucketSize)


# Shared by thousands: a day of them would be read at each score, and no rule asks for more than an hour.
OF_AN_HOUR = tuple(kind for kind, size in _ONE_SIZE.items() if size is BucketSize.FIVE_MINUTES)


def windows_of(kind: str, size: BucketSize) -> tuple[Window, ...]:
    """Return in which windows of a size an entity of a kind is read, the shortest first.

    >>> [window.name for window in windows_of("bin", BucketSize.FIVE_MINUTES)]
    ['MINUTES', 'HOUR']
    """
    longest = Window.HOUR if kind in OF_AN_HOUR else Window.MONTH
    return tuple(sorted(window for window in Window if window.bucket_size is size and window <= longest))


# Which entities are counted together: (of this kind, how many of that kind, within).
LINKS: tuple[tuple[str, str, Window], ...] = (
    ("device", "card", Window.DAY),
    ("device", "user", Window.DAY),
    ("ip", "card", Window.HOUR),
    ("ip", "user", Window.DAY),
    ("email_pattern", "card", Window.DAY),
    ("email_pattern", "email", Window.DAY),
    ("card", "user", Window.DAY),
    ("user", "card", Window.DAY),
)
# More than this is as bad, and would cost more to count.
MOST_LINKED = 50
