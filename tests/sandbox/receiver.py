"""A webhook receiver for the sandbox's tests, and a wait for what arrives there."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from typing import Any

from stack import process
from tests.contract.served import ReceivedRequest, Reply
from tests.patience import patient

SECONDS = patient(10)


class Receiver:
    """An HTTP endpoint that keeps the webhooks of every provider and can fail a number of times."""

    def __init__(self) -> None:
        self.url = ""
        self.deliveries: list[ReceivedRequest] = []
        self.failures_left = 0
        self._lock = threading.Lock()

    def take(self, delivery: ReceivedRequest) -> Reply:
        """Keep a delivery and return the reply to it."""
        with self._lock:
            if self.failures_left:
                self.failures_left -= 1
                return 500, b""
            self.deliveries.append(delivery)
            return 200, b""

    @property
    def received(self) -> list[tuple[bytes, str]]:
        """Return the body and the signature of every webhook from Stripe."""
        return [(each.raw, each.headers["Stripe-Signature"]) for each in self.deliveries]

    def types(self) -> list[str]:
        """Return the types of Stripe's events in the order of their arrival."""
        return [json.loads(body)["type"] for body, _ in self.received]

    def next(self, is_meant: Callable[[Any], bool] = lambda body: True) -> ReceivedRequest:
        """Wait for the first delivery whose JSON body is meant, and return it."""

        def meant() -> list[ReceivedRequest]:
            return [each for each in list(self.deliveries) if is_meant(each.body)]

        wait_until(lambda: bool(meant()), "a webhook")
        return meant()[0]


def wait_until(condition: Callable[[], Any], what: str) -> None:
    """Poll the condition until it holds; fail with its name after the deadline."""
    assert process.wait_until(lambda: bool(condition()), SECONDS, 0.01), f"not within {SECONDS:g} seconds: {what}"
