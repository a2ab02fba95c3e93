"""A bug of our own in a gateway fails its task loudly, and its row comes again later and later, never lost."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import insert
from sqlalchemy.exc import IntegrityError

from models.session import transact
from models.tables import attempts, attention, movements, webhook_events
from models.task_messages import CAPTURE_VOID_REFUND, RECONCILE, WEBHOOK
from tests.system import AMOUNT, System


def test_a_webhook_that_we_cannot_read_comes_again_later_and_later(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    payment_id = system.pay()
    system.run_until_idle()
    row_id = system.deliver(system.provider.event("payment_intent.succeeded", system.reference(payment_id)))
    with monkeypatch.context() as patch:
        patch.setattr(system.gateway, "read_webhook", _fail)
        pauses = [_seconds_until_due(system, WEBHOOK, row_id) for _ in range(3)]
    assert pauses == sorted(set(pauses))

    system.advance(minutes=5)
    assert (system.webhook(row_id).status, system.payment(payment_id).captured) == ("applied", AMOUNT)


def test_an_attempt_that_we_cannot_look_up_comes_again_later_and_later(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    system.provider.fail("payment_intents.confirm", "reset_after")
    payment_id = system.pay()
    system.run_until_idle()
    assert system.state(payment_id) == "in_doubt"
    attempt_id = system.attempts(payment_id)[0].id
    with monkeypatch.context() as patch:
        patch.setattr(system.gateway, "retrieve", _fail)
        pauses = [_seconds_until_due(system, RECONCILE, attempt_id) for _ in range(3)]
    assert pauses == sorted(set(pauses))

    system.advance(minutes=5)
    assert (system.state(payment_id), system.provider.movements()) == ("captured", [("charge", AMOUNT)])


def test_a_movement_that_is_booked_already_is_never_booked_again_and_a_person_is_asked(system: System) -> None:
    payment_id = system.pay(capture=False)
    system.run_until_idle()
    held = system.rows(movements)[0]._asdict()
    booked = held | {"id": held["id"] + 1000, "kind": "release", "amount": -AMOUNT}
    transact(system.engine, lambda connection: connection.execute(insert(movements), booked))
    system.request(f"/{payment_id}/cancel")
    void = system.attempts(payment_id)[1]
    for _ in range(5):
        with pytest.raises(IntegrityError):
            system.run(CAPTURE_VOID_REFUND if void.status == "due" else RECONCILE, void.id)
        system.move_clock(minutes=5)
        void = system.attempts(payment_id)[1]
    [entry] = system.rows(attention)
    assert (entry.reason, entry.payment_id, entry.data["error"]) == ("failing_row", payment_id, "IntegrityError")
    assert [row.kind for row in system.rows(movements)] == ["authorization", "release"]
    assert system.state(payment_id) == "authorized"


def _fail(*_: Any) -> Any:
    raise ZeroDivisionError


def _seconds_until_due(system: System, task: str, row_id: str) -> int:
    """Run a task that fails once its row is due; return the seconds until the row is due again."""
    system.move_clock(minutes=5)
    with pytest.raises(ZeroDivisionError):
        system.run(task, row_id)
    table = webhook_events if task == WEBHOOK else attempts
    [row] = system.rows(table, table.c.id == row_id)
    assert row.due_at > system.now()
    return round((row.due_at - system.now()).total_seconds())
