"""The delivery of webhooks: a queue, a few threads, retries in real time, and the faults that a test injects.

A message brings its own URL, its body and a function that signs it, so this module needs no provider's rules. Every try
signs the message again, as the providers do: a late retry still carries a fresh timestamp.
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

# Real providers retry for hours or days. Tests need the same behaviour within seconds, and an end to it.
FIRST_RETRY_SECONDS = 0.2
LONGEST_RETRY_SECONDS = 5.0
MOST_TRIES = 200
# Long enough for later messages to overtake a held one.
HELD_SECONDS = 3.0
# A try that takes longer counts as failed.
RECEIVER_TIMEOUT_SECONDS = 10.0


@dataclass(frozen=True)
class Message:
    """One event for one endpoint.

    `headers` signs the body. `is_wanted` decides before each retry whether to go on; `delivered` is called after a
    2xx.
    """

    event: str
    endpoint: str
    url: str
    body: Callable[[], bytes]
    headers: Callable[[bytes], Mapping[str, str]]
    is_wanted: Callable[[], bool] = lambda: True
    delivered: Callable[[], None] = lambda: None


@dataclass
class DeliveryFaults:
    """The injected faults of delivery.

    `paused` keeps messages in the queue. `duplicate` is the number of copies of a message, for the share
    `duplicate_rate` of messages. The share `hold_rate` is overtaken by later messages. `reorder` sends the messages of
    a pause newest first. The share `drop_rate` is never sent.
    """

    paused: bool = False
    duplicate: int = 1
    duplicate_rate: float = 1.0
    hold_rate: float = 0.0
    reorder: bool = False
    delay_seconds: float = 0.0
    drop_rate: float = 0.0


class Delivery:
    """Sends each message until the receiver responds with 2xx. `delivered` and `dropped` count each copy once.

    A lock of its own keeps a slow receiver from blocking the API.
    """

    def __init__(self, threads: int, rng: random.Random) -> None:
        self._threads = threads
        self._rng = rng
        self._changed = threading.Condition()
        self._queue: list[tuple[float, int, int, Message]] = []
        self._sequence = itertools.count(1)
        self._sending = 0
        self._is_started = False
        self._is_closed = False
        self._http = urllib3.PoolManager(num_pools=32, maxsize=threads, retries=False, timeout=RECEIVER_TIMEOUT_SECONDS)
        self.faults = DeliveryFaults()
        self.delivered = 0
        self.dropped = 0

    @property
    def pending(self) -> int:
        """Return how many copies are queued or being sent."""
        with self._changed:
            return len(self._queue) + self._sending

    def post(self, message: Message) -> None:
        """Queue a message without waiting for its delivery."""
        with self._changed:
            self._start()
            if self._rng.random() < self.faults.drop_rate:
                self.dropped += 1
                return
            faults = self.faults
            is_held = self._rng.random() < faults.hold_rate
            due_at = time.monotonic() + faults.delay_seconds + (HELD_SECONDS if is_held else 0.0)
            copies = faults.duplicate if self._rng.random() < faults.duplicate_rate else 1
            for _ in range(copies):
                heapq.heappush(self._queue, (due_at, next(self._sequence), 0, message))
            self._changed.notify(copies)

    def set_faults(self, faults: DeliveryFaults) -> None:
        """Change the faults. With `reorder`, the messages of a pause that ends here go out newest first."""
        with self._changed:
            is_resumed = self.faults.paused and not faults.paused
            self.faults = faults
            if is_resumed and faults.reorder:
                now = time.monotonic()
                self._queue = [(now, -sequence, tries, message) for _, sequence, tries, message in self._queue]
                heapq.heapify(self._queue)
            self._changed.notify_all()

    def close(self) -> None:
        """End each thread after its current request."""
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
        if self.faults.paused or not self._queue:
            return None
        return max(self._queue[0][0] - time.monotonic(), 0.0)

    def _send(self, message: Message) -> bool:
        body = message.body()
        try:
            response = self._http.request(
                "POST", message.url, body=body, headers=dict(message.headers(body)), redirect=False
            )
        except urllib3.exceptions.HTTPError:
            return False
        return 200 <= response.status < 300

    def _finish(self, message: Message, tries: int, is_received: bool) -> None:
        # Outside the lock: the callback takes the state's lock, whose holders queue messages here.
        if is_received:
            message.delivered()
        is_over = is_received or tries >= MOST_TRIES or not message.is_wanted()
        with self._changed:
            self._sending -= 1
            if is_received:
                self.delivered += 1
            if not is_over:
                due_at = time.monotonic() + retry_delay_seconds(tries)
                heapq.heappush(self._queue, (due_at, next(self._sequence), tries, message))
                self._changed.notify()


def retry_delay_seconds(tries: int) -> float:
    """Return the delay before the next try, after this many failed tries.

    >>> [retry_delay_seconds(tries) for tries in (1, 2, 3, 6, 200)]
    [0.2, 0.4, 0.8, 5.0, 5.0]
    """
    # The exponent is capped too, so that no number of tries can overflow the float.
    return min(FIRST_RETRY_SECONDS * 2.0 ** min(tries - 1, 10), LONGEST_RETRY_SECONDS)
