"""`--days-ahead DAYS` moves the clock of the whole run, which shows that no test depends on the day it runs on.

Servers, child processes and OpenSSL keep their own clocks. A run with a moved clock therefore leaves out the tests that
need them (OWN_CLOCKS in conftest.py).
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
import time_machine


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--days-ahead",
        type=float,
        default=0.0,
        help="run the tests without servers and child processes, under a clock that is so many days ahead",
    )


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Move the clock before any module of the tests is imported. It goes on from there."""
    if days := config.getoption("--days-ahead"):
        travel = time_machine.travel(timedelta(days=days))
        travel.start()
        config.add_cleanup(travel.stop)


def pytest_report_header(config: pytest.Config) -> str | None:
    days = config.getoption("--days-ahead")
    return f"clock: {days:g} days ahead, {datetime.now(UTC):%Y-%m-%d %H:%M} UTC" if days else None
