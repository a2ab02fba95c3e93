"""One row that fails by a bug of ours, or that nobody can read, stops no other row, in any task and any sweep.

It is counted, comes again later and later, is logged as an error and ends on the attention list."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib import import_module
from typing import Any

import pytest
from sqlalchemy import Table, update

from models.due_rows import DUE_ROWS
from models.movements import differences
from models.session import read, transact
from models.tables import (
    attempts,
    attention,
    cash_balances,
    dunning_cases,
    fraud_backtests,
    fraud_reviews,
    movements,
    outbox,
    webhook_events,
)
from models.task_messages import (
    BACKTEST,
    CAPTURE_VOID_REFUND,
    CASH_BALANCE,
    CHARGE,
    COMPARE,
    DUNNING,
    EXPIRE_REVIEW,
    FORGET_SIGNALS,
    FRAUD_BRAKE,
    MAKE_DEFAULT,
    NOTIFY,
    PROCESS,
    QUEUE_OF_TASK,
    RECONCILE,
    REMIND,
    SCORE,
    SWEEP,
    WEBHOOK,
)
from tests.integration.test_cash_balances import send_money
from tests.integration.test_customers import carried_out, intent, transfer
from tests.system import AMOUNT, System, running_system

# The method in which the bug is, for the row of one object only.
BUGS: dict[str, str] = {
    CHARGE: "charge",
    CAPTURE_VOID_REFUND: "refund",
    RECONCILE: "retrieve",
    WEBHOOK: "read_webhook",
    DUNNING: "due_of_case",
    CASH_BALANCE: "read_balance",
    EXPIRE_REVIEW: "decide_review",
}
# Where that is, if it is no method of the gateway.
MODULES = {DUNNING: "tasks.dunning", EXPIRE_REVIEW: "models.fraud.review_requests"}
# A message of `process` is all there is, a sweep and the reminders are about no row, the comparison has tests of its
# own below, mails have theirs in `test_mails`, defaults in `test_default_methods`, backtests in `test_fraud_checks`.
WITHOUT_ROW = {PROCESS, SWEEP, COMPARE, FRAUD_BRAKE, REMIND, NOTIFY, MAKE_DEFAULT, SCORE, FORGET_SIGNALS, BACKTEST}


@pytest.fixture
def system(sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[System]:
    """A system on SQLite: nothing here happens at once."""
    with running_system(sqlite_url) as running:
        running.tasks_run_in(monkeypatch)
        yield running


class Poison(Exception):
    """A bug of ours."""


def work(system: System, **by: float) -> int:
    """Let some time pass, and beat and workers do what has become due; return how many tasks failed."""
    system.move_clock(**by)
    system.sweep()
    failed = 0
    while system.messages:
        message = system.messages.pop(0)
        try:
            system.run(*message)
        except Poison:
            failed += 1
    return failed


def poison(system: System, monkeypatch: pytest.MonkeyPatch, task: str, is_bad: Callable[[Any], bool]) -> None:
    """Let the work on a bad row fail until the patches are undone."""
    name, module = BUGS[task], MODULES.get(task)
    owner: Any = import_module(module) if module is not None else system.gateway
    genuine = getattr(owner, name)

    def poisoned(first: Any, *others: Any, **named: Any) -> Any:
        if is_bad((first, *others)):
            raise Poison
        return genuine(first, *others, **named)

    monkeypatch.setattr(owner, name, poisoned)


def two_rows(system: System, task: str) -> tuple[Table, str, Callable[[Any], bool], Callable[[], bool]]:
    """Return the table and key of a row that is due, what its call names, and whether the other due row is done."""
    if task == CASH_BALANCE:
        users = [(name, carried_out(system, transfer(f"inv-{name}", user_id=name))) for name in ("bad", "good")]
        customers = {name: str(intent(system, payment_id)["customer"]) for name, payment_id in users}
        for name, payment_id in users:
            system.request(f"/{payment_id}/cancel")
            system.run_until_idle()
            send_money(system, customers[name])
        balances = {row.customer_token: row.id for row in system.rows(cash_balances)}
        return (
            cash_balances,
            balances[customers["bad"]],
            lambda given: given[0] == customers["bad"],
            lambda: (
                system.rows(cash_balances, cash_balances.c.id == balances[customers["good"]])[0].available == AMOUNT
            ),
        )
    if task == DUNNING:
        more = {"subscription_id": "sub-bad"}, {"subscription_id": "sub-good"}
        amounts = {"amount": "45.60"}, {}
        bad, good = (
            system.subscribe(
                f"inv-{n}", system.provider.scripted_card("insufficient_funds", "success"), **sub, **amount
            )
            for n, (sub, amount) in enumerate(zip(more, amounts, strict=True))
        )
        system.move_clock(days=3, minutes=1)
        return dunning_cases, bad, lambda given: given[2] == 4560, lambda: system.state(good) == "captured"
    if task == EXPIRE_REVIEW:
        bad, good = (system.pay(f"inv-{name}", amount="30000.00") for name in ("bad", "good"))
        system.run_until_idle()
        [review] = system.rows(fraud_reviews, fraud_reviews.c.payment_id == bad)
        system.move_clock(hours=73)
        return fraud_reviews, review.id, lambda given: given[1].id == bad, lambda: system.state(good) == "canceled"
    bad, good = system.pay("inv-bad"), system.pay("inv-good")
    bad_attempt = system.attempts(bad)[0].id
    if task == CHARGE:
        return attempts, bad_attempt, lambda given: given[0].payment_id == bad, lambda: system.state(good) == "captured"
    if task == RECONCILE:
        system.provider.fail("payment_intents.confirm", "reset_after", times=2)
        system.run_until_idle()
        assert [system.state(each) for each in (bad, good)] == ["in_doubt"] * 2
        return attempts, bad_attempt, lambda given: given[0].payment_id == bad, lambda: system.state(good) == "captured"
    system.run_until_idle()
    if task == CAPTURE_VOID_REFUND:
        for payment_id in (bad, good):
            system.request(f"/{payment_id}/refunds", Idempotency_Key=payment_id)
        row_id = system.attempts(bad)[1].id
        return attempts, row_id, lambda given: given[0].payment_id == bad, lambda: system.state(good) == "refunded"
    refunds = [
        system.provider.call("POST", "/v1/refunds", {"payment_intent": system.reference(each)})["id"]
        for each in (bad, good)
    ]
    row_id, _ = (system.deliver(system.provider.event("refund.created", refund)) for refund in refunds)
    return webhook_events, row_id, lambda given: refunds[0] in given[0], lambda: system.state(good) == "refunded"


def test_every_task_and_every_swept_table_has_a_poisoned_row() -> None:
    assert BUGS.keys() == QUEUE_OF_TASK.keys() - WITHOUT_ROW
    swept = {attempts, webhook_events, dunning_cases, cash_balances, outbox, fraud_reviews, fraud_backtests}
    assert {due.table for due in DUE_ROWS} == swept


@pytest.mark.parametrize("task", BUGS)
def test_a_poisoned_row_stops_no_other_and_ends_on_the_list(
    system: System, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, task: str
) -> None:
    table, row_id, is_bad, is_other_done = two_rows(system, task)
    with monkeypatch.context() as patch:
        poison(system, patch, task, is_bad)
        if task == CASH_BALANCE:
            for event in reversed(system.provider.call("GET", "/v1/events?limit=100")["data"]):
                system.deliver(event)
        failed = [work(system, seconds=5)]
        for _ in range(3):
            failed.append(work(system, minutes=1))
        assert is_other_done()
        assert failed[0] >= 1
        for _ in range(40):
            failed.append(work(system, minutes=1))
    key = table.c.payment_id if table is dunning_cases else next(iter(table.primary_key.columns))
    [row] = system.rows(table, key == row_id)
    assert row.failures >= 5
    assert row.failures < 20, "it backs off"
    [entry] = system.rows(attention, attention.c.reason == "failing_row")
    assert row_id in str(entry.data)
    errors = [record.message for record in caplog.records if record.levelname == "ERROR"]
    assert [line for line in errors if row_id in line and line.endswith("by Poison")]

    for _ in range(12):
        work(system, minutes=1)
    assert system.rows(table, key == row_id, table.c.due_at <= system.now()) == []
    assert read(system.engine, lambda connection: list(differences(connection))) == []


# --- rows that nobody can read ---


def test_a_row_of_an_unknown_status_stops_no_sweep_and_ends_on_the_list(
    system: System, caplog: pytest.LogCaptureFixture
) -> None:
    bad, good = system.pay("inv-bad"), system.pay("inv-good")
    event = system.deliver(system.provider.event("payment_intent.created", _intent(system)))
    system.messages.clear()
    row_id = system.attempts(bad)[0].id
    unheard_of = update(attempts).where(attempts.c.id == row_id).values(status="unheard_of")
    transact(system.engine, lambda connection: connection.execute(unheard_of))
    for _ in range(30):
        system.move_clock(minutes=1)
        _sweep(system)
        while system.messages:
            message = system.messages.pop(0)
            try:
                system.run(*message)
            except ValueError:
                assert message.row_id == row_id
    assert system.state(good) == "captured"
    assert system.webhook(event).status != "stored"
    [entry] = system.rows(attention)
    assert (entry.reason, entry.payment_id) == ("failing_row", bad)
    assert [record for record in caplog.records if record.levelname == "ERROR" and row_id in record.message]


def _sweep(system: System) -> None:
    try:
        system.sweep()
    except ValueError as error:
        pytest.fail(f"the sweep stops: {error}")


def _intent(system: System) -> str:
    made = system.provider.call("POST", "/v1/payment_intents", {"amount": 100, "currency": "eur"})
    return str(made["id"])


# --- the comparison ---


def test_an_event_of_a_list_that_we_cannot_read_stops_no_other(system: System, monkeypatch: pytest.MonkeyPatch) -> None:
    system.run(COMPARE)
    bad, good = system.pay("inv-bad"), system.pay("inv-good")
    system.run_until_idle()
    refunds = [
        system.provider.call("POST", "/v1/refunds", {"payment_intent": system.reference(each)})["id"]
        for each in (bad, good)
    ]
    genuine = system.gateway.read_webhook

    def read_webhook(payload: str) -> Any:
        if refunds[0] in payload:
            raise Poison
        return genuine(payload)

    with monkeypatch.context() as patch:
        patch.setattr(system.gateway, "read_webhook", read_webhook)
        system.move_clock(minutes=2)
        system.run(COMPARE)
        for _ in range(20):
            work(system, minutes=1)
    assert system.state(good) == "refunded"
    entries = system.rows(attention, attention.c.reason == "failing_row")
    assert entries != []
    assert all(entry.webhook_event_id is not None for entry in entries)
    for _ in range(10):
        work(system, minutes=1)
    assert system.state(bad) == "refunded"


def test_a_charge_that_we_cannot_compare_stops_no_other_and_ends_on_the_list(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    system.provider.fail("events.list", "error_before", times=None)
    system.run(COMPARE)
    bad, good = system.pay("inv-bad"), system.pay("inv-good")
    system.run_until_idle()
    for payment_id in (bad, good):
        system.provider.call("POST", "/v1/refunds", {"payment_intent": system.reference(payment_id), "amount": 500})
    genuine = system.gateway.read_charge

    def read_charge(request: Any) -> Any:
        if request.payment_id == bad:
            raise Poison
        return genuine(request)

    with monkeypatch.context() as patch:
        patch.setattr(system.gateway, "read_charge", read_charge)
        for day in range(31):
            work(system, days=1, minutes=5)
            system.run(COMPARE)
            if day == 1:
                work(system, seconds=10)
                assert system.payment(good).refunded == 500
        [entry] = system.rows(attention, attention.c.reason == "failing_row")
        assert entry.payment_id == bad
        assert look_again(system, entry.id, "too early").status_code == 202
        work(system, seconds=10)
        [entry] = system.rows(attention, attention.c.reason == "failing_row")
        assert (entry.closed_at, entry.resolution, system.payment(bad).refunded) == (None, "look_again", 0)
    assert look_again(system, entry.id, "in time").status_code == 202
    work(system, seconds=10)
    [entry] = system.rows(attention, attention.c.reason == "failing_row")
    assert (entry.closed_at is not None, system.payment(bad).refunded) == (True, 500)
    assert system.attempts(bad)[0].failures == 0


@pytest.mark.parametrize("what", ["fees_of", "disputes_of", "retrieve"])
def test_what_we_cannot_compare_of_one_payment_stops_no_other_and_ends_on_the_list(
    system: System, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    """`retrieve` shows a hold: what was captured elsewhere is on it."""
    system.provider.fail("events.list", "error_before", times=None)
    system.run(COMPARE)
    bad, good = (system.pay(f"inv-{name}", capture=what != "retrieve") for name in ("bad", "good"))
    system.run_until_idle()
    for payment_id in (bad, good):
        if what == "disputes_of":
            path = f"intents/{system.reference(payment_id)}/dispute"
            opened = system.provider.control(path, {"reason": "fraudulent"})
            system.provider.control(f"disputes/{opened['id']}/close", {"result": "lost"})
        if what == "retrieve":
            system.provider.call("POST", f"/v1/payment_intents/{system.reference(payment_id)}/capture")
    kind = {"fees_of": "fee", "disputes_of": "dispute", "retrieve": "capture"}[what]
    genuine: Any = getattr(system.gateway, what)

    def poisoned(request: Any) -> Any:
        if request.payment_id == bad:
            raise Poison
        return genuine(request)

    def booked(payment_id: str) -> list[str]:
        return [row.kind for row in system.rows(movements, movements.c.payment_id == payment_id) if row.kind == kind]

    with monkeypatch.context() as patch:
        patch.setattr(system.gateway, what, poisoned)
        for _ in range(31):
            work(system, days=1, minutes=5)
            system.run(COMPARE)
        assert (len(booked(bad)), len(booked(good))) == (0, 1)
        [entry] = system.rows(attention, attention.c.reason == "failing_row")
        assert (entry.payment_id, entry.closed_at) == (bad, None)
    assert look_again(system, entry.id, "in time").status_code == 202
    work(system, seconds=10)
    assert (len(booked(bad)), len(booked(good))) == (1, 1)
    [entry] = system.rows(attention, attention.c.reason == "failing_row")
    assert entry.closed_at is not None
    assert read(system.engine, lambda connection: list(differences(connection))) == []


def look_again(system: System, entry_id: str, key: str) -> Any:
    """Ask for what has failed to be done now."""
    body = {"action": "look_again", "note": "a release has mended it"}
    return system.post(f"/admin/attention/{entry_id}/resolve", body, caller="operator", Idempotency_Key=key)
