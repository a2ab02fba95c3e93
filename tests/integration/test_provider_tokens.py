"""Access tokens that all processes share: one process renews, nothing is stored in clear, and a dead process blocks no
other."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import Engine, select, update

from domain.outcome import NotSent
from gateways.paypal.gateway import PayPalGateway
from models.provider_tokens import DatabaseTokens
from models.session import database_now, make_engine, transact
from models.tables import provider_tokens
from sandbox.paypal.api import PayPal
from sandbox.server import RunningSandbox
from sandbox.state import Settings
from tests.contract.bench import new_attempt
from tests.contract.benches.paypal import ProviderBench
from tests.patience import patient

pytestmark = pytest.mark.postgres
WORKERS, PROCESSES = 50, 10
SECRET = "sandbox-secret"


@dataclass
class Tokens:
    """A database, a simulated PayPal, and the calls that reached it."""

    engine: Engine
    sandbox: RunningSandbox
    bench: ProviderBench
    simulated: PayPal

    def gateway(self, **changes: Any) -> PayPalGateway:
        """Return the gateway of another process."""
        return self.bench.gateway(**{"tokens": DatabaseTokens(self.engine), "read_seconds": patient(5)} | changes)

    def expire(self) -> None:
        """Let the stored token end."""
        self.change(expires_at=self.now())

    def change(self, **values: Any) -> None:
        """Change the one row."""
        transact(self.engine, lambda connection: connection.execute(update(provider_tokens).values(values)))

    def now(self) -> Any:
        """Return the database's time."""
        return transact(self.engine, database_now)

    def row(self) -> Any:
        """Return the one row."""
        return transact(self.engine, lambda connection: connection.execute(select(provider_tokens)).one())


@pytest.fixture
def tokens(postgres_url: str) -> Iterator[Tokens]:
    """A migrated database and a sandbox of its own."""
    engine = make_engine(postgres_url)
    with RunningSandbox(Settings()) as sandbox:
        bench = ProviderBench(sandbox)
        yield Tokens(engine, sandbox, bench, bench.simulated)
    engine.dispose()


def at_once(gateways: list[PayPalGateway]) -> list[str]:
    """Let as many workers as there are ask for something in the same moment."""
    barrier = threading.Barrier(WORKERS)

    def work(number: int) -> str:
        barrier.wait()
        return gateways[number % len(gateways)].check()

    with ThreadPoolExecutor(WORKERS) as pool:
        return list(pool.map(work, range(WORKERS)))


def test_fifty_workers_with_an_expired_token_ask_for_one(tokens: Tokens) -> None:
    tokens.gateway().check()
    assert len(tokens.simulated.tokens) == 1
    tokens.expire()
    accounts = at_once([tokens.gateway() for _ in range(PROCESSES)])
    assert len(accounts) == WORKERS
    assert set(accounts) == {accounts[0]}
    assert len(tokens.simulated.tokens) == 2


def test_fifty_workers_without_any_token_ask_for_one(tokens: Tokens) -> None:
    at_once([tokens.gateway() for _ in range(PROCESSES)])
    assert len(tokens.simulated.tokens) == 1


def test_fifty_workers_whose_token_is_refused_ask_for_one(tokens: Tokens) -> None:
    gateways = [tokens.gateway() for _ in range(PROCESSES)]
    for gateway in gateways:
        gateway.check()
    tokens.simulated.tokens.clear()
    at_once(gateways)
    assert len(tokens.simulated.tokens) == 1


def test_a_token_outlives_its_process(tokens: Tokens) -> None:
    tokens.gateway().check()
    tokens.gateway().check()
    assert len(tokens.simulated.tokens) == 1


def test_nothing_is_stored_in_clear(tokens: Tokens) -> None:
    tokens.gateway().check()
    [token] = tokens.simulated.tokens
    row = tokens.row()
    stored = " ".join(str(value) for value in row)
    assert row.sealed
    assert token not in stored
    assert SECRET not in stored
    assert "sandbox-client" not in stored


def test_a_token_encrypted_with_another_secret_is_not_used(tokens: Tokens) -> None:
    tokens.gateway().check()
    tokens.gateway(client_secret="sandbox-rotated").check()
    assert len(tokens.simulated.tokens) == 2


def test_the_claim_of_a_dead_process_ends(tokens: Tokens) -> None:
    tokens.gateway().check()
    tokens.expire()
    assert DatabaseTokens(tokens.engine).claim(tokens.row().name, 0.5)
    claimed_until = tokens.row().claimed_until
    tokens.gateway().check()
    assert tokens.now() >= claimed_until
    assert len(tokens.simulated.tokens) == 2


def test_a_claim_that_never_ends_blocks_a_charge_only_for_a_while(tokens: Tokens) -> None:
    tokens.gateway().check()
    tokens.expire()
    assert DatabaseTokens(tokens.engine).claim(tokens.row().name, 3600)
    outcome = tokens.gateway(read_seconds=0.1).charge(new_attempt(tokens.bench), lambda _: None)
    assert outcome == NotSent("token_unavailable")


def test_an_old_token_is_used_while_another_process_renews(tokens: Tokens, monkeypatch: pytest.MonkeyPatch) -> None:
    tokens.gateway().check()
    tokens.change(expires_at=tokens.now() + timedelta(seconds=60))
    assert DatabaseTokens(tokens.engine).claim(tokens.row().name, 3600)
    impatient = SimpleNamespace(monotonic=time.monotonic, sleep=lambda _: pytest.fail("waited"))
    monkeypatch.setattr("gateways.paypal.token.time", impatient)
    tokens.gateway().check()
    assert len(tokens.simulated.tokens) == 1


def test_a_token_is_renewed_before_it_ends(tokens: Tokens) -> None:
    tokens.gateway().check()
    tokens.change(expires_at=tokens.now() + timedelta(seconds=60))
    tokens.gateway().check()
    assert len(tokens.simulated.tokens) == 2


def test_a_renewal_that_fails_releases_the_claim(tokens: Tokens) -> None:
    tokens.sandbox.state.faults.add("paypal.token", "error_before")
    outcome = tokens.gateway().charge(new_attempt(tokens.bench), lambda _: None)
    assert outcome == NotSent("no_access_token")
    assert tokens.row().claimed_until is None
    tokens.gateway().check()


# --- the store itself, on both databases ---


@pytest.fixture(params=["sqlite", "postgres"])
def store(request: pytest.FixtureRequest) -> Iterator[DatabaseTokens]:
    """A store in an empty database."""
    engine = make_engine(request.getfixturevalue(f"{request.param}_url"))
    yield DatabaseTokens(engine)
    engine.dispose()


def test_a_token_is_read_as_it_was_stored(store: DatabaseTokens) -> None:
    assert store.find("a") is None
    store.put("a", "encrypted", 100)
    store.put("b", "other", 100)
    token = store.find("a")
    assert token.encrypted == "encrypted"
    assert 95 < token.seconds_left <= 100
    store.put("a", "ended", -5)
    assert store.find("a").encrypted == "ended"
    assert store.find("a").seconds_left < 0


def test_one_process_holds_a_claim(store: DatabaseTokens) -> None:
    assert store.claim("a", 100)
    assert not store.claim("a", 100)
    assert store.claim("b", 100)
    assert store.find("a") is None
    store.put("a", "encrypted", 100)
    assert store.claim("a", 0)
    assert store.claim("a", 100)  # it ended by itself


def test_one_of_many_claims_succeeds(store: DatabaseTokens) -> None:
    for name in ("new", "new", "old"):
        with ThreadPoolExecutor(20) as pool:
            taken = list(pool.map(lambda _, name=name: store.claim(name, 100), range(20)))
        assert sum(taken) == 1
        store.put(name, "encrypted", 100)
