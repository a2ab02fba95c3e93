"""A single worker process keeps hundreds of slow provider calls in flight."""

from __future__ import annotations

import pytest

from tests.acceptance.harness import House, eventually, order
from tests.conftest import OpenHouse

pytestmark = [pytest.mark.acceptance, pytest.mark.postgres, pytest.mark.timeout(300)]
CALLS = 200
# The longest that a worker may be set to wait for a provider. The calls are answered before, when all have begun.
CALL_SECONDS = 120
REST_SECONDS = 60.0


def test_two_hundred_calls_are_in_flight_at_once(open_house: OpenHouse) -> None:
    with open_house(WORKER_CONCURRENCY=str(CALLS), PROVIDER_READ_TIMEOUT_SECONDS=str(CALL_SECONDS)) as house:
        house.start_sandbox().web()
        house.provider.fault("payment_intents.confirm", "latency", times=None, seconds=CALL_SECONDS)
        ids = house.merchant.process_all([order() for _ in range(CALLS)])
        house.worker()
        house.beat()
        eventually(lambda: house.provider.fault_hits() == CALLS, f"{CALLS} calls", REST_SECONDS)
        # All have begun and none has ended: that many were in flight at this moment.
        assert _charges(house) == 0
        house.provider.behave()
        unsettled = "SELECT count(*) AS unsettled FROM payments WHERE state <> 'captured'"
        eventually(lambda: house.rows(unsettled) == [{"unsettled": 0}], f"{CALLS} captured payments", REST_SECONDS)
        assert _charges(house) == CALLS
        assert {row["metadata"]["payment_id"] for row in house.provider.books()} == set(ids)


def _charges(house: House) -> int:
    return sum(row["charges"] for row in house.provider.books())
