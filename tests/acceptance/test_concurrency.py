"""A single worker process keeps hundreds of slow provider calls in flight."""

from __future__ import annotations

import pytest

from tests.acceptance.harness import RunningSystem, eventually, payment_body
from tests.conftest import OpenSystem

pytestmark = [pytest.mark.acceptance, pytest.mark.postgres, pytest.mark.timeout(300)]
CALLS = 200
# The longest that a worker may be set to wait for a provider. The calls are answered before, when all have begun.
CALL_SECONDS = 120
REST_SECONDS = 60.0


def test_two_hundred_calls_are_in_flight_at_once(open_system: OpenSystem) -> None:
    with open_system(WORKER_CONCURRENCY=str(CALLS), PROVIDER_READ_TIMEOUT_SECONDS=str(CALL_SECONDS)) as system:
        system.start_sandbox().web()
        system.provider.fault("payment_intents.confirm", "latency", times=None, seconds=CALL_SECONDS)
        ids = system.merchant.process_all([payment_body() for _ in range(CALLS)])
        system.worker()
        system.beat()
        eventually(lambda: system.provider.fault_hits() == CALLS, f"{CALLS} calls", REST_SECONDS)
        # All have begun and none has ended: that many were in flight at this moment.
        assert _charges(system) == 0
        system.provider.behave()
        unsettled = "SELECT count(*) AS unsettled FROM payments WHERE state <> 'captured'"
        eventually(lambda: system.rows(unsettled) == [{"unsettled": 0}], f"{CALLS} captured payments", REST_SECONDS)
        assert _charges(system) == CALLS
        assert {row["metadata"]["payment_id"] for row in system.provider.books()} == set(ids)


def _charges(system: RunningSystem) -> int:
    return sum(row["charges"] for row in system.provider.books())
