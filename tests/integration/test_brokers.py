"""The same code on each broker: the whole path on Redis and on RabbitMQ, and a broker that goes and comes back."""

from __future__ import annotations

from pathlib import Path

import amqp
import pytest
from kombu import Connection

from stack.process import free_port, is_listening
from stack.servers import valkey_process
from tests.acceptance.harness import Deployment, eventually, payment_body, unique
from tests.conftest import QUEUES, OpenDeployment

pytestmark = [pytest.mark.postgres, pytest.mark.timeout(300)]
QUORUM = {"x-queue-type": "quorum", "x-delivery-limit": 50}


@pytest.mark.redis
def test_the_whole_path_on_redis(open_deployment: OpenDeployment, redis_url: str) -> None:
    with open_deployment(redis_url) as deployment:
        _start(deployment)
        _charge_capture_refund_and_cancel(deployment)


@pytest.mark.rabbitmq
def test_the_whole_path_on_rabbitmq(open_deployment: OpenDeployment, amqp_url: str, queue_prefix: str) -> None:
    with open_deployment(amqp_url, queue_prefix) as deployment:
        _start(deployment)
        _charge_capture_refund_and_cancel(deployment)
        for name in QUEUES:
            _assert_quorum(amqp_url, f"{queue_prefix}{name}")


@pytest.mark.redis
def test_a_broker_outage_loses_no_payment(open_deployment: OpenDeployment, tmp_path: Path) -> None:
    port = free_port()
    with valkey_process(tmp_path, port) as broker:
        broker.wait_for(lambda: is_listening(port), "a listening port")
        with open_deployment(f"redis://127.0.0.1:{port}/0", PROVIDER_READ_TIMEOUT_SECONDS="120") as deployment:
            _start(deployment)
            deployment.merchant.pay(payment_body())
            deployment.provider.fault("payment_intents.confirm", "latency")
            in_flight = deployment.merchant.process(payment_body())["id"]
            eventually(lambda: deployment.provider.fault_hits() == 1, "a call in flight")
            broker.kill()
            while_down = deployment.merchant.process(payment_body())["id"]
            deployment.provider.behave()
            deployment.merchant.wait(in_flight, "captured")
            broker.start()
            after = deployment.merchant.process(payment_body())["id"]
            for payment_id in (in_flight, while_down, after):
                deployment.merchant.wait(payment_id, "captured", seconds=60)
                deployment.assert_charged_once(payment_id)


def _start(deployment: Deployment) -> None:
    deployment.start_sandbox().worker()
    deployment.beat()
    deployment.web()


def _charge_capture_refund_and_cancel(deployment: Deployment) -> None:
    """Charge, refund, authorize and capture in part, over HTTP and over Celery."""
    paid = deployment.merchant.pay(payment_body(amount="30.00"))
    deployment.assert_charged_once(paid["id"])
    deployment.merchant.operate(paid["id"], "refunds", {"amount": "10.00"})
    deployment.merchant.wait(paid["id"], "partially_refunded")
    authorized = deployment.merchant.pay(payment_body(amount="80.00", capture=False), "authorized")
    deployment.merchant.operate(authorized["id"], "capture", {"amount": "55.00"})
    deployment.merchant.wait(authorized["id"], "captured")
    for payment in (paid, authorized):
        deployment.assert_books_agree(payment["id"])
    body = payment_body()
    with deployment.celery() as elsewhere:
        elsewhere.send_task("payments.process", kwargs=body | {"idempotency_key": unique("key")})
    query = "SELECT id FROM payments WHERE invoice_id = %s AND state = 'captured'"
    eventually(lambda: len(deployment.rows(query, body["invoice_id"])) == 1, "a captured payment that came over Celery")


def _assert_quorum(url: str, queue: str) -> None:
    """RabbitMQ accepts a declaration only if it describes the queue as it is."""
    with Connection(url) as connection, connection.channel() as channel:
        channel.queue_declare(queue, durable=True, auto_delete=False, arguments=QUORUM)
    with Connection(url) as connection, connection.channel() as channel, pytest.raises(amqp.PreconditionFailed):
        channel.queue_declare(queue, durable=True, auto_delete=False)
