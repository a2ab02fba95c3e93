"""A single worker process keeps hundreds of slow provider calls in flight."""

from __future__ import annotations

import time

import pytest

from tests.acceptance.harness import House, eventually, order
from tests.conftest import OpenHouse

pytestmark = [pytest.mark.acceptance, pytest.mark.postgres, pytest.mark.timeout(180)]
CALLS = 200
# Long enough for all of them to begin before the first is answered.
CALL_SECONDS = 15.0
# One after the other they would take fifty minutes; what one process on one core needs besides waiting is seconds.
TOTAL_SECONDS = 60.0


def test_two_hundred_calls_are_in_flight_at_once(open_house: OpenHouse) -> None:
    with open_house(WORKER_CONCURRENCY=str(CALLS), PROVIDER_READ_TIMEOUT_SECONDS="60") as house:
        house.start_sandbox().web()
        house.provider.fault("payment_intents.confirm", "latency", times=None, seconds=CALL_SECONDS)
        ids = house.merchant.process_all([order() for _ in range(CALLS)])
        started_at = time.monotonic()
        house.worker()
        house.beat()
        eventually(lambda: house.provider.fault_hits() == CALLS, f"{CALLS} calls", TOTAL_SECONDS)
        # All have begun and none has ended: that many were in flight at this moment.
        assert _charges(house) == 0
        unsettled = "SELECT count(*) AS unsettled FROM payments WHERE state <> 'captured'"
        eventually(lambda: house.rows(unsettled) == [{"unsettled": 0}], f"{CALLS} captured payments", TOTAL_SECONDS)
        assert time.monotonic() - started_at < TOTAL_SECONDS
        assert _charges(house) == CALLS
        assert {row["metadata"]["payment_id"] for row in house.provider.books()} == set(ids)


def _charges(house: House) -> int:
    return sum(row["charges"] for row in house.provider.books())
