"""The same code on each broker: the whole path on Redis and on RabbitMQ, and a broker that goes and comes back."""

from __future__ import annotations

from pathlib import Path

import amqp
import pytest
from kombu import Connection

from stack.process import free_port, is_listening
from stack.servers import valkey_process
from tests.acceptance.harness import House, eventually, order, unique
from tests.conftest import QUEUES, OpenHouse

pytestmark = [pytest.mark.postgres, pytest.mark.timeout(300)]
QUORUM = {"x-queue-type": "quorum", "x-delivery-limit": 50}


@pytest.mark.redis
def test_the_whole_path_on_redis(open_house: OpenHouse, redis_url: str) -> None:
    with open_house(redis_url) as house:
        _start(house)
        _charge_capture_refund_and_cancel(house)


@pytest.mark.rabbitmq
def test_the_whole_path_on_rabbitmq(open_house: OpenHouse, amqp_url: str, queue_prefix: str) -> None:
    with open_house(amqp_url, queue_prefix) as house:
        _start(house)
        _charge_capture_refund_and_cancel(house)
        for name in QUEUES:
            _assert_quorum(amqp_url, f"{queue_prefix}{name}")


@pytest.mark.redis
def test_a_broker_outage_loses_no_payment(open_house: OpenHouse, tmp_path: Path) -> None:
    port = free_port()
    with valkey_process(tmp_path, port) as broker:
        broker.wait_for(lambda: is_listening(port), "a listening port")
        with open_house(f"redis://127.0.0.1:{port}/0", PROVIDER_READ_TIMEOUT_SECONDS="120") as house:
            _start(house)
            house.merchant.pay(order())
            house.provider.fault("payment_intents.confirm", "latency")
            in_flight = house.merchant.process(order())["id"]
            eventually(lambda: house.provider.fault_hits() == 1, "a call in flight")
            broker.kill()
            while_down = house.merchant.process(order())["id"]
            house.provider.behave()
            house.merchant.wait(in_flight, "captured")
            broker.start()
            after = house.merchant.process(order())["id"]
            for payment_id in (in_flight, while_down, after):
                house.merchant.wait(payment_id, "captured", seconds=60)
                house.assert_charged_once(payment_id)


def _start(house: House) -> None:
    house.start_sandbox().worker()
    house.beat()
    house.web()


def _charge_capture_refund_and_cancel(house: House) -> None:
    """Charge, refund, authorize and capture in part, over HTTP and over Celery."""
    paid = house.merchant.pay(order(amount="30.00"))
    house.assert_charged_once(paid["id"])
    house.merchant.operate(paid["id"], "refunds", {"amount": "10.00"})
    house.merchant.wait(paid["id"], "partially_refunded")
    authorized = house.merchant.pay(order(amount="80.00", capture=False), "authorized")
    house.merchant.operate(authorized["id"], "capture", {"amount": "55.00"})
    house.merchant.wait(authorized["id"], "captured")
    for payment in (paid, authorized):
        house.assert_books_agree(payment["id"])
    body = order()
    with house.celery() as elsewhere:
        elsewhere.send_task("payments.process", kwargs=body | {"idempotency_key": unique("key")})
    query = "SELECT id FROM payments WHERE invoice_id = %s AND state = 'captured'"
    eventually(lambda: len(house.rows(query, body["invoice_id"])) == 1, "a captured payment that came over Celery")


def _assert_quorum(url: str, queue: str) -> None:
    """RabbitMQ accepts a declaration only if it describes the queue as it is."""
    with Connection(url) as connection, connection.channel() as channel:
        channel.queue_declare(queue, durable=True, auto_delete=False, arguments=QUORUM)
    with Connection(url) as connection, connection.channel() as channel, pytest.raises(amqp.PreconditionFailed):
        channel.queue_declare(queue, durable=True, auto_delete=False)
