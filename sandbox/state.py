"""The state that all providers share: lock, clock, scheduler, ledger, faults and webhook delivery."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

from flask import Flask

from sandbox import ledger
from sandbox.clock import Clock, Scheduler
from sandbox.delivery import Delivery
from sandbox.faults import Faults
from sandbox.ledger import Ledger
from sandbox.mail_server import Mailbox

ProviderType = TypeVar("ProviderType")


@dataclass(frozen=True)
class Settings:
    """The settings of a sandbox; see `python -m sandbox --help`."""

    webhook_url: str | None = None
    webhook_secret: str | None = None
    latency_seconds: float = 0.0
    async_settle_seconds: float | None = None
    search_lag_seconds: float = 0.0
    seed: int | None = None
    ledger_file: str | None = None
    delivery_threads: int = 8
    smtp_port: int | None = None

    def webhook_url_of(self, provider: str) -> str | None:
        """Return the webhook URL of a provider: `webhook_url`, which is Stripe's, with another last segment."""
        return f"{self.webhook_url.rsplit('/', 1)[0]}/{provider}" if self.webhook_url else None


class Provider(Protocol):
    """One simulated provider, as the shared parts see it."""

    provider: str

    @property
    def prefix(self) -> str:
        """Return the path below which the provider's API lies; empty for the root."""

    def operation_names(self) -> Iterable[str]:
        """Yield the operations that a fault can hit."""

    def register(self, app: Flask) -> None:
        """Add the provider's routes, and its own control routes below /_sandbox."""

    def accounts(self) -> Iterable[ledger.Account]:
        """Yield every payment with its present status."""

    def endpoints(self) -> Iterable[dict[str, Any]]:
        """Yield the webhook endpoints, without their secrets."""

    def dashboard(self) -> Mapping[str, Callable[[str, int | None], str | None]]:
        """Return what a person does on the provider's website; see `sandbox.dashboard`."""


class Sandbox:
    """The whole state of one running sandbox.

    `lock` guards everything but the reading of the clock. It is never held during a sleep or a network call.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.lock = threading.RLock()
        self.clock = Clock()
        self.scheduler = Scheduler(self.clock, self.lock)
        rng = random.Random(settings.seed)
        file = settings.ledger_file
        copy = Path(file).open("a", encoding="utf-8") if file else None  # noqa: SIM115 (closed in close)
        self.ledger = Ledger(copy)
        self.faults = Faults(rng)
        self.delivery = Delivery(settings.delivery_threads, rng)
        self.providers: list[Provider] = []
        self.mailbox = Mailbox()

    def add(self, provider: Provider) -> None:
        """Add a provider and make its operations known to the faults."""
        self.providers.append(provider)
        self.faults.register_operations(provider.provider, provider.operation_names())

    def provider_of(self, kind: type[ProviderType]) -> ProviderType:
        """Return the provider of that class."""
        return next(provider for provider in self.providers if isinstance(provider, kind))

    def advance(self, seconds: float) -> None:
        """Move the clock forward and run every action that falls due, before returning."""
        with self.lock:
            self.clock.advance(seconds)
            self.scheduler.run_due()

    def close(self) -> None:
        """End the threads and close the ledger's file."""
        self.scheduler.close()
        self.delivery.close()
        if self.ledger.copy is not None:
            self.ledger.copy.close()
