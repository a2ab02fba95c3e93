"""Access tokens that all processes share: one of them renews, nothing is stored in clear, nobody waits for the dead."""

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
class Scene:
    """A database and a simulated PayPal, with what it received."""

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
def scene(postgres_url: str) -> Iterator[Scene]:
    """A migrated database and a sandbox of its own."""
    engine = make_engine(postgres_url)
    with RunningSandbox(Settings()) as sandbox:
        bench = ProviderBench(sandbox)
        yield Scene(engine, sandbox, bench, bench.simulated)
    engine.dispose()


def at_once(gateways: list[PayPalGateway]) -> list[str]:
    """Let as many workers as there are ask for something in the same moment."""
    barrier = threading.Barrier(WORKERS)

    def work(number: int) -> str:
        barrier.wait()
        return gateways[number % len(gateways)].check()

    with ThreadPoolExecutor(WORKERS) as pool:
        return list(pool.map(work, range(WORKERS)))


def test_fifty_workers_with_an_expired_token_ask_for_one(scene: Scene) -> None:
    scene.gateway().check()
    assert len(scene.simulated.tokens) == 1
    scene.expire()
    said = at_once([scene.gateway() for _ in range(PROCESSES)])
    assert len(said) == WORKERS
    assert set(said) == {said[0]}
    assert len(scene.simulated.tokens) == 2


def test_fifty_workers_without_any_token_ask_for_one(scene: Scene) -> None:
    at_once([scene.gateway() for _ in range(PROCESSES)])
    assert len(scene.simulated.tokens) == 1


def test_fifty_workers_whose_token_is_refused_ask_for_one(scene: Scene) -> None:
    gateways = [scene.gateway() for _ in range(PROCESSES)]
    for gateway in gateways:
        gateway.check()
    scene.simulated.tokens.clear()
    at_once(gateways)
    assert len(scene.simulated.tokens) == 1


def test_a_token_outlives_its_process(scene: Scene) -> None:
    scene.gateway().check()
    scene.gateway().check()
    assert len(scene.simulated.tokens) == 1


def test_nothing_is_stored_in_clear(scene: Scene) -> None:
    scene.gateway().check()
    [token] = scene.simulated.tokens
    row = scene.row()
    stored = " ".join(str(value) for value in row)
    assert row.sealed
    assert token not in stored
    assert SECRET not in stored
    assert "sandbox-client" not in stored


def test_what_another_secret_encrypted_is_not_used(scene: Scene) -> None:
    scene.gateway().check()
    scene.gateway(client_secret="sandbox-rotated").check()
    assert len(scene.simulated.tokens) == 2


def test_whoever_died_with_the_claim_is_not_waited_for(scene: Scene) -> None:
    scene.gateway().check()
    scene.expire()
    assert DatabaseTokens(scene.engine).claim(scene.row().name, 0.5)
    claimed_until = scene.row().claimed_until
    scene.gateway().check()
    assert scene.now() >= claimed_until
    assert len(scene.simulated.tokens) == 2


def test_whoever_holds_the_claim_for_ever_makes_nobody_wait_for_ever(scene: Scene) -> None:
    scene.gateway().check()
    scene.expire()
    assert DatabaseTokens(scene.engine).claim(scene.row().name, 3600)
    outcome = scene.gateway(read_seconds=0.1).charge(new_attempt(scene.bench), lambda _: None)
    assert outcome == NotSent("token_unavailable")


def test_an_old_token_is_used_while_another_process_renews(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    scene.gateway().check()
    scene.change(expires_at=scene.now() + timedelta(seconds=60))
    assert DatabaseTokens(scene.engine).claim(scene.row().name, 3600)
    impatient = SimpleNamespace(monotonic=time.monotonic, sleep=lambda _: pytest.fail("waited"))
    monkeypatch.setattr("gateways.paypal.token.time", impatient)
    scene.gateway().check()
    assert len(scene.simulated.tokens) == 1


def test_a_token_is_renewed_before_it_ends(scene: Scene) -> None:
    scene.gateway().check()
    scene.change(expires_at=scene.now() + timedelta(seconds=60))
    scene.gateway().check()
    assert len(scene.simulated.tokens) == 2


def test_a_renewal_that_failed_gives_the_right_back(scene: Scene) -> None:
    scene.sandbox.state.faults.add("paypal.token", "error_before")
    outcome = scene.gateway().charge(new_attempt(scene.bench), lambda _: None)
    assert outcome == NotSent("no_access_token")
    assert scene.row().claimed_until is None
    scene.gateway().check()


# --- the store itself, on both databases ---


@pytest.fixture(params=["sqlite", "postgres"])
def store(request: pytest.FixtureRequest) -> Iterator[DatabaseTokens]:
    """A store in an empty database."""
    engine = make_engine(request.getfixturevalue(f"{request.param}_url"))
    yield DatabaseTokens(engine)
    engine.dispose()


def test_a_token_is_found_as_it_was_put(store: DatabaseTokens) -> None:
    assert store.find("a") is None
    store.put("a", "encrypted", 100)
    store.put("b", "other", 100)
    found = store.find("a")
    assert found.encrypted == "encrypted"
    assert 95 < found.seconds_left <= 100
    store.put("a", "ended", -5)
    assert store.find("a").encrypted == "ended"
    assert store.find("a").seconds_left < 0


def test_a_claim_is_one_processs(store: DatabaseTokens) -> None:
    assert store.claim("a", 100)
    assert not store.claim("a", 100)
    assert store.claim("b", 100)
    assert store.find("a") is None
    store.put("a", "encrypted", 100)
    assert store.claim("a", 0)
    assert store.claim("a", 100)  # it ended by itself


def test_of_many_that_claim_one_gets_it(store: DatabaseTokens) -> None:
    for name in ("new", "new", "old"):
        with ThreadPoolExecutor(20) as pool:
            taken = list(pool.map(lambda _, name=name: store.claim(name, 100), range(20)))
        assert sum(taken) == 1
        store.put(name, "encrypted", 100)
