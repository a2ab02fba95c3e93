"""What the publisher sends to a broker: the task's name and a row's id, in the task's queue, and nothing else."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import redis
from celery import Celery
from fakeredis import TcpFakeServer

from models.task_messages import CHARGE, SWEEP, WEBHOOK, TaskMessage
from worker.publisher import Publisher

ROUTES = {CHARGE: {"queue": "charges"}, WEBHOOK: {"queue": "webhooks"}}


@pytest.fixture(autouse=True)
def no_broker_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Celery prefers the variable to the configured URL."""
    monkeypatch.delenv("CELERY_BROKER_URL", raising=False)


@contextmanager
def fake_broker() -> Iterator[str]:
    """Run an imitation of Redis on a free port; other tests prove the delivery on real servers."""
    server = TcpFakeServer(("127.0.0.1", 0))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"redis://127.0.0.1:{server.server_address[1]}/0"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture
def broker() -> Iterator[str]:
    with fake_broker() as url:
        yield url


def publisher_on(url: str) -> Publisher:
    """Return the publisher of an application that knows only the routes."""
    app = Celery("publisher", set_as_current=False)
    app.conf.update(broker_url=url, task_routes=ROUTES, broker_transport_options={"max_retries": 0})
    return Publisher(app)


def messages(url: str, queue: str) -> list[dict[str, Any]]:
    """Return the messages of a queue, oldest first."""
    with redis.Redis.from_url(url) as client:
        return [json.loads(raw) for raw in reversed(client.lrange(queue, 0, -1))]


def test_a_message_carries_a_row_id_and_nothing_else(broker: str) -> None:
    publisher_on(broker).publish([TaskMessage(CHARGE, "at_1"), TaskMessage(WEBHOOK, "wh_1")])
    [charge], [webhook] = messages(broker, "charges"), messages(broker, "webhooks")
    assert charge["headers"]["task"] == CHARGE
    args, kwargs, _ = json.loads(base64.b64decode(charge["body"]))
    assert (args, kwargs) == (["at_1"], {})
    assert webhook["headers"]["argsrepr"] == "('wh_1',)"


def test_messages_keep_their_order(broker: str) -> None:
    ids = [f"at_{number}" for number in range(20)]
    publisher_on(broker).publish(TaskMessage(CHARGE, row_id) for row_id in ids)
    assert [message["headers"]["argsrepr"] for message in messages(broker, "charges")] == [f"('{i}',)" for i in ids]


def test_after_a_failure_the_publisher_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    # Longer than any machine needs to start a broker.
    monkeypatch.setattr("worker.publisher._PAUSE_SECONDS", 3600)
    with fake_broker() as url:
        port = int(url.rsplit(":", 1)[1].split("/")[0])
    publisher = publisher_on(url)  # the server is gone
    publisher.publish([TaskMessage(SWEEP, "x")])
    server = TcpFakeServer(("127.0.0.1", port))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        publisher.publish([TaskMessage(CHARGE, "at_1")])
        assert messages(url, "charges") == []
    finally:
        server.shutdown()
        server.server_close()
