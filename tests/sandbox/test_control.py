"""The control API of the sandbox: clock, faults, webhooks, ledger and overview, with Stripe as the provider."""

from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import requests

from sandbox.server import RunningSandbox
from sandbox.state import Settings
from tests.sandbox.receiver import Receiver, wait_until
from tests.sandbox.stripe_client import Bench


def test_delivery_is_retried_until_it_is_received(hooked: Bench, receiver: Receiver) -> None:
    receiver.failures_left = 2
    hooked.create()
    wait_until(lambda: receiver.types() == ["payment_intent.created"], "the event after two failures")
    assert receiver.failures_left == 0
    wait_until(lambda: hooked.control("GET", "webhooks")["delivered"] == 1, "the delivery is counted")
    assert hooked.client.v1.events.list({"delivery_success": False}).data == []


def test_paused_duplicated_and_reordered_delivery(hooked: Bench, receiver: Receiver) -> None:
    hooked.control("POST", "webhooks", {"paused": True, "duplicate": 2, "reorder": True})
    hooked.pay()
    assert hooked.control("GET", "webhooks")["pending"] == 6
    assert receiver.received == []
    hooked.control("POST", "webhooks", {"paused": False})
    wait_until(lambda: len(receiver.received) == 6, "six deliveries")
    newest_first = ["payment_intent.succeeded", "charge.succeeded", "payment_intent.created"]
    assert receiver.types() == [type for type in newest_first for _ in range(2)]


def test_dropped_events_are_lost_but_listed(hooked: Bench, receiver: Receiver) -> None:
    hooked.control("POST", "webhooks", {"drop_rate": 1.0})
    hooked.create()
    shown = hooked.control("GET", "webhooks")
    assert (shown["dropped"], shown["pending"]) == (1, 0)
    missed = hooked.client.v1.events.list({"delivery_success": False}).data
    assert [event.type for event in missed] == ["payment_intent.created"]


def test_health_and_clock(own: Bench) -> None:
    assert own.control("GET", "health") == {"status": "ok"}
    assert own.control("POST", "clock", {"advance_seconds": 30})["offset_seconds"] == 30
    assert own.control("GET", "clock")["now"] - time.time() == pytest.approx(30, abs=2)
    for wrong in (-1, "1", None):
        with pytest.raises(requests.HTTPError) as refusal:
            own.control("POST", "clock", {"advance_seconds": wrong})
        assert refusal.value.response.status_code == 400


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("faults", {"operation": "*", "fault": "earthquake"}),
        ("faults", {"fault": "latency"}),
        ("faults", {"operation": "*", "fault": "latency", "times": 0}),
        ("faults", {"operation": "*", "fault": "latency", "rate": 2}),
        ("webhooks", {"duplicate": 0}),
        ("webhooks", {"drop_rate": -1}),
        ("cards", {"script": []}),
        ("cards", [1]),
    ],
)
def test_bad_orders_are_refused(bench: Bench, path: str, body: Any) -> None:
    with pytest.raises(requests.HTTPError) as refusal:
        bench.control("POST", path, body)
    assert refusal.value.response.status_code == 400


def test_the_ledger_is_copied_to_a_file(tmp_path: Any) -> None:
    file = tmp_path / "ledger.jsonl"
    with RunningSandbox(Settings(ledger_file=str(file))) as running:
        intent = Bench(running).pay()
        rows = [json.loads(line) for line in file.read_text().splitlines()]
    assert [(row["row"], row["object"]) for row in rows] == [("attempt", intent.id), ("movement", intent.id)]


def test_many_connections_wait_at_the_same_time() -> None:
    with RunningSandbox(Settings(latency_seconds=0.3)) as running:
        bench = Bench(running)
        started = time.monotonic()
        with ThreadPoolExecutor(50) as pool:
            pages = list(pool.map(lambda _: bench.another_client().v1.customers.list().data, range(100)))
        # One after the other would take 30 seconds; two rounds of 300 ms leave ample room for a slow machine.
        assert (len(pages), time.monotonic() - started < 15) == (100, True)
