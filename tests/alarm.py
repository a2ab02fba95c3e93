"""Ends a test that takes too long, names it in the report, and lets the run go on.

pytest-timeout alone arms one alarm for the whole of a test, pytest's own work included. If it rings while pytest
renders a traceback, the run ends with an internal error and names no test; and after a failure nothing limits the
cleanup. Here setup, call and teardown each have an alarm, which is armed only while the test's own code runs.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from pytest_timeout import timeout_sigalrm

from tests.patience import patient

LIMITS = pytest.StashKey[Any]()


def pytest_timeout_set_timer(item: pytest.Item, settings: Any) -> bool:
    """Store a test's limits for its phases, in place of the alarm of pytest-timeout."""
    item.stash[LIMITS] = settings._replace(timeout=patient(settings.timeout))
    return True


def pytest_timeout_cancel_timer(item: pytest.Item) -> bool:
    """Leave each alarm to its phase: a teardown after a failure needs a limit as well."""
    return True


@pytest.hookimpl(wrapper=True, trylast=True)
def pytest_runtest_setup(item: pytest.Item) -> Iterator[None]:
    with alarm(item):
        return (yield)


@pytest.hookimpl(wrapper=True, trylast=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    with alarm(item):
        return (yield)


@pytest.hookimpl(wrapper=True, trylast=True)
def pytest_runtest_teardown(item: pytest.Item) -> Iterator[None]:
    with alarm(item):
        return (yield)


@contextmanager
def alarm(item: pytest.Item) -> Iterator[None]:
    """Fail the phase, with the stacks of all threads, once its seconds are over."""
    limits = item.stash.get(LIMITS, None)
    if limits is None:
        yield
        return

    def publish(*_: object) -> None:
        __tracebackhide__ = True
        timeout_sigalrm(item, limits)

    signal.signal(signal.SIGALRM, publish)
    # It rings again, because Python swallows a failure that is raised inside a finalizer, and a cleanup can hang too.
    signal.setitimer(signal.ITIMER_REAL, limits.timeout, limits.timeout)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
