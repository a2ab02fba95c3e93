"""Proves and compares the books of many payments: seconds, statements, and calls to the provider.

The rows are those of `benchmarks/stored_payments.py`. They spread over the ninety days of the comparison."""

from __future__ import annotations

import resource
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import requests
from sqlalchemy import Engine, event

from benchmarks.stored_payments import store_payments
from domain.comparison import Window
from domain.decision import Policy
from domain.routing import Router
from gateways.stripe.gateway import StripeGateway
from models.clock import Clock
from models.comparisons import find_position
from models.event_lists import events_position
from models.movements import count, differences
from models.session import make_engine, transact
from models.tables import webhook_events
from runtime import Runtime
from runtime.leases import LeaseKeeper
from tasks.at_rest import compare_since
from tasks.compare import run_round
from tasks.event_lists import fetch_events

# So many events of the provider's list are missing.
MISSING = 10
# A round of beat.
ROUND = timedelta(minutes=10)
HEAD = ["| | seconds | statements | provider calls | memory MB |", "|---|---:|---:|---:|---:|"]


def measure(database_url: str, provider_url: str, payments: int) -> list[str]:
    """Return the lines of the table."""
    engine = make_engine(database_url)
    runtime = _runtime(engine, provider_url)
    now = runtime.clock.now()
    begun = time.monotonic()
    transact(engine, store_payments, payments, now)
    lines = [f"{payments:,} payments were stored in {time.monotonic() - begun:.0f} s", "", *HEAD]
    meter = _Meter(engine)
    lines.append(meter.line("`payments ledger verify`", lambda: _verify(runtime)))
    transact(engine, _stand, now - ROUND)
    lines.append(meter.line("a round of `payments.compare`", lambda: run_round(runtime)))
    day = now - timedelta(days=1)
    lines.append(meter.line("`payments compare --since` yesterday", lambda: _compare_since(runtime, day)))
    engine.dispose()
    return lines


def _runtime(engine: Engine, provider_url: str) -> Runtime:
    clock = Clock(engine, timedelta)
    gateways: dict[str, Any] = {"stripe": StripeGateway("sk_test_sandbox", base=provider_url)}
    return Runtime(
        engine=engine,
        clock=clock,
        gateways=gateways,
        router=Router(gateways),
        policy=Policy(),
        leases=LeaseKeeper(engine, clock),
        publish=lambda messages: None,
    )


def _verify(runtime: Runtime) -> None:
    runtime.read(count)
    if found := runtime.read(lambda connection: list(differences(connection))):
        raise AssertionError(f"bug: the benchmark's rows are no books: {found[0]}")


def _compare_since(runtime: Runtime, since: datetime) -> None:
    gateway: Any = runtime.gateways["stripe"]
    fetch_events(runtime, gateway, Window(since, runtime.clock.now()))
    counts = compare_since(runtime, gateway, since)
    if counts.found or counts.failed:
        raise AssertionError(f"bug: the provider of the benchmark shows other books: {counts}")


def _stand(connection: Any, at: datetime) -> None:
    """Let the comparison stand where the last round has left it."""
    find_position(connection, "stripe", at)
    events_position(connection, "stripe", at, StripeGateway.events_late)
    missing = webhook_events.c.event_id.in_([f"evt_{number}" for number in range(MISSING)])
    connection.execute(webhook_events.delete().where(missing))


# --- the meter --------------------------------------------------------------------------------------


@dataclass
class _Meter:
    """Counts the statements of an engine, and the calls of every HTTP session."""

    engine: Engine
    statements: int = 0
    calls: int = 0

    def __post_init__(self) -> None:
        event.listen(self.engine, "before_cursor_execute", self._note_statement)
        send = requests.Session.send

        def send_and_note(session: requests.Session, request: requests.PreparedRequest, **how: Any) -> Any:
            self.calls += 1
            return send(session, request, **how)

        requests.Session.send = send_and_note  # type: ignore[method-assign]

    def _note_statement(self, *given: Any) -> None:
        self.statements += 1

    def line(self, name: str, run: Callable[[], None]) -> str:
        """Run something; return its line of the table."""
        self.statements = self.calls = 0
        begun = time.monotonic()
        run()
        seconds = time.monotonic() - begun
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        return f"| {name} | {seconds:.1f} | {self.statements:,} | {self.calls:,} | {memory:.0f} |"
