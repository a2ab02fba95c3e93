"""The sweep publishes every overdue row, however often its message is lost, and no locked row holds it up."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from sqlalchemy import Connection, insert, select, update

from benchmarks.executed_plans import executed, read_blocks
from models.due_rows import BATCH, DUE_ROWS, SWEEP_AFTER, mark_published
from models.session import transact
from models.tables import attempts, payments, webhook_events
from models.task_messages import CHARGE, WEBHOOK
from models.webhook_events import store_webhook_event
from runtime.low_water_marks import COMPLETE_EVERY, LATE
from tests.system import INSUFFICIENT_FUNDS, System

pytestmark = pytest.mark.postgres


@pytest.fixture
def postgres_url(fresh_postgres_url: str) -> str:
    """A database without the dead rows of other tests, because some of these count blocks."""
    return fresh_postgres_url


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


def test_a_case_that_queues_behind_others_is_not_published_again_at_once(system: System) -> None:
    system.subscribe("inv", INSUFFICIENT_FUNDS)
    system.move_clock(days=3, minutes=1)
    published = []
    for seconds in (0, 20, 20):
        system.move_clock(seconds=seconds)
        system.messages.clear()
        system.sweep()
        published.append(len(system.messages))
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
    assert len(transact(system.engine, mark_published, OF_ATTEMPTS, system.now()).messages) == BATCH
    transact(system.engine, _unpublish)
    system.sweep()
    assert len({message.row_id for message in system.messages}) == BATCH + 6


def _copy_refunds(connection: Connection, row: dict[str, object], times: int) -> None:
    """Store due refunds of the attempt's payment: the one kind that may be under way many times."""
    copies = [row | {"id": f"re_{number}", "number": number + 2, "verb": "refund"} for number in range(times)]
    connection.execute(insert(attempts), copies)


def _unpublish(connection: Connection) -> None:
    connection.execute(update(attempts).values(published_at=None))


# --- what a sweep reads ------------------------------------------------------------------------------


def test_a_sweep_with_nothing_due_is_one_statement(system: System) -> None:
    system.pay()
    with executed(system.engine) as plans:
        system.sweep()
    assert len(plans) == 1


def test_a_transaction_that_stays_open_does_not_make_every_sweep_read_what_has_been_due(system: System) -> None:
    payment_id = system.pay()
    system.move_clock(minutes=2)
    with system.engine.connect().execution_options(isolation_level="REPEATABLE READ") as elsewhere:
        elsewhere.execute(select(attempts.c.id)).all()
        transact(system.engine, _change_often, payment_id, system.now() - timedelta(minutes=1))
        with executed(system.engine) as plans:
            system.sweep()
            system.move_clock(seconds=2)
            system.sweep()
    first, second = map(read_blocks, plans)
    assert 3 * second < first, f"{first} blocks, then {second}"


def test_the_next_sweep_begins_no_later_than_a_row_that_is_still_due(system: System) -> None:
    system.pay()
    published = []
    for _ in range(4):
        # Each time the message is lost.
        system.move_clock(minutes=1)
        system.messages.clear()
        system.sweep()
        published.append(len(system.messages))
    assert published == [1, 1, 1, 1]


def test_a_row_whose_transaction_ended_late_is_found_by_the_next_sweep(system: System) -> None:
    system.pay()
    system.run_until_idle()
    system.sweep()
    system.move_clock(minutes=1)
    system.sweep()
    transact(system.engine, _make_due, system.now() - LATE)
    system.messages.clear()
    system.sweep()
    assert len(system.messages) == 1


def test_a_row_that_was_due_long_before_it_was_written_is_found_in_minutes(system: System) -> None:
    system.pay()
    system.run_until_idle()
    system.sweep()
    transact(system.engine, _make_due, system.now() - timedelta(days=30))
    system.messages.clear()
    system.sweep()
    assert system.messages == []
    system.move_clock(seconds=COMPLETE_EVERY.total_seconds())
    system.sweep()
    assert len(system.messages) == 1


def test_a_clock_that_is_set_back_hides_no_row(system: System) -> None:
    system.pay()
    system.run_until_idle()
    system.sweep()
    system.move_clock(minutes=4)
    system.sweep()
    system.offset -= timedelta(minutes=3)
    transact(system.engine, _make_due, system.now())
    system.messages.clear()
    system.sweep()
    assert len(system.messages) == 1


def _change_often(connection: Connection, payment_id: str, at: datetime) -> None:
    """Let the attempt of a payment be due at many times, one after the other, and not any more in the end."""
    is_it = attempts.c.payment_id == payment_id
    for number in range(1000):
        connection.execute(update(attempts).where(is_it).values(due_at=at + timedelta(milliseconds=number)))
    connection.execute(update(attempts).where(is_it).values(due_at=None))


def _make_due(connection: Connection, at: datetime) -> None:
    connection.execute(update(attempts).values(due_at=at, published_at=None))
