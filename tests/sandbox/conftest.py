"""Sandboxes for these tests: one that all share, one for each test that moves the clock, and one with a receiver."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from sandbox.server import RunningSandbox
from sandbox.state import Settings
from tests.contract.served import serving
from tests.sandbox.receiver import Receiver
from tests.sandbox.stripe_client import Bench


@pytest.fixture(scope="session")
def shared() -> Iterator[RunningSandbox]:
    """One sandbox for all tests that neither move the clock nor count what others do."""
    with RunningSandbox(Settings(seed=1)) as running:
        yield running


@pytest.fixture
def own_sandbox() -> Iterator[RunningSandbox]:
    """A new sandbox, for a test that moves the clock or reads the whole ledger."""
    with RunningSandbox(Settings(seed=1)) as running:
        yield running


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """A webhook receiver."""
    receiver = Receiver()
    with serving(receiver.take) as served:
        receiver.url = f"{served.url}/hook"
        yield receiver


@pytest.fixture
def hooked_sandbox(receiver: Receiver) -> Iterator[RunningSandbox]:
    """A sandbox that sends its webhooks to the receiver, one after the other."""
    settings = Settings(webhook_url=receiver.url, webhook_secret="whsec_test", delivery_threads=1)
    with RunningSandbox(settings) as running:
        yield running


@pytest.fixture
def bench(shared: RunningSandbox) -> Iterator[Bench]:
    """Stripe's client of the shared sandbox, without faults."""
    yield Bench(shared)
    shared.state.faults.clear()


@pytest.fixture
def own(own_sandbox: RunningSandbox) -> Bench:
    """Stripe's client of a new sandbox."""
    return Bench(own_sandbox)


@pytest.fixture
def hooked(hooked_sandbox: RunningSandbox) -> Bench:
    """Stripe's client of a sandbox with a receiver."""
    return Bench(hooked_sandbox)
