"""The sweep publishes every overdue row, however often its message is lost, and no locked row holds it up."""

from __future__ import annotations

import pytest
from sqlalchemy import Connection, insert, select, update

from models.due_rows import BATCH, DUE_ROWS, SWEEP_AFTER, mark_published
from models.session import transact
from models.tables import attempts, payments, webhook_events
from models.task_messages import CHARGE, WEBHOOK
from models.webhook_events import store_webhook_event
from tests.system import INSUFFICIENT_FUNDS, System

pytestmark = pytest.mark.postgres
OF_ATTEMPTS = next(due for due in DUE_ROWS if due.table is attempts)


def test_a_new_row_is_left_to_its_writer_for_a_moment(system: System) -> None:
    system.pay()
    system.messages.clear()
    system.sweep()
    assert system.messages == []
    system.move_clock(seconds=SWEEP_AFTER.total_seconds() + 1)
    system.sweep()
    assert [message.task for message in system.messages] == [CHARGE]


def test_a_message_that_is_lost_is_published_again_after_a_while(system: System) -> None:
    system.pay()
    system.move_clock(seconds=10)
    system.messages.clear()
    published = []
    for seconds in (0, OF_ATTEMPTS.publish_again_after.total_seconds() / 2, 20):
        system.move_clock(seconds=seconds)
        system.sweep()
        published.append(len(system.messages))
        system.messages.clear()
    assert published == [1, 0, 1]


def test_each_table_has_its_message(system: System) -> None:
    dunned = system.subscribe("inv", INSUFFICIENT_FUNDS)
    transact(system.engine, store_webhook_event, "stripe", "evt_1", "charge.updated", "{}", system.now())
    charged = system.pay("other")
    system.move_clock(days=3, minutes=1)
    system.messages.clear()
    system.sweep()
    [event] = system.rows(webhook_events)
    expected = {(CHARGE, system.attempts(charged)[0].id), (WEBHOOK, event.id), ("payments.dunning", dunned)}
    assert {tuple(message) for message in system.messages} == expected


def test_a_locked_row_does_not_hold_up_the_others(system: System) -> None:
    first, second = system.pay("first"), system.pay("second")
    system.move_clock(minutes=1)
    system.messages.clear()
    locked = select(attempts).where(attempts.c.payment_id == first).with_for_update()
    with system.engine.begin() as elsewhere:
        elsewhere.execute(locked)
        system.sweep()
    assert [message.row_id for message in system.messages] == [system.attempts(second)[0].id]

    system.sweep()
    assert [message.row_id for message in system.messages[1:]] == [system.attempts(first)[0].id]


def test_a_locked_payment_holds_up_neither_the_sweep_nor_other_payments(system: System) -> None:
    first, second = system.pay("first"), system.pay("second")
    system.move_clock(minutes=1)
    system.messages.clear()
    with system.engine.begin() as elsewhere:
        elsewhere.execute(select(payments).where(payments.c.id == first).with_for_update())
        system.sweep()
        [other] = [message for message in system.messages if message.row_id == system.attempts(second)[0].id]
        system.run(*other)
    assert (system.state(first), system.state(second)) == ("accepted", "captured")


def test_more_than_a_batch_is_published_by_one_sweep_oldest_first(system: System) -> None:
    payment_id = system.pay()
    [row] = system.attempts(payment_id)
    transact(system.engine, _copy_refunds, dict(row._mapping), BATCH + 5)
    system.move_clock(minutes=1)
    system.messages.clear()
    assert len(transact(system.engine, mark_published, OF_ATTEMPTS, system.now())) == BATCH
    transact(system.engine, _unpublish)
    system.sweep()
    assert len({message.row_id for message in system.messages}) == BATCH + 6


def _copy_refunds(connection: Connection, row: dict[str, object], times: int) -> None:
    """Store due refunds of the attempt's payment: the one kind that may be under way many times."""
    copies = [row | {"id": f"re_{number}", "number": number + 2, "verb": "refund"} for number in range(times)]
    connection.execute(insert(attempts), copies)


def _unpublish(connection: Connection) -> None:
    connection.execute(update(attempts).values(published_at=None))
