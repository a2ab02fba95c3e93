"""Windows over a stream of tries that is kept in memory: the same buckets as those of stored tries, for files."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from itertools import islice

from domain.fraud.windows import (
    EPOCH,
    LINKS,
    MOST_LINKED,
    NEVER_SEEN,
    NOTHING,
    BucketSize,
    Counts,
    History,
    Window,
    sizes_of,
    windows_of,
)

_LINKS_OF: dict[str, tuple[tuple[str, Window], ...]] = {
    kind: tuple((other, window) for of, other, window in LINKS if of == kind) for kind, _, _ in LINKS
}
# Tries, declines, abandoned challenges, amount, frauds.
_Total = tuple[int, int, int, int, int]
_Found = dict[Window, Counts]
_ONE_FRAUD: _Total = (0, 0, 0, 0, 1)
_NO_COUNTS: _Found = dict.fromkeys(Window, NOTHING)
# So many buckets that no window reads any more are dropped at once.
_MOST_EXPIRED = 64


@dataclass(frozen=True, slots=True)
class Try:
    """What is counted of a try. `amount`: in hundredths of the base currency, 0 where it has no rate."""

    amount: int
    is_declined: bool = False
    is_abandoned: bool = False


class _Buckets:
    """The buckets of one size in order of time. Each has what was counted before it, so that the counts of a window are
    the difference of two totals."""

    __slots__ = ("_before", "_heads", "_numbers", "size")

    def __init__(self, size: BucketSize) -> None:
        self.size = int(size)
        self._numbers: list[int] = []
        self._before: list[_Total] = []
        # Of each window: the place of its first bucket.
        self._heads = [0] * len(Window)

    def begin(self, second: int, total: _Total) -> None:
        """Begin the bucket of this second, if it is another one than the last."""
        number = second // self.size
        if not self._numbers or self._numbers[-1] != number:
            self._numbers.append(number)
            self._before.append(total)

    def take_back(self, second: int, counted: _Total) -> None:
        """Take something out of the bucket of an earlier second."""
        for place in range(bisect_right(self._numbers, second // self.size), len(self._numbers)):
            self._before[place] = _less(self._before[place], counted)

    def read(self, second: int, total: _Total, windows: tuple[tuple[Window, int], ...], found: _Found) -> None:
        """Add the counts of each window to what is found. The longest window comes last."""
        numbers, heads, end, head = self._numbers, self._heads, len(self._numbers), 0
        for place, (window, seconds) in enumerate(windows):
            head, first = heads[place], (second - seconds) // self.size
            while head < end and numbers[head] < first:
                head += 1
            heads[place] = head
            found[window] = Counts(*_less(total, self._before[head])) if head < end else NOTHING
        if head > _MOST_EXPIRED:
            del numbers[:head], self._before[:head]
            self._heads = [each - head for each in heads]


def _less(one: _Total, other: _Total) -> _Total:
    return one[0] - other[0], one[1] - other[1], one[2] - other[2], one[3] - other[3], one[4] - other[4]


class _Entity:
    """What was counted of one entity."""

    __slots__ = ("_buckets", "_linked", "_total", "first_at", "last_at", "last_fraud_at")

    def __init__(self, kind: str) -> None:
        self._total: _Total = (0, 0, 0, 0, 0)
        self._buckets = [(_Buckets(size), _seconds_of(kind, size)) for size in sizes_of(kind)]
        # By kind and window: the bucket of the newest try together with each other entity, the oldest first.
        self._linked: dict[tuple[str, Window], dict[str, int]] = {}
        self.first_at: datetime | None = None
        self.last_at: datetime | None = None
        self.last_fraud_at: datetime | None = None

    def add(self, second: int, counted: _Total) -> None:
        total = self._total
        for buckets, _ in self._buckets:
            buckets.begin(second, total)
        self._total = (
            total[0] + counted[0],
            total[1] + counted[1],
            total[2] + counted[2],
            total[3] + counted[3],
            total[4] + counted[4],
        )

    def take_back(self, second: int, counted: _Total) -> None:
        for buckets, _ in self._buckets:
            buckets.take_back(second, counted)
        self._total = _less(self._total, counted)

    def link(self, other: str, window: Window, value: str, second: int) -> None:
        together = self._linked.setdefault((other, window), {})
        together.pop(value, None)
        together[value] = second // int(window.bucket_size)

    def read(self, second: int) -> History:
        found = _NO_COUNTS.copy()
        for buckets, windows in self._buckets:
            buckets.read(second, self._total, windows, found)
        linked = {key: many for key, each in self._linked.items() if (many := _newer(each, key[1], second))}
        return History(found, linked, self.first_at, self.last_at, self.last_fraud_at)


@cache
def _seconds_of(kind: str, size: BucketSize) -> tuple[tuple[Window, int], ...]:
    return tuple((window, int(window)) for window in windows_of(kind, size))


def _newer(together: dict[str, int], window: Window, second: int) -> int:
    """Return how many were seen within the window, and forget the others."""
    first = (second - int(window)) // int(window.bucket_size)
    over = 0
    for bucket in together.values():
        if bucket >= first:
            break
        over += 1
    for value in list(islice(together, over)):
        del together[value]
    return min(len(together), MOST_LINKED)


class HistoryInMemory:
    """What was counted so far, by entity. Tries and labels are told in order of time."""

    def __init__(self) -> None:
        self._entities: dict[tuple[str, str], _Entity] = {}

    def _entity(self, kind: str, value: str) -> _Entity:
        found = self._entities.get((kind, value))
        if found is None:
            found = self._entities[kind, value] = _Entity(kind)
        return found

    def before(self, entities: Mapping[str, str], now: datetime) -> dict[str, History]:
        """Return the history of each entity, by kind. What is told later at the same instant is not in it."""
        second, known = _second(now), self._entities
        return {
            kind: known[kind, value].read(second) if (kind, value) in known else NEVER_SEEN
            for kind, value in entities.items()
        }

    def count(self, entities: Mapping[str, str], now: datetime, tried: Try) -> None:
        """Count a try of all of these entities."""
        second = _second(now)
        counted = (1, int(tried.is_declined), int(tried.is_abandoned), tried.amount, 0)
        for kind, value in entities.items():
            entity = self._entity(kind, value)
            entity.add(second, counted)
            entity.last_at = now
            if entity.first_at is None:
                entity.first_at = now
            for other, window in _LINKS_OF.get(kind, ()):
                if other in entities:
                    entity.link(other, window, entities[other], second)

    def count_result(self, entities: Mapping[str, str], now: datetime, *, is_declined: bool) -> None:
        """Count that a try that was counted before was declined, or that its challenge was left."""
        second = _second(now)
        for kind, value in entities.items():
            self._entity(kind, value).add(second, (0, int(is_declined), int(not is_declined), 0, 0))

    def take_back(self, entities: Mapping[str, str], tried_at: datetime, tried: Try) -> None:
        """Count a try no more: it was proven that nothing was sent."""
        second = _second(tried_at)
        for kind, value in entities.items():
            self._entity(kind, value).take_back(second, (1, 0, 0, tried.amount, 0))

    def label(self, entities: Mapping[str, str], known_at: datetime) -> None:
        """Count that a payment of these entities has become known as fraud."""
        second = _second(known_at)
        for kind, value in entities.items():
            entity = self._entity(kind, value)
            entity.add(second, _ONE_FRAUD)
            entity.last_fraud_at = known_at


def _second(at: datetime) -> int:
    since = at - EPOCH
    return since.days * 86_400 + since.seconds
