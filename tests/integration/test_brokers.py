"""The same code on each broker: the whole path on Redis and on RabbitMQ, and a broker that goes and comes back."""

from __future__ import annotations

from pathlib import Path

import amqp
import pytest
from kombu import Connection

from stack.process import free_port, is_listening
from stack.servers import valkey_process
from tests.acceptance.harness import RunningSystem, eventually, payment_body, unique
from tests.conftest import QUEUES, OpenSystem

pytestmark = [pytest.mark.postgres, pytest.mark.timeout(300)]
QUORUM = {"x-queue-type": "quorum", "x-delivery-limit": 50}


@pytest.mark.redis
def test_the_whole_path_on_redis(open_system: OpenSystem, redis_url: str) -> None:
    with open_system(redis_url) as system:
        _start(system)
        _charge_capture_refund_and_cancel(system)


@pytest.mark.rabbitmq
def test_the_whole_path_on_rabbitmq(open_system: OpenSystem, amqp_url: str, queue_prefix: str) -> None:
    with open_system(amqp_url, queue_prefix) as system:
        _start(system)
        _charge_capture_refund_and_cancel(system)
        for name in QUEUES:
            _assert_quorum(amqp_url, f"{queue_prefix}{name}")


@pytest.mark.redis
def test_a_broker_outage_loses_no_payment(open_system: OpenSystem, tmp_path: Path) -> None:
    port = free_port()
    with valkey_process(tmp_path, port) as broker:
        broker.wait_for(lambda: is_listening(port), "a listening port")
        with open_system(f"redis://127.0.0.1:{port}/0", PROVIDER_READ_TIMEOUT_SECONDS="120") as system:
            _start(system)
            system.merchant.pay(payment_body())
            system.provider.fault("payment_intents.confirm", "latency")
            in_flight = system.merchant.process(payment_body())["id"]
            eventually(lambda: system.provider.fault_hits() == 1, "a call in flight")
            broker.kill()
            while_down = system.merchant.process(payment_body())["id"]
            system.provider.behave()
            system.merchant.wait(in_flight, "captured")
            broker.start()
            after = system.merchant.process(payment_body())["id"]
            for payment_id in (in_flight, while_down, after):
                system.merchant.wait(payment_id, "captured", seconds=60)
                system.assert_charged_once(payment_id)


def _start(system: RunningSystem) -> None:
    system.start_sandbox().worker()
    system.beat()
    system.web()


def _charge_capture_refund_and_cancel(system: RunningSystem) -> None:
    """Charge, refund, authorize and capture in part, over HTTP and over Celery."""
    paid = system.merchant.pay(payment_body(amount="30.00"))
    system.assert_charged_once(paid["id"])
    system.merchant.operate(paid["id"], "refunds", {"amount": "10.00"})
    system.merchant.wait(paid["id"], "partially_refunded")
    authorized = system.merchant.pay(payment_body(amount="80.00", capture=False), "authorized")
    system.merchant.operate(authorized["id"], "capture", {"amount": "55.00"})
    system.merchant.wait(authorized["id"], "captured")
    for payment in (paid, authorized):
        system.assert_books_agree(payment["id"])
    body = payment_body()
    with system.celery() as elsewhere:
        elsewhere.send_task("payments.process", kwargs=body | {"idempotency_key": unique("key")})
    query = "SELECT id FROM payments WHERE invoice_id = %s AND state = 'captured'"
    eventually(lambda: len(system.rows(query, body["invoice_id"])) == 1, "a captured payment that came over Celery")


def _assert_quorum(url: str, queue: str) -> None:
    """RabbitMQ accepts a declaration only if it describes the queue as it is."""
    with Connection(url) as connection, connection.channel() as channel:
        channel.queue_declare(queue, durable=True, auto_delete=False, arguments=QUORUM)
    with Connection(url) as connection, connection.channel() as channel, pytest.raises(amqp.PreconditionFailed):
        channel.queue_declare(queue, durable=True, auto_delete=False)
