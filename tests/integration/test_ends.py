"""A row that waits without an end is found, whichever table it stands in."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import Table, update

from domain.attention import Reason
from models.attention import open_entry
from models.ends import rows_without_end
from models.fraud.reviews import open_review
from models.session import read, transact
from models.tables import attempts, dunning_cases, payments, webhook_events
from tests.system import System

pytestmark = pytest.mark.postgres


def endless(system: System) -> list[tuple[str, str]]:
    """Return the table and the status of each row without an end."""
    return [(row.table, row.status) for row in read(system.engine, rows_without_end)]


def write(system: System, table: Table, **values: Any) -> None:
    """Write into every row of a table, as no code of ours does."""
    transact(system.engine, lambda connection: connection.execute(update(table).values(values)))


def test_a_payment_and_an_attempt_without_a_due_date_are_found(system: System) -> None:
    system.pay()
    assert endless(system) == []
    write(system, attempts, due_at=None)
    assert endless(system) == [("payments", "accepted"), ("attempts", "due")]
    write(system, payments, state="review")
    assert endless(system) == [("payments", "review"), ("attempts", "due")]
    write(system, attempts, status="failed")
    write(system, payments, state="failed")
    assert endless(system) == []


def test_an_entry_about_something_else_is_no_end_of_a_review(system: System) -> None:
    payment_id = system.pay()
    write(system, attempts, due_at=None)
    write(system, payments, state="review")
    about = {"payment_id": payment_id, "amount": 1, "currency": "EUR"}
    system.runtime.change("test", open_entry, Reason.REFUND_ELSEWHERE, **about)
    assert endless(system) == [("payments", "review"), ("attempts", "due")]
    system.runtime.change("test", open_review, payment_id, system.now())
    assert endless(system) == []


def test_a_dunning_case_and_a_webhook_without_a_due_date_are_found(system: System) -> None:
    payment_id = system.subscribe("inv", system.provider.scripted_card("insufficient_funds"))
    system.deliver(system.provider.event("payment_intent.payment_failed", system.reference(payment_id)))
    assert endless(system) == []
    write(system, dunning_cases, due_at=None)
    write(system, webhook_events, due_at=None)
    assert endless(system) == [
        ("payments", "past_due"),
        ("dunning_cases", "retrying"),
        ("webhook_events", "stored"),
    ]
    write(system, webhook_events, status="unreadable")
    assert endless(system)[-1] == ("webhook_events", "unreadable")


def test_a_status_that_nobody_knows_is_found(system: System) -> None:
    system.pay()
    write(system, payments, state="unheard_of")
    assert endless(system) == [("payments", "unheard_of")]
