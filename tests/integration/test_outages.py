"""Provider, database, broker or settings fail us, or a customer's bank does: nothing is lost, failed too early, or
shown to whom it does not concern. Found by a review, like test_interleavings.py."""

from __future__ import annotations

import contextlib
import json
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import requests
from celery import Celery
from celery.exceptions import Retry
from kombu import Connection, Queue
from sqlalchemy import update

from gateways.http import make_session, was_never_sent
from models.clock import Clock
from models.session import make_engine, transact
from models.tables import assessments, attempts
from models.task_messages import PROCESS, TaskMessage
from sandbox.stripe.errors import NotStored
from stack.process import free_port
from tasks.payment_task import QuietRequest
from tests.integration.scene import READ_SECONDS, WHOLE, Json, Scene, make_gateway, order
from worker.celery import app
from worker.publisher import Publisher

pytestmark = pytest.mark.postgres


# --- outages of the provider ----------------------------------------------------------------------------


@pytest.mark.parametrize("tries", [6, 12])
def test_a_provider_that_refuses_connections_fails_no_payment(scene: Scene, tries: int) -> None:
    scene.runtime.gateways["stripe"] = make_gateway(f"http://127.0.0.1:{free_port()}")
    payment_id = _try(scene, tries)
    assert (scene.state(payment_id), scene.attempts(payment_id)[0].retries) == ("accepted", tries)

    scene.runtime.gateways["stripe"] = scene.gateway
    scene.pass_time(minutes=5)
    assert (scene.state(payment_id), scene.moved()) == ("captured", [("charge", WHOLE)])


@pytest.mark.parametrize("operation", ["payment_intents.create", "payment_intents.confirm"])
def test_a_rate_limit_fails_no_payment(scene: Scene, operation: str) -> None:
    scene.fail(operation, "rate_limit", times=6)
    payment_id = _try(scene, 6)
    assert (scene.state(payment_id), scene.attempts(payment_id)[0].retries) == ("accepted", 6)
    scene.pass_time(minutes=5)
    assert (scene.state(payment_id), scene.moved()) == ("captured", [("charge", WHOLE)])


def test_a_payment_that_is_given_up_is_void_at_the_provider_before_it_fails(scene: Scene) -> None:
    scene.fail("payment_intents.confirm", "rate_limit", times=None)
    scene.fail("payment_intents.cancel", "rate_limit", times=2)
    payment_id = _try(scene, 12)
    assert _verbs(scene, payment_id) == [("charge", "due")]

    scene.pass_time(minutes=5)  # the last try; the first void
    scene.pass_time(minutes=5)
    assert _verbs(scene, payment_id) == [("charge", "failed"), ("void", "due")]
    assert (scene.state(payment_id), scene.intent_status(payment_id)) == ("accepted", "requires_confirmation")
    assert scene.call("POST", "/process", order("inv", "pm_card_visa")).status_code == 409

    scene.pass_time(minutes=5)
    assert (scene.state(payment_id), scene.intent_status(payment_id)) == ("failed", "canceled")
    assert scene.moved() == []


def test_a_subscription_that_was_given_up_is_tried_again_in_dunning(scene: Scene) -> None:
    scene.fail("payment_intents.confirm", "rate_limit", times=None)
    payment_id = _try(scene, 14, subscription_id="sub")
    assert (scene.state(payment_id), scene.case(payment_id).state, scene.subscription()) == (
        "past_due",
        "retrying",
        "past_due",
    )
    assert scene.intent_status(payment_id) == "canceled"

    scene.heal()
    scene.pass_time(days=3)
    assert (scene.state(payment_id), scene.subscription()) == ("captured", "active")
    assert scene.moved() == [("charge", WHOLE)]


def test_a_lock_at_the_provider_leaves_the_confirm_in_doubt(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    locked = NotStored(429, "invalid_request_error", "Another request holds this object.", code="lock_timeout")
    monkeypatch.setattr("sandbox.stripe.api.rate_limited", lambda: locked)
    scene.fail("payment_intents.confirm", "rate_limit")
    payment_id = scene.pay()
    scene.work()
    assert (scene.state(payment_id), scene.attempts(payment_id)[0].status) == ("in_doubt", "in_doubt")
    scene.pass_time(seconds=2)
    assert (scene.state(payment_id), scene.moved()) == ("captured", [("charge", WHOLE)])


def _try(scene: Scene, times: int, **changes: Any) -> str:
    """Ask for a payment and let it be tried so often; return its id."""
    payment_id = scene.pay(**changes)
    scene.rest()
    for _ in range(times - 1):
        scene.pass_time(minutes=5)
    return payment_id


def _verbs(scene: Scene, payment_id: str) -> list[tuple[str, str]]:
    return [(row.verb, row.status) for row in scene.attempts(payment_id)]


# --- what proves that nothing was sent ------------------------------------------------------------------


def test_a_refused_connection_was_never_sent() -> None:
    assert was_never_sent(_failure(free_port(), scheme="http"))


def test_a_refused_certificate_was_never_sent(certificate: Path) -> None:
    with _listening(lambda client: _handshake(client, certificate)) as port:
        assert was_never_sent(_failure(port))


def test_a_tls_error_after_the_request_was_read_proves_nothing(certificate: Path) -> None:
    read_by_provider: list[bytes] = []

    def break_off(client: socket.socket) -> None:
        secured = _handshake(client, certificate)
        while b"amount=1" not in b"".join(read_by_provider):
            read_by_provider.append(secured.recv(4096))
        # A balancer that answers in clear text, where the client expects a TLS record.
        with socket.socket(fileno=secured.detach()) as plain:
            plain.sendall(b"HTTP/1.1 502 Bad Gateway\r\n\r\n")

    with _listening(break_off) as port:
        failure = _failure(port, verify=str(certificate))
    assert isinstance(failure, requests.exceptions.SSLError)
    assert read_by_provider
    assert not was_never_sent(failure)


def test_an_answer_that_does_not_come_proves_nothing() -> None:
    is_over = threading.Event()
    with _listening(lambda client: is_over.wait()) as port:
        failure = _failure(port, scheme="http")
        is_over.set()
    assert isinstance(failure, requests.ReadTimeout)
    assert not was_never_sent(failure)


@pytest.fixture
def certificate() -> Path:
    """A certificate for 127.0.0.1 that nobody trusts, and its key, in one file."""
    return Path(__file__).parents[1] / "fixtures" / "untrusted.pem"


def _handshake(client: socket.socket, certificate: Path) -> ssl.SSLSocket:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context.wrap_socket(client, server_side=True)


@contextmanager
def _listening(serve: Callable[[socket.socket], Any]) -> Iterator[int]:
    """Serve one connection in a thread; give the port."""

    def run() -> None:
        client, _ = listener.accept()
        # The client breaks the connection off in the middle, which is what it is there for.
        with client, contextlib.suppress(OSError):
            serve(client)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=run)
        thread.start()
        yield listener.getsockname()[1]
        thread.join()


def _failure(port: int, scheme: str = "https", **how: Any) -> requests.RequestException:
    """Return why a call failed."""
    url = f"{scheme}://127.0.0.1:{port}"
    with make_session(url) as session, pytest.raises(requests.RequestException) as failure:
        session.post(url, data={"amount": "1"}, timeout=(READ_SECONDS, READ_SECONDS), **how)
    return failure.value


# --- looks that bring nothing new -----------------------------------------------------------------------


def test_looks_that_change_nothing_thin_out(scene: Scene) -> None:
    payment_id = scene.pay(card="pm_card_authenticationRequired", return_url="https://shop.example/back")
    scene.rest()
    # Somebody chose another card in the dashboard: the intent is unconfirmed, and the payment stays as it is.
    card = {"payment_method": "pm_card_visa"}
    scene.provider("POST", f"/v1/payment_intents/{scene.attempts(payment_id)[0].provider_reference}", card)

    waits = []
    for _ in range(5):
        due_at = scene.attempts(payment_id)[0].due_at
        waits.append(due_at - scene.now())
        scene.pass_time(seconds=waits[-1].total_seconds() + 1)
        assert scene.state(payment_id) == "requires_action"
    assert [round(wait / timedelta(minutes=1)) for wait in waits] == [1, 1, 10, 60, 360]


def test_a_closed_attempt_is_not_looked_at_for_ever(scene: Scene) -> None:
    payment_id = scene.pay()
    scene.rest()
    _make_due(scene, payment_id)
    scene.pass_time(seconds=1)
    assert scene.attempts(payment_id)[0].due_at is None
    scene.move_clock(days=1)
    scene.sweep()
    assert scene.messages == []


def _make_due(scene: Scene, payment_id: str) -> None:
    """Leave a due date on an attempt that is closed, as two writers who did not see each other may."""
    late = update(attempts).where(attempts.c.payment_id == payment_id).values(due_at=scene.now())
    transact(scene.engine, lambda connection: connection.execute(late))


# --- outages of the database and of the broker; settings that are missing -------------------------------


def test_a_payment_from_the_broker_waits_for_the_database(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    task, fields = app.tasks[PROCESS], order("inv", "pm_card_visa") | {"application": "shop"}
    sent: list[Json] = []
    monkeypatch.setattr(task, "apply_async", lambda args, kwargs, **options: sent.append(kwargs | options))
    absent = make_engine(f"postgresql://postgres@127.0.0.1:{free_port()}/absent")
    monkeypatch.setattr(app, "runtime", lambda: replace(scene.runtime, engine=absent, clock=Clock(absent)))
    with pytest.raises(Retry):
        _receive(fields)
    [again] = sent
    assert (again["task_id"], again["countdown"], again["retries"]) == ("message-1", 10, 1)
    assert fields.items() <= again.items()

    monkeypatch.setattr(app, "runtime", lambda: scene.runtime)
    assert _receive(fields) == _receive(fields)
    scene.rest()
    assert scene.moved() == [("charge", WHOLE)]


def _receive(fields: Json) -> str:
    """Receive a message as a worker does, up to the point where an exception would be handled."""
    task = app.tasks[PROCESS]
    task.push_request(id="message-1", args=(), kwargs=fields, called_directly=False, retries=0, delivery_info={})
    try:
        return str(task.run(**fields))
    finally:
        task.pop_request()


def test_a_worker_without_settings_leaves_webhooks_to_others(scene: Scene) -> None:
    payment_id = scene.pay()
    scene.rest()
    reference = scene.attempts(payment_id)[0].provider_reference
    row_id = scene.deliver(scene.told("payment_intent.succeeded", reference))
    gateway = scene.runtime.gateways.pop("stripe")
    scene.rest()
    assert (scene.hook(row_id).status, scene.hook(row_id).due_at is None) == ("stored", False)

    scene.runtime.gateways["stripe"] = gateway
    scene.pass_time(minutes=1)
    assert scene.hook(row_id).status == "applied"


def test_an_event_that_says_too_little_sends_us_to_the_provider(scene: Scene) -> None:
    payment_id = scene.pay(**scene.saved_bank_account())
    scene.rest()
    reference = scene.attempts(payment_id)[0].provider_reference
    scene.bank_says(reference, "success")
    thing = {"id": reference, "object": "payment_intent", "status": "succeeded"}
    event = {"id": "evt_thin", "type": "payment_intent.succeeded", "livemode": False, "data": {"object": thing}}
    assert scene.deliver_and_rest(event).status == "applied"
    assert scene.state(payment_id) == "captured"


@pytest.mark.parametrize("data", [None, {"object": None}, {"object": []}, {"object": {"object": "payment_intent"}}, 7])
def test_a_signed_event_that_makes_no_sense_is_kept_and_not_tried_again(scene: Scene, data: Any) -> None:
    event = {"id": "evt_1", "type": "payment_intent.succeeded", "livemode": False, "data": data}
    row = scene.deliver_and_rest(event)
    assert (row.status, row.due_at) == ("unreadable", None)
    scene.move_clock(days=1)
    scene.sweep()
    assert scene.messages == []


@pytest.mark.parametrize("error", [RuntimeError, OSError, ValueError, KeyError, TimeoutError])
def test_the_bell_raises_nothing(error: type[Exception], monkeypatch: pytest.MonkeyPatch) -> None:
    deaf = Celery("deaf", broker="memory://", set_as_current=False)
    calls: list[str] = []

    def refuse(name: str, **_: Any) -> None:
        calls.append(name)
        raise error("no")

    monkeypatch.setattr(deaf, "send_task", refuse)
    bell = Publisher(deaf)
    bell.publish([TaskMessage("payments.charge", "at_1"), TaskMessage("payments.charge", "at_2")])
    bell.publish([TaskMessage("payments.charge", "at_3")])
    assert calls == ["payments.charge"]


@pytest.mark.rabbitmq
def test_the_bell_survives_a_queue_that_somebody_declared_in_another_way(amqp_url: str, queue_prefix: str) -> None:
    name = f"{queue_prefix}charges"
    with Connection(amqp_url) as connection, connection.channel() as channel:
        channel.queue_declare(name, durable=True, auto_delete=False)
    deaf = Celery("deaf", broker=amqp_url, set_as_current=False)
    deaf.conf.task_queues = [Queue(name, routing_key=name, queue_arguments={"x-queue-type": "quorum"})]
    deaf.conf.task_default_queue = name
    Publisher(deaf).publish([TaskMessage("payments.charge", "at_1")])
    with Connection(amqp_url) as connection, connection.channel() as channel:
        assert channel.queue_declare(name, passive=True).message_count == 0
    deaf.close()


# --- what nobody may see --------------------------------------------------------------------------------


def test_inspect_shows_no_personal_data_of_a_payment() -> None:
    canary = {"email": "canary@example.org", "payment_method_token": "pm_canary"}
    shown = _request(PROCESS, [], canary).info()
    assert shown["name"] == PROCESS
    assert "canary" not in json.dumps(shown, default=str)


def test_inspect_shows_which_row_a_task_is_about() -> None:
    assert "at_1" in json.dumps(_request("payments.charge", ["at_1"], {}).info(), default=str)


def _request(task: str, args: list[str], kwargs: Json) -> QuietRequest:
    """Return a message as a worker holds it, from a sender who describes its arguments in full."""
    body = (args, kwargs, {})
    headers = {"id": "message-1", "task": task, "argsrepr": repr(args), "kwargsrepr": repr(kwargs)}
    message = SimpleNamespace(
        headers=headers,
        payload=body,
        body=json.dumps(body),
        content_type="application/json",
        content_encoding="utf-8",
        delivery_info={},
        properties={},
    )
    return QuietRequest(message, headers=headers, decoded=True, body=body, app=app, task=app.tasks[task])


def test_velocity_is_that_of_one_application(scene: Scene) -> None:
    for number in range(5):
        scene.pay(f"declined-{number}", "pm_card_visa_chargeDeclined")
    scene.rest()
    known = scene.pay("sixth")
    response = scene.call("POST", "/process", order("elsewhere", "pm_card_visa"), caller="other")
    scene.rest()
    assert [reason["rule"] for reason in _reasons(scene, known)] == ["many_declines"]
    assert _reasons(scene, response.json["id"]) == []


def _reasons(scene: Scene, payment_id: str) -> list[Json]:
    [row] = scene.rows(assessments, assessments.c.payment_id == payment_id)
    return list(row.reasons)
