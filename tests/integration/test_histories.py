"""However calls, crashes, look-ups, webhooks, requests and days follow one another, our books end as the provider's."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from models import transition
from tests.determinism import CountedIds, FrozenTime, StillClock
from tests.integration.histories import KINDS, MODULES_WITH_FAILPOINTS, Histories, WorkerDied
from tests.integration.history_checks import checked
from tests.integration.waiting_histories import WaitingHistories
from tests.provider import Json
from tests.system import running_system

ALL_KINDS = [fields for kind in KINDS.values() for fields in kind]
# A history that fails is made smaller for up to five minutes.
pytestmark = pytest.mark.timeout(600)


@pytest.fixture
def histories(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """Run histories of such payments on one database, whose rows each history deletes; `examples`: how many."""
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

        def run(kinds: Sequence[Json], examples: int, machine: type[Histories] = Histories) -> None:
            how_many = settings(
                max_examples=max(1, examples),
                stateful_step_count=30,
                deadline=None,
                suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
            )
            run_state_machine_as_test(lambda: machine(system, clock, crash, ids, list(kinds)), settings=how_many)

        yield run


@pytest.fixture
def sqlite_url_in_memory(sqlite_template: bytes) -> Iterator[str]:
    """The URL of a migrated SQLite database in memory, where there is such a directory: commits there cost nothing."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as directory:
        file = Path(directory) / "celeriac.db"
        file.write_bytes(sqlite_template)
        yield f"sqlite:///{file}"


@pytest.mark.parametrize("histories", ["sqlite_url_in_memory"], indirect=True)
@pytest.mark.parametrize("kind", KINDS)
def test_every_history_ends_with_the_books_of_the_provider(histories: Callable[..., None], kind: str) -> None:
    histories(KINDS[kind], settings.default.max_examples)


@pytest.mark.postgres
@pytest.mark.parametrize("histories", ["postgres_url"], indirect=True)
def test_every_history_on_postgresql_ends_so_too(histories: Callable[..., None]) -> None:
    histories(ALL_KINDS, settings.default.max_examples // 5)


@pytest.mark.parametrize("histories", ["sqlite_url_in_memory"], indirect=True)
def test_nothing_ever_waits_without_an_end(histories: Callable[..., None]) -> None:
    histories(ALL_KINDS, settings.default.max_examples // 5, WaitingHistories)
