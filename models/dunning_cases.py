"""Every write of a dunning case. `domain` decides; `models.transition` and the dunning task call."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, bindparam, exists, func, insert, select, update

from domain.dunning.case import OPEN_CASES, CaseState
from domain.payment import DunningCase
from models.change import Change
from models.tables import dunning_cases, payments

_find_case = select(dunning_cases).where(dunning_cases.c.payment_id == bindparam("payment_id"))


def find_case(connection: Connection, payment_id: str) -> DunningCase | None:
    """Return the dunning case of a payment, if it has one."""
    row = find_case_row(connection, payment_id)
    if row is None:
        return None
    return DunningCase(CaseState(row.state), row.first_failed_at, row.retry, row.due_at, row.grace_ends_at, row.unsent)


def find_case_row(connection: Connection, payment_id: str) -> Row[Any] | None:
    """Return the stored dunning case of a payment, with when its message was published."""
    return connection.execute(_find_case, {"payment_id": payment_id}).one_or_none()


def save_case(change: Change, payment: Row[Any], case: DunningCase, *, is_new: bool) -> None:
    """Store the dunning case of a payment, new or updated."""
    values = {
        "state": case.state,
        "first_failed_at": case.first_failed_at,
        "retry": case.retry,
        "due_at": case.due_at,
        "grace_ends_at": case.grace_ends_at,
        "unsent": case.unsent,
        "paused_since": None,
        "updated_at": change.now,
    }
    if is_new:
        keys = {
            "payment_id": payment.id,
            "subscription_id": payment.subscription_id,
            "invoice_id": payment.invoice_id,
            "failures": 0,
        }
        change.connection.execute(insert(dunning_cases).values(keys | values))
    else:
        is_case = dunning_cases.c.payment_id == payment.id
        change.connection.execute(update(dunning_cases).where(is_case).values(values))


def count_case_failure(connection: Connection, case: Row[Any], failures: int, due_at: datetime) -> None:
    """Store how often the task of a case has failed; one that is due becomes due later."""
    values = {"failures": failures, "due_at": case.due_at and due_at}
    connection.execute(update(dunning_cases).where(dunning_cases.c.payment_id == case.payment_id).values(values))


def postpone_case(connection: Connection, payment_id: str, due_at: datetime) -> None:
    """Move the due date of a case; nothing else changes."""
    later = update(dunning_cases).where(dunning_cases.c.payment_id == payment_id)
    connection.execute(later.values(due_at=due_at))


def pause_case(change: Change, payment_id: str, due_at: datetime) -> None:
    """Move the due date of a case that waits for another payment, and keep since when it does."""
    since = func.coalesce(dunning_cases.c.paused_since, change.now)
    later = update(dunning_cases).where(dunning_cases.c.payment_id == payment_id)
    change.connection.execute(later.values(due_at=due_at, paused_since=since))


def has_other_open_case(payment: Row[Any]) -> ColumnElement[bool]:
    """Return whether another payment of the same subscription is in dunning, as a condition."""
    return exists().where(
        dunning_cases.c.subscription_id == payment.subscription_id,
        dunning_cases.c.payment_id != payment.id,
        dunning_cases.c.state.in_(sorted(OPEN_CASES)),
        payments.c.id == dunning_cases.c.payment_id,
        payments.c.application == payment.application,
    )
