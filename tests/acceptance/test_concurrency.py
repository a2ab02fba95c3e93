"""A single worker process keeps hundreds of slow provider calls in flight."""

from __future__ import annotations

import pytest

from tests.acceptance.harness import Deployment, eventually, payment_body
from tests.conftest import OpenDeployment

pytestmark = [pytest.mark.acceptance, pytest.mark.postgres, pytest.mark.timeout(300)]
CALLS = 200
# The longest that a worker may be set to wait for a provider. The calls are answered before, when all have begun.
CALL_SECONDS = 120
REST_SECONDS = 60.0


def test_two_hundred_calls_are_in_flight_at_once(open_deployment: OpenDeployment) -> None:
    with open_deployment(WORKER_CONCURRENCY=str(CALLS), PROVIDER_READ_TIMEOUT_SECONDS=str(CALL_SECONDS)) as deployment:
        deployment.start_sandbox().web()
        deployment.provider.fault("payment_intents.confirm", "latency", times=None, seconds=CALL_SECONDS)
        ids = deployment.merchant.process_all([payment_body() for _ in range(CALLS)])
        deployment.worker()
        deployment.beat()
        eventually(lambda: deployment.provider.fault_hits() == CALLS, f"{CALLS} calls", REST_SECONDS)
        # All have begun and none has ended: that many were in flight at this moment.
        assert _charges(deployment) == 0
        deployment.provider.behave()
        unsettled = "SELECT count(*) AS unsettled FROM payments WHERE state <> 'captured'"
        eventually(lambda: deployment.rows(unsettled) == [{"unsettled": 0}], f"{CALLS} captured payments", REST_SECONDS)
        assert _charges(deployment) == CALLS
        assert {row["metadata"]["payment_id"] for row in deployment.provider.books()} == set(ids)


def _charges(deployment: Deployment) -> int:
    return sum(row["charges"] for row in deployment.provider.books())
