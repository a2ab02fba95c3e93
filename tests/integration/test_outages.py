"""The provider, the database, the broker or the settings fail: nothing is lost, nothing fails too early, and nothing is
shown to the wrong reader."""

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
from models.tables import attempts, attention, fraud_assessments
from models.task_messages import PROCESS, TaskMessage
from sandbox.stripe.errors import NotStored
from stack.process import free_port
from tasks.payment_task import QuietRequest
from tests.system import AMOUNT, INSUFFICIENT_FUNDS, READ_SECONDS, Json, System, payment_request, stripe_gateway
from worker.celery import app
from worker.publisher import Publisher

pytestmark = pytest.mark.postgres


# --- outages of the provider ----------------------------------------------------------------------------


@pytest.mark.parametrize("tries", [6, 12])
def test_a_provider_that_refuses_connections_fails_no_payment(system: System, tries: int) -> None:
    system.runtime.gateways["stripe"] = stripe_gateway(f"http://127.0.0.1:{free_port()}")
    payment_id = _try(system, tries)
    # Ten failures open the breaker, and an outage uses up no try.
    assert (system.state(payment_id), system.attempts(payment_id)[0].retries) == ("accepted", min(tries, 10))

    system.runtime.gateways["stripe"] = system.gateway
    system.advance(minutes=5)
    assert (system.state(payment_id), system.provider.movements()) == ("captured", [("charge", AMOUNT)])


@pytest.mark.parametrize("operation", ["payment_intents.create", "payment_intents.confirm"])
def test_a_rate_limit_fails_no_payment(system: System, operation: str) -> None:
    system.provider.fail(operation, "rate_limit", times=6)
    payment_id = _try(system, 6)
    assert (system.state(payment_id), system.attempts(payment_id)[0].retries) == ("accepted", 6)
    system.advance(minutes=5)
    assert (system.state(payment_id), system.provider.movements()) == ("captured", [("charge", AMOUNT)])


def test_an_abandoned_payment_is_voided_at_the_provider_before_it_fails(system: System) -> None:
    system.provider.fail("payment_intents.confirm", "rate_limit", times=None)
    system.provider.fail("payment_intents.cancel", "rate_limit", times=2)
    payment_id = _try(system, 12)
    assert _verbs(system, payment_id) == [("charge", "due")]

    system.advance(minutes=5)  # the last try; the first void
    system.advance(minutes=5)
    assert _verbs(system, payment_id) == [("charge", "failed"), ("void", "due")]
    assert (system.state(payment_id), system.provider.intent_status(payment_id)) == (
        "accepted",
        "requires_confirmation",
    )
    assert system.post("/process", payment_request("inv", "pm_card_visa"), Idempotency_Key="second").status_code == 409

    system.advance(minutes=5)
    assert (system.state(payment_id), system.provider.intent_status(payment_id)) == ("failed", "canceled")
    assert system.provider.movements() == []


def test_an_abandoned_subscription_payment_is_retried_in_dunning(system: System) -> None:
    system.provider.fail("payment_intents.confirm", "rate_limit", times=None)
    payment_id = _try(system, 14, subscription_id="sub")
    assert (system.state(payment_id), system.dunning_case(payment_id).state, system.subscription_status()) == (
        "past_due",
        "retrying",
        "incomplete",
    )
    assert system.provider.intent_status(payment_id) == "canceled"

    system.provider.heal()
    system.advance(hours=1)
    assert (system.state(payment_id), system.subscription_status()) == ("captured", "active")
    assert system.provider.movements() == [("charge", AMOUNT)]


def test_an_outage_on_the_last_day_of_retries_uses_up_no_retry(system: System) -> None:
    payment_id = system.subscribe("inv", INSUFFICIENT_FUNDS)
    for days in (3, 4):
        system.advance(days=days)
    assert [attempt.status for attempt in system.attempts(payment_id)] == ["declined"] * 3
    system.provider.fail("*", "reset_before", times=None)
    system.advance(days=7)
    for _ in range(36 * 3):
        system.advance(minutes=20)
    case = system.dunning_case(payment_id)
    assert (system.state(payment_id), case.state, case.retry, case.unsent) == ("past_due", "retrying", 3, 3)
    assert _on_the_list(system) == ["retry_unsent"]

    system.provider.heal()
    system.advance(days=1)
    case = system.dunning_case(payment_id)
    assert (case.state, case.retry, case.unsent) == ("in_grace", 3, 0)
    assert timedelta(days=6) < case.grace_ends_at - system.now() < timedelta(days=7)
    assert _on_the_list(system) == []


def test_a_lock_at_the_provider_leaves_the_confirm_in_doubt(system: System, monkeypatch: pytest.MonkeyPatch) -> None:
    locked = NotStored(429, "invalid_request_error", "Another request holds this object.", code="lock_timeout")
    monkeypatch.setattr("sandbox.stripe.api.rate_limited", lambda: locked)
    system.provider.fail("payment_intents.confirm", "rate_limit")
    payment_id = system.pay()
    system.run_published()
    assert (system.state(payment_id), system.attempts(payment_id)[0].status) == ("in_doubt", "in_doubt")
    system.advance(seconds=2)
    assert (system.state(payment_id), system.provider.movements()) == ("captured", [("charge", AMOUNT)])


def _try(system: System, times: int, **changes: Any) -> str:
    """Ask for a payment and let it be tried so often; return its id."""
    payment_id = system.pay(**changes)
    system.run_until_idle()
    for _ in range(times - 1):
        system.advance(minutes=5)
    return payment_id


def _on_the_list(system: System) -> list[str]:
    return [row.reason for row in system.rows(attention, attention.c.closed_at.is_(None))]


def _verbs(system: System, payment_id: str) -> list[tuple[str, str]]:
    return [(row.verb, row.status) for row in system.attempts(payment_id)]


# --- what proves that nothing was sent ------------------------------------------------------------------


def test_a_refused_connection_was_never_sent() -> None:
    assert was_never_sent(_failure(free_port(), scheme="http"))


def test_a_refused_certificate_was_never_sent(certificate: Path) -> None:
    with _listening(lambda client: _handshake(client, certificate)) as port:
        assert was_never_sent(_failure(port))


def test_a_tls_error_after_the_request_was_read_does_not_prove_that_nothing_was_sent(certificate: Path) -> None:
    read_by_provider: list[bytes] = []

    def break_off(client: socket.socket) -> None:
        secured = _handshake(client, certificate)
        while b"amount=1" not in b"".join(read_by_provider):
            read_by_provider.append(secured.recv(4096))
        # A balancer that responds in clear text, where the client expects a TLS record.
        with socket.socket(fileno=secured.detach()) as plain:
            plain.sendall(b"HTTP/1.1 502 Bad Gateway\r\n\r\n")

    with _listening(break_off) as port:
        failure = _failure(port, verify=str(certificate))
    assert isinstance(failure, requests.exceptions.SSLError)
    assert read_by_provider
    assert not was_never_sent(failure)


def test_a_missing_response_does_not_prove_that_nothing_was_sent() -> None:
    is_over = threading.Event()
    with _listening(lambda client: is_over.wait()) as port:
        failure = _failure(port, scheme="http")
        is_over.set()
    assert isinstance(failure, requests.ReadTimeout)
    assert not was_never_sent(failure)


@pytest.fixture
def certificate() -> Path:
    """An untrusted certificate for 127.0.0.1, and its key, in one file."""
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


# --- look-ups without news -----------------------------------------------------------------------


def test_look_ups_without_news_become_rarer(system: System) -> None:
    payment_id = system.pay(card="pm_card_authenticationRequired", return_url="https://shop.example/back")
    system.run_until_idle()
    # Somebody chose another card in the dashboard: the intent is unconfirmed, and the payment stays as it is.
    card = {"payment_method": "pm_card_visa"}
    system.provider.call("POST", f"/v1/payment_intents/{system.attempts(payment_id)[0].provider_reference}", card)

    waits = []
    for _ in range(5):
        due_at = system.attempts(payment_id)[0].due_at
        waits.append(due_at - system.now())
        system.advance(seconds=waits[-1].total_seconds() + 1)
        assert system.state(payment_id) == "requires_action"
    # By the age of the wait: after a minute, ten minutes, an hour, six hours, twelve.
    assert [round(wait / timedelta(minutes=1)) for wait in waits] == [1, 9, 50, 300, 360]


def test_a_closed_attempt_is_looked_up_once_more_and_then_never(system: System) -> None:
    payment_id = system.pay()
    system.run_until_idle()
    _make_due(system, payment_id)
    system.advance(seconds=1)
    assert system.attempts(payment_id)[0].due_at is None
    system.move_clock(days=1)
    system.sweep()
    assert system.messages == []


def _make_due(system: System, payment_id: str) -> None:
    """Leave a due date on an attempt that is closed, as two writers who did not see each other may."""
    late = update(attempts).where(attempts.c.payment_id == payment_id).values(due_at=system.now())
    transact(system.engine, lambda connection: connection.execute(late))


# --- outages of the database and of the broker; settings that are missing -------------------------------


def test_a_payment_from_the_broker_waits_for_the_database(system: System, monkeypatch: pytest.MonkeyPatch) -> None:
    task, fields = app.tasks[PROCESS], payment_request("inv", "pm_card_visa") | {"application": "shop"}
    sent: list[Json] = []
    monkeypatch.setattr(task, "apply_async", lambda args, kwargs, **options: sent.append(kwargs | options))
    absent = make_engine(f"postgresql://postgres@127.0.0.1:{free_port()}/absent")
    monkeypatch.setattr(app, "runtime", lambda: replace(system.runtime, engine=absent, clock=Clock(absent)))
    with pytest.raises(Retry):
        _receive(fields)
    [again] = sent
    assert (again["task_id"], again["countdown"], again["retries"]) == ("message-1", 10, 1)
    assert fields.items() <= again.items()

    monkeypatch.setattr(app, "runtime", lambda: system.runtime)
    assert _receive(fields) == _receive(fields)
    system.run_until_idle()
    assert system.provider.movements() == [("charge", AMOUNT)]


def _receive(fields: Json) -> str:
    """Receive a message as a worker does, up to the point where an exception would be handled."""
    task = app.tasks[PROCESS]
    task.push_request(id="message-1", args=(), kwargs=fields, called_directly=False, retries=0, delivery_info={})
    try:
        return str(task.run(**fields))
    finally:
        task.pop_request()


def test_a_worker_without_settings_leaves_webhooks_to_others(system: System) -> None:
    payment_id = system.pay()
    system.run_until_idle()
    reference = system.attempts(payment_id)[0].provider_reference
    row_id = system.deliver(system.provider.event("payment_intent.succeeded", reference))
    gateway = system.runtime.gateways.pop("stripe")
    system.run_until_idle()
    assert (system.webhook(row_id).status, system.webhook(row_id).due_at is None) == ("stored", False)

    system.runtime.gateways["stripe"] = gateway
    system.advance(minutes=1)
    assert system.webhook(row_id).status == "applied"


def test_an_event_without_details_causes_a_look_up(system: System) -> None:
    payment_id = system.pay(**system.provider.saved_bank_account())
    system.run_until_idle()
    reference = system.attempts(payment_id)[0].provider_reference
    system.provider.decide_at_bank(reference, "success")
    thing = {"id": reference, "object": "payment_intent", "status": "succeeded"}
    event = {"id": "evt_thin", "type": "payment_intent.succeeded", "livemode": False, "data": {"object": thing}}
    assert system.deliver_and_run(event).status == "applied"
    assert system.state(payment_id) == "captured"


def test_a_webhook_waits_while_the_provider_cannot_be_asked(system: System) -> None:
    payment_id = system.pay(**system.provider.saved_bank_account())
    system.run_until_idle()
    reference = system.reference(payment_id)
    system.provider.decide_at_bank(reference, "success")
    system.provider.fail("payment_intents.retrieve", "error_before")
    row = system.deliver_and_run(system.provider.event("payment_intent.succeeded", reference))
    assert (row.status, row.tries, system.state(payment_id)) == ("stored", 1, "pending")
    system.advance(seconds=5)
    assert (system.webhook(row.id).status, system.state(payment_id)) == ("applied", "captured")


@pytest.mark.parametrize("data", [None, {"object": None}, {"object": []}, {"object": {"object": "payment_intent"}}, 7])
def test_a_malformed_signed_event_is_kept_and_not_tried_again(system: System, data: Any) -> None:
    event = {"id": "evt_1", "type": "payment_intent.succeeded", "livemode": False, "data": data}
    row = system.deliver_and_run(event)
    assert (row.status, row.due_at) == ("unreadable", None)
    system.move_clock(days=1)
    system.sweep()
    assert system.messages == []


@pytest.mark.parametrize("error", [RuntimeError, OSError, ValueError, KeyError, TimeoutError])
def test_the_publisher_raises_nothing(error: type[Exception], monkeypatch: pytest.MonkeyPatch) -> None:
    unreachable = Celery("unreachable", broker="memory://", set_as_current=False)
    calls: list[str] = []

    def refuse(name: str, **_: Any) -> None:
        calls.append(name)
        raise error("no")

    monkeypatch.setattr(unreachable, "send_task", refuse)
    publisher = Publisher(unreachable)
    publisher.publish([TaskMessage("payments.charge", "at_1"), TaskMessage("payments.charge", "at_2")])
    publisher.publish([TaskMessage("payments.charge", "at_3")])
    assert calls == ["payments.charge"]


@pytest.mark.rabbitmq
def test_the_publisher_survives_a_queue_with_other_arguments(amqp_url: str, queue_prefix: str) -> None:
    name = f"{queue_prefix}charges"
    with Connection(amqp_url) as connection, connection.channel() as channel:
        channel.queue_declare(name, durable=True, auto_delete=False)
    unreachable = Celery("unreachable", broker=amqp_url, set_as_current=False)
    unreachable.conf.task_queues = [Queue(name, routing_key=name, queue_arguments={"x-queue-type": "quorum"})]
    unreachable.conf.task_default_queue = name
    Publisher(unreachable).publish([TaskMessage("payments.charge", "at_1")])
    with Connection(amqp_url) as connection, connection.channel() as channel:
        assert channel.queue_declare(name, passive=True).message_count == 0
    unreachable.close()


# --- personal data --------------------------------------------------------------------------------


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


def test_velocity_counts_the_payments_of_one_application(system: System) -> None:
    system.screen_by(attempts_per_day=1000)
    for number in range(5):
        system.pay(f"declined-{number}", "pm_card_visa_chargeDeclined")
    system.run_until_idle()
    known = system.pay("sixth")
    body = payment_request("elsewhere", "pm_card_visa")
    response = system.post("/process", body, caller="other", Idempotency_Key="elsewhere")
    system.run_until_idle()
    assert "user_declines_hour" in [reason["rule"] for reason in _reasons(system, known)]
    assert "user_declines_hour" not in [reason["rule"] for reason in _reasons(system, response.json["id"])]


def _reasons(system: System, payment_id: str) -> list[Json]:
    is_first = (fraud_assessments.c.payment_id == payment_id) & (fraud_assessments.c.number == 1)
    [row] = system.rows(fraud_assessments, is_first)
    return list(row.reasons)
