"""Owns what all imitated providers share: one lock, one clock, one ledger, the faults, and the webhook
delivery."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

from flask import Flask

from sandbox import ledger
from sandbox.clock import Agenda, Clock
from sandbox.delivery import Delivery
from sandbox.faults import Faults
from sandbox.ledger import Ledger

Imitation = TypeVar("Imitation")


@dataclass(frozen=True)
class Settings:
    """How a sandbox is started; see `python -m sandbox --help`."""

    webhook_url: str | None = None
    webhook_secret: str | None = None
    latency_seconds: float = 0.0
    async_settle_seconds: float | None = None
    search_lag_seconds: float = 0.0
    seed: int | None = None
    ledger_file: str | None = None
    delivery_threads: int = 8

    def webhook_url_of(self, provider: str) -> str | None:
        """Return where a provider's webhooks go: beside those of Stripe, whose address `webhook_url` is."""
        return f"{self.webhook_url.rsplit('/', 1)[0]}/{provider}" if self.webhook_url else None


class Provider(Protocol):
    """One imitated provider, as the shared parts see it."""

    def register(self, app: Flask) -> None:
        """Add the provider's routes, and its own control routes below /_sandbox."""

    def accounts(self) -> Iterable[ledger.Account]:
        """Yield every payment as the provider shows it now."""

    def endpoints(self) -> Iterable[dict[str, Any]]:
        """Yield the webhook endpoints, without their secrets."""


class Sandbox:
    """The whole state of one running sandbox.

    `lock` guards everything but the clock's reading; it is never held while sleeping or while talking to a
    network.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.lock = threading.RLock()
        self.clock = Clock()
        self.agenda = Agenda(self.clock, self.lock)
        dice = random.Random(settings.seed)
        file = settings.ledger_file
        copy = Path(file).open("a", encoding="utf-8") if file else None  # noqa: SIM115 (closed in close)
        self.ledger = Ledger(copy)
        self.faults = Faults(dice)
        self.delivery = Delivery(settings.delivery_threads, dice)
        self.providers: list[Provider] = []

    def imitation(self, kind: type[Imitation]) -> Imitation:
        """Return the provider of that class."""
        return next(provider for provider in self.providers if isinstance(provider, kind))

    def advance(self, seconds: float) -> None:
        """Move the clock forward and let everything that became due happen before returning."""
        with self.lock:
            self.clock.advance(seconds)
            self.agenda.run_due()

    def close(self) -> None:
        """End the threads and close the ledger's file."""
        self.agenda.close()
        self.delivery.close()
        if self.ledger.copy is not None:
            self.ledger.copy.close()
