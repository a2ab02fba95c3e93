"""The broker loses everything while payments wait: all come to rest without anyone's help, none charged twice."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import pytest
import redis

from tests.acceptance.harness import RunningSystem, eventually, payment_body
from tests.conftest import OpenSystem, delete_queues

pytestmark = [pytest.mark.acceptance, pytest.mark.postgres, pytest.mark.timeout(600)]
REST_SECONDS = 150.0


def test_a_flushed_redis_loses_no_payment(open_system: OpenSystem, redis_url: str) -> None:
    def flush() -> None:
        with redis.Redis.from_url(redis_url) as client:
            assert client.dbsize() > 0
            client.flushdb()

    with open_system(redis_url) as system:
        _lose_everything(system, 500, flush)


@pytest.mark.rabbitmq
def test_deleted_queues_lose_no_payment(open_system: OpenSystem, amqp_url: str, queue_prefix: str) -> None:
    with open_system(amqp_url, queue_prefix) as system:
        _lose_everything(system, 100, lambda: delete_queues(amqp_url, queue_prefix))


def _lose_everything(system: RunningSystem, payments: int, flush: Callable[[], None]) -> None:
    """Accept payments while no worker runs, flush, start worker and beat, and look at the books."""
    system.start_sandbox().web()
    bodies = [payment_body() for _ in range(payments)]
    ids = system.merchant.process_all(bodies)
    assert len(set(ids)) == payments
    flush()
    system.worker()
    system.beat()
    unsettled = "SELECT count(*) AS unsettled FROM payments WHERE state <> 'captured'"
    eventually(lambda: system.rows(unsettled) == [{"unsettled": 0}], f"{payments} captured payments", REST_SECONDS)
    charges = Counter(row["metadata"]["payment_id"] for row in system.provider.books() for _ in range(row["charges"]))
    assert charges == Counter(ids)
