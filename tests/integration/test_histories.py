"""However calls, crashes, look-ups, webhooks, requests and days follow one another, our books end as the provider's."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from domain.attention import Action
from domain.payment import AttemptStatus, State, Verb
from models import transition
from tests.determinism import CountedIds, FrozenTime, StillClock
from tests.integration.histories import KINDS, MODULES_WITH_FAILPOINTS, Histories, WorkerDied
from tests.integration.history_checks import checked
from tests.integration.waiting_histories import AcceptingHistories, WaitingHistories
from tests.provider import Json
from tests.system import running_system

ALL_KINDS = [fields for kind in KINDS.values() for fields in kind]
# A history that fails is made smaller for up to five minutes.
pytestmark = pytest.mark.timeout(600)


@pytest.fixture
def new_history(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Histories]]:
    """Begin a history of such payments on one database, whose rows each history deletes."""
    clock, crash = StillClock(), {}

    def reach(point: str) -> None:
        if crash.get("point") == point:
            crash.clear()
            raise WorkerDied

    for module in MODULES_WITH_FAILPOINTS:
        monkeypatch.setattr(f"{module}.reach", reach)
    monkeypatch.setattr(transition, "apply", checked(transition.apply))
    # A call takes no time, however slow this machine is, so no lease ends by itself.
    frozen_time = FrozenTime()
    for module in ("runtime.leases", "tasks.execute"):
        monkeypatch.setattr(f"{module}.time", frozen_time)

    with running_system(request.getfixturevalue(request.param)) as system:
        system.runtime = replace(system.runtime, clock=clock)
        system.tasks_run_in(monkeypatch)
        # The jitter of a retry comes from the attempt's id, and a replay must see the same dates.
        ids = CountedIds()
        monkeypatch.setattr("models.tables.base.secrets", ids)

        def begin(kinds: Sequence[Json], machine: type[Histories]) -> Histories:
            return machine(system, clock, crash, ids, list(kinds))

        yield begin


@pytest.fixture
def histories(new_history: Callable[..., Histories]) -> Callable[..., None]:
    """Run histories of such payments; `examples`: how many."""

    def run(kinds: Sequence[Json], examples: int, machine: type[Histories] = Histories) -> None:
        how_many = settings(
            max_examples=max(1, examples),
            stateful_step_count=30,
            deadline=None,
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
        )
        run_state_machine_as_test(lambda: new_history(kinds, machine), settings=how_many)

    return run


@pytest.fixture
def sqlite_url_in_memory(sqlite_template: bytes) -> Iterator[str]:
    """The URL of a migrated SQLite database in memory, where there is such a directory: commits there cost nothing."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as directory:
        file = Path(directory) / "celeriac.db"
        file.write_bytes(sqlite_template)
        yield f"sqlite:///{file}"


@pytest.mark.parametrize("new_history", ["sqlite_url_in_memory"], indirect=True)
@pytest.mark.parametrize("kind", KINDS)
def test_every_history_ends_with_the_books_of_the_provider(histories: Callable[..., None], kind: str) -> None:
    histories(KINDS[kind], settings.default.max_examples)


@pytest.mark.postgres
@pytest.mark.parametrize("new_history", ["postgres_url"], indirect=True)
def test_every_history_on_postgresql_ends_so_too(histories: Callable[..., None]) -> None:
    histories(ALL_KINDS, settings.default.max_examples // 5)


@pytest.mark.parametrize("new_history", ["sqlite_url_in_memory"], indirect=True)
@pytest.mark.parametrize("machine", [WaitingHistories, AcceptingHistories])
def test_nothing_ever_waits_without_an_end(histories: Callable[..., None], machine: type[Histories]) -> None:
    histories(ALL_KINDS, settings.default.max_examples // 8, machine)


@pytest.mark.parametrize("new_history", ["sqlite_url_in_memory"], indirect=True)
@pytest.mark.parametrize("machine", [WaitingHistories, AcceptingHistories])
@pytest.mark.parametrize("received", [600, 1500])
def test_money_of_another_amount_that_a_person_accepts_is_captured_once(
    new_history: Callable[..., Histories], machine: type[WaitingHistories], received: int
) -> None:
    history = new_history([{"off_session": False}], machine)
    assert isinstance(history, WaitingHistories)
    history.is_calm = True
    history.kind = history.kinds[0]
    history.provider.plan = lambda attempt: replace(history.plan(attempt), behaviour="processing")
    history.process()
    history.move_clock(timedelta(minutes=1))
    history.beat()
    [intent] = history.undecided()
    history.provider.receive(intent, received)
    history.deliver_latest()
    history.load()
    assert (history.payment.state, history.payment.received) == (State.AMOUNT_MISMATCH, received)

    [entry] = history.entries()
    history.resolve(entry, Action.ACCEPT)
    history.beat()
    history.load()
    assert (history.payment.state, history.payment.captured) == (State.CAPTURED, received)
    assert history.provider.captured(history.payment.id) == received
    assert [(row.verb, row.status) for row in history.stored.attempts] == [
        (Verb.CHARGE, AttemptStatus.SUCCEEDED),
        (Verb.CAPTURE, AttemptStatus.SUCCEEDED),
    ]
    assert not history.entries()
    history.teardown()
