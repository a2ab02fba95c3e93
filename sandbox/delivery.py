"""Owns the delivery of webhooks: a queue, a few threads, retries in real time, and the mischief that a test
orders.

Knows nothing of any provider: a message brings its own address, body and a function that signs it. Every try
is signed anew, as the providers do, so a late retry still carries a fresh timestamp.
"""

from __future__ import annotations

import heapq
import itertools
import random
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import urllib3

# Real providers retry for hours or days. A test wants the same behaviour in seconds, and an end.
FIRST_RETRY_SECONDS = 0.2
LONGEST_RETRY_SECONDS = 5.0
MOST_TRIES = 200
# Long enough for what comes after to be delivered before.
HELD_SECONDS = 3.0
# A receiver that takes longer than this is treated as one that failed.
RECEIVER_TIMEOUT_SECONDS = 10.0


@dataclass(frozen=True)
class Message:
    """One event on its way to one endpoint."""

    event: str
    endpoint: str
    url: str
    body: Callable[[], bytes]
    headers: Callable[[bytes], Mapping[str, str]]
    is_wanted: Callable[[], bool] = lambda: True
    delivered: Callable[[], None] = lambda: None


@dataclass
class Mischief:
    """How delivery is disturbed. `drop_rate` loses a message for good; `duplicate` is the number of copies
    sent of a message that is struck at `duplicate_rate`; at `hold_rate` one is overtaken by those after it."""

    paused: bool = False
    duplicate: int = 1
    duplicate_rate: float = 1.0
    hold_rate: float = 0.0
    reorder: bool = False
    delay_seconds: float = 0.0
    drop_rate: float = 0.0


class Delivery:
    """Sends messages until the receiver answers 2xx; counts each copy once.

    It has a lock of its own, so that a slow receiver never holds up the API.
    """

    def __init__(self, threads: int, dice: random.Random) -> None:
        self._threads = threads
        self._dice = dice
        self._changed = threading.Condition()
        self._queue: list[tuple[float, int, int, Message]] = []
        self._order = itertools.count(1)
        self._sending = 0
        self._is_started = False
        self._is_closed = False
        self._http = urllib3.PoolManager(num_pools=32, maxsize=threads, retries=False, timeout=RECEIVER_TIMEOUT_SECONDS)
        self.mischief = Mischief()
        self.delivered = 0
        self.dropped = 0

    @property
    def pending(self) -> int:
        """Return how many copies are queued or under way."""
        with self._changed:
            return len(self._queue) + self._sending

    def post(self, message: Message) -> None:
        """Queue a message; returns at once."""
        with self._changed:
            self._start()
            if self._dice.random() < self.mischief.drop_rate:
                self.dropped += 1
                return
            mischief = self.mischief
            is_held = self._dice.random() < mischief.hold_rate
            due_at = time.monotonic() + mischief.delay_seconds + (HELD_SECONDS if is_held else 0.0)
            copies = mischief.duplicate if self._dice.random() < mischief.duplicate_rate else 1
            for _ in range(copies):
                heapq.heappush(self._queue, (due_at, next(self._order), 0, message))
            self._changed.notify(copies)

    def disturb(self, mischief: Mischief) -> None:
        """Change the mischief; what waited during a pause goes out newest first if `reorder` is set."""
        with self._changed:
            is_resumed = self.mischief.paused and not mischief.paused
            self.mischief = mischief
            if is_resumed and mischief.reorder:
                now = time.monotonic()
                self._queue = [(now, -order, tries, message) for _, order, tries, message in self._queue]
                heapq.heapify(self._queue)
            self._changed.notify_all()

    def close(self) -> None:
        """End the threads once their current request is over."""
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()
        self._http.clear()

    def _start(self) -> None:
        if self._is_started:
            return
        self._is_started = True
        for number in range(self._threads):
            threading.Thread(target=self._run, name=f"sandbox-delivery-{number}", daemon=True).start()

    def _run(self) -> None:
        while (job := self._next()) is not None:
            tries, message = job
            is_received = self._send(message)
            self._finish(message, tries + 1, is_received)

    def _next(self) -> tuple[int, Message] | None:
        with self._changed:
            while not self._is_closed:
                wait = self._seconds_to_next()
                if wait == 0.0:
                    _, _, tries, message = heapq.heappop(self._queue)
                    self._sending += 1
                    return tries, message
                self._changed.wait(wait)
            return None

    def _seconds_to_next(self) -> float | None:
        if self.mischief.paused or not self._queue:
            return None
        return max(self._queue[0][0] - time.monotonic(), 0.0)

    def _send(self, message: Message) -> bool:
        body = message.body()
        try:
            answer = self._http.request(
                "POST", message.url, body=body, headers=dict(message.headers(body)), redirect=False
            )
        except urllib3.exceptions.HTTPError:
            return False
        return 200 <= answer.status < 300

    def _finish(self, message: Message, tries: int, is_received: bool) -> None:
        if is_received:
            message.delivered()
        is_over = is_received or tries >= MOST_TRIES or not message.is_wanted()
        with self._changed:
            self._sending -= 1
            if is_received:
                self.delivered += 1
            if not is_over:
                due_at = time.monotonic() + retry_delay_seconds(tries)
                heapq.heappush(self._queue, (due_at, next(self._order), tries, message))
                self._changed.notify()


def retry_delay_seconds(tries: int) -> float:
    """Return how long to wait after that many failed tries.

    >>> [retry_delay_seconds(tries) for tries in (1, 2, 3, 6, 200)]
    [0.2, 0.4, 0.8, 5.0, 5.0]
    """
    # The exponent is capped first: 2.0 ** 200 is harmless, but nothing is gained by computing it.
    return min(FIRST_RETRY_SECONDS * 2.0 ** min(tries - 1, 10), LONGEST_RETRY_SECONDS)
