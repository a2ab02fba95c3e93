"""One system in this process for each test of an interleaving."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.integration.scene import Scene, opened
from worker.celery import app


@pytest.fixture
def scene(postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Scene]:
    """A system on an empty database, with a sandbox of its own; the app's tasks work in it."""
    with opened(postgres_url) as scene:
        monkeypatch.setattr(app, "runtime", lambda: scene.runtime)
        yield scene
