"""A process that follows the sandbox's clock never works by another one, from its first moment on."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from tests.patience import patient
from worker.sandbox_clock import SandboxClock


@pytest.mark.parametrize("idle_seconds", [None, 60.0], ids=["that has just started", "that was idle"])
def test_threads_of_a_process_wait_for_the_offset(idle_seconds: float | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """A sweep lets many tasks begin at once. Those that did not wait would claim, and plan, three weeks ago."""
    clock, is_asked, may_respond = SandboxClock("http://sandbox.test"), threading.Event(), threading.Event()
    if idle_seconds is not None:
        clock._fetched_at = time.monotonic() - idle_seconds

    def respond(*where: Any, **how: Any) -> Any:
        is_asked.set()
        assert may_respond.wait(patient(10))
        return SimpleNamespace(json=lambda: {"offset_seconds": 1_814_400})

    monkeypatch.setattr(clock._session, "get", respond)
    with ThreadPoolExecutor(4) as pool:
        first = pool.submit(clock)
        assert is_asked.wait(patient(10))
        others = [pool.submit(clock) for _ in range(3)]
        early = [each for each in others if _is_done_soon(each)]
        may_respond.set()
    assert not early
    assert {each.result() for each in (first, *others)} == {timedelta(days=21)}


def _is_done_soon(future: Any) -> bool:
    try:
        future.result(timeout=0.1)
    except TimeoutError:
        return False
    return True
