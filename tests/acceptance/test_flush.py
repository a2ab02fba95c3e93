"""The broker loses everything while payments wait: all come to rest without anyone's help, none charged twice."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import pytest
import redis

from tests.acceptance.harness import Deployment, eventually, payment_body
from tests.conftest import OpenDeployment, delete_queues

pytestmark = [pytest.mark.acceptance, pytest.mark.postgres, pytest.mark.timeout(600)]
REST_SECONDS = 150.0


def test_a_flushed_redis_loses_no_payment(open_deployment: OpenDeployment, redis_url: str) -> None:
    def flush() -> None:
        with redis.Redis.from_url(redis_url) as client:
            assert client.dbsize() > 0
            client.flushdb()

    with open_deployment(redis_url) as deployment:
        _lose_everything(deployment, 500, flush)


@pytest.mark.rabbitmq
def test_deleted_queues_lose_no_payment(open_deployment: OpenDeployment, amqp_url: str, queue_prefix: str) -> None:
    with open_deployment(amqp_url, queue_prefix) as deployment:
        _lose_everything(deployment, 100, lambda: delete_queues(amqp_url, queue_prefix))


def _lose_everything(deployment: Deployment, payments: int, flush: Callable[[], None]) -> None:
    """Accept payments while no worker runs, flush, start worker and beat, and look at the books."""
    deployment.start_sandbox().web()
    bodies = [payment_body() for _ in range(payments)]
    ids = deployment.merchant.process_all(bodies)
    assert len(set(ids)) == payments
    flush()
    deployment.worker()
    deployment.beat()
    unsettled = "SELECT count(*) AS unsettled FROM payments WHERE state <> 'captured'"
    eventually(lambda: deployment.rows(unsettled) == [{"unsettled": 0}], f"{payments} captured payments", REST_SECONDS)
    charges = Counter(
        row["metadata"]["payment_id"] for row in deployment.provider.books() for _ in range(row["charges"])
    )
    assert charges == Counter(ids)
