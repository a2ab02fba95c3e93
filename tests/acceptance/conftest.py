"""The system that most acceptance tests use."""

from __future__ import annotations

import pytest

from tests.acceptance.harness import RunningSystem


@pytest.fixture
def system(running_system: RunningSystem) -> RunningSystem:
    """Everything running, and a provider that behaves."""
    return running_system
