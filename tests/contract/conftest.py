"""The providers of the contract suite: one line each."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from gateways.base import Gateway
from sandbox.server import RunningSandbox
from sandbox.state import Settings

from .bench import Bench, Books, StripeBench

PROVIDERS = (StripeBench,)


@pytest.fixture(scope="session")
def sandbox() -> Iterator[RunningSandbox]:
    """One sandbox for the whole suite: each test has payments of its own."""
    with RunningSandbox(Settings(seed=1)) as running:
        yield running


@pytest.fixture(params=PROVIDERS, ids=lambda kind: kind.provider)
def provider(request: pytest.FixtureRequest, sandbox: RunningSandbox) -> Iterator[Bench]:
    """Each provider in turn, without faults."""
    yield request.param(sandbox)
    sandbox.state.faults.clear()


@pytest.fixture
def gateway(provider: Bench) -> Gateway:
    """The provider's gateway."""
    return provider.gateway()


@pytest.fixture
def books(sandbox: RunningSandbox) -> Books:
    """What the provider's ledger says."""
    return Books(sandbox)
