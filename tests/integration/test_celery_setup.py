"""The running worker has the documented setup: names, queues, limits, JSON only, events without personal data."""

from __future__ import annotations

import json
import pickle
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from kombu import Producer

from domain.comparison import LONGEST_WINDOW
from models.task_messages import COMPARE, FORGET_SIGNALS, FRAUD_BRAKE, REMIND, SWEEP
from tests.acceptance.harness import APPLICATION, Deployment, Json, eventually, payment_body, unique
from tests.patience import patient
from worker.celery import app

pytestmark = [pytest.mark.postgres, pytest.mark.redis]

TASKS = {
    "payments.process",
    "payments.charge",
    "payments.settle",
    "payments.reconcile",
    "payments.webhook",
    "payments.dunning",
    "payments.sweep",
}
QUEUES = {"charges", "webhooks", "dunning", "mail", "fraud", "upkeep"}
# No task takes longer: the provider's time-out and the transactions around the call.
LONGEST_TASK_SECONDS = 120
# Celery sometimes loses an event when threads send several at once, but not this many.
MESSAGES = 5


def test_the_worker_knows_every_task_by_its_name(deployment: Deployment) -> None:
    assert _inspect(deployment, "registered") >= TASKS


def test_the_worker_listens_to_every_queue(deployment: Deployment) -> None:
    queues = {queue["name"].removeprefix(deployment.prefix) for queue in _inspect(deployment, "active_queues", list)}
    assert queues == QUEUES


def test_the_settings_are_those_of_the_reliability_rules(deployment: Deployment) -> None:
    conf = _inspect(deployment, "conf", dict)
    expected = {
        "task_acks_late": True,
        "task_reject_on_worker_lost": True,
        "worker_prefetch_multiplier": 1,
        "task_ignore_result": True,
        "task_serializer": "json",
        "accept_content": ["json"],
        "worker_send_task_events": True,
        "task_send_sent_event": True,
    }
    assert {name: conf[name] for name in expected} == expected
    assert conf["broker_transport_options"]["visibility_timeout"] > LONGEST_TASK_SECONDS


def test_beat_sends_the_sweep_and_the_comparison() -> None:
    sent = {entry["task"]: entry for entry in app.conf.beat_schedule.values()}
    assert set(sent) == {SWEEP, COMPARE, REMIND, FORGET_SIGNALS, FRAUD_BRAKE}
    assert sent[SWEEP]["schedule"] <= 5
    assert sent[COMPARE]["schedule"] < LONGEST_WINDOW.total_seconds()
    # An older message is dropped, because newer ones have replaced it; a newer one always comes before that.
    assert all(entry["options"]["expires"] >= entry["schedule"] for entry in sent.values())


class Bomb:
    """Writes a file when it is unpickled."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.write_text, (self.target, "unpickled")


def test_a_message_that_is_not_json_is_never_deserialized(deployment: Deployment, tmp_path: Path) -> None:
    target = tmp_path / "bomb"
    with deployment.celery() as elsewhere, elsewhere.connection() as connection, connection.channel() as channel:
        Producer(channel).publish(
            pickle.dumps([[Bomb(target)], {}, {}]),
            routing_key=f"{deployment.prefix}charges",
            content_type="application/x-python-serialize",
            content_encoding="binary",
            headers={"task": "payments.charge", "id": unique("task"), "lang": "py"},
        )
    worker = next(process for process in deployment.processes if process.name == "worker")
    eventually(lambda: "Refusing to deserialize" in worker.log_text(), "a refused message")
    deployment.assert_charged_once(deployment.merchant.pay(payment_body())["id"])
    assert not target.exists()


def test_events_and_logs_show_no_personal_data(deployment: Deployment) -> None:
    canaries = {
        "payment_method_token": deployment.provider.card("success"),
        "email": f"{unique('canary')}@example.org",
        "ip_address": "203.0.113.77",
        "device_fingerprint": unique("fingerprint"),
        "billing_address": {"line1": unique("street")},
        "metadata": {"note": unique("note")},
    }
    with _events(deployment) as seen, deployment.celery() as elsewhere:
        over_http = deployment.merchant.process(payment_body() | canaries)["id"]
        for _ in range(MESSAGES):
            over_celery = payment_body() | canaries | {"application": APPLICATION}
            elsewhere.send_task("payments.process", kwargs=over_celery)
            elsewhere.send_task("payments.process", kwargs=over_celery | {"amount": unique("amount")})
        deployment.merchant.wait(over_http, "captured")
        eventually(lambda: _ended(seen, "payments.process") == {"task-succeeded", "task-failed"}, "both ends")
        eventually(lambda: "task-succeeded" in _ended(seen, "payments.charge"), "the end of a charge")
    shown = json.dumps(seen, default=str) + "".join(process.log_text() for process in deployment.processes)
    secrets = [*_texts(canaries), "canary-", "street-", "amount-", "fingerprint-"]
    assert [secret for secret in secrets if secret in shown] == []


def test_events_name_the_row_that_a_task_is_about(deployment: Deployment) -> None:
    with _events(deployment) as seen:
        payment = deployment.merchant.pay(payment_body())
        attempt_id = payment["attempts"][0]["id"]
        eventually(lambda: any(attempt_id in str(event.get("args")) for event in seen), "an event of the charge")


def _inspect(deployment: Deployment, what: str, kind: type = set) -> Any:
    """Inspect the running worker over the broker, as `celery inspect` does."""
    name = f"{deployment.prefix}worker@{socket.gethostname()}"
    responses: Json = {}
    with deployment.celery() as elsewhere:
        inspect = elsewhere.control.inspect([name], timeout=patient(5))

        def has_responded() -> bool:
            responses.update(getattr(inspect, what)() or {})
            return name in responses

        eventually(has_responded, f"a response of {name}")
    return kind(responses[name])


@contextmanager
def _events(deployment: Deployment) -> Iterator[list[Json]]:
    """Collect every event on the broker, as Flower does."""
    seen: list[Json] = []
    with deployment.celery() as elsewhere, elsewhere.connection() as connection:
        receiver = elsewhere.events.Receiver(connection, handlers={"*": seen.append})
        thread = threading.Thread(target=receiver.capture)
        thread.start()
        try:
            eventually(lambda: bool(seen), "a first event")
            yield seen
        finally:
            receiver.should_stop = True
            thread.join()


def _ended(seen: list[Json], task: str) -> set[str]:
    ids = {event["uuid"] for event in seen if event.get("name") == task}
    ends = ("task-succeeded", "task-failed")
    return {event["type"] for event in seen if event.get("uuid") in ids and event["type"] in ends}


def _texts(value: Any) -> list[str]:
    return [text for part in value.values() for text in _texts(part)] if isinstance(value, dict) else [value]
