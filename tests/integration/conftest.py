"""One system in this process for each test of an interleaving."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.system import System, running_system


@pytest.fixture
def system(postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[System]:
    """A system on an empty database, with a sandbox of its own; the app's tasks work in it."""
    with running_system(postgres_url) as running:
        running.tasks_run_in(monkeypatch)
        yield running
