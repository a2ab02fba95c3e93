"""Every write of a dunning case. `domain` decides; `models.transition` and the dunning task call."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, bindparam, exists, func, insert, or_, select, update

from domain.dunning.case import OPEN_CASES, CaseState
from domain.payment import DunningCase
from domain.saved_method import MethodChange
from models.audit import record_event
from models.change import Change
from models.tables import dunning_cases, payments
from models.task_messages import DUNNING, TaskMessage

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


def retry_with_changed_method(
    change: Change,
    application: str,
    user_id: str,
    provider: str,
    *,
    cause: MethodChange,
    method_token: str | None = None,
) -> tuple[TaskMessage, ...]:
    """Make the next retry due now of each payment in dunning that a changed method of this user may pay: one with this
    token, and one that charges the user's default. Return the messages to publish.

    A retry that is due already, or under way, stays as it is, so that a repeat of the event causes no second one."""
    may_be_paid = (
        select(dunning_cases.c.payment_id, dunning_cases.c.subscription_id)
        .join(payments, payments.c.id == dunning_cases.c.payment_id)
        .where(
            payments.c.user_id == user_id,
            payments.c.application == application,
            payments.c.provider == provider,
            or_(payments.c.method_token.is_(None), payments.c.method_token == method_token),
        )
    )
    named = [
        row.payment_id
        for row in change.connection.execute(may_be_paid)
        if not subscription_is_retried_by_provider(change.connection, row.subscription_id, application)
    ]
    is_waiting = (dunning_cases.c.state == CaseState.RETRYING) & (dunning_cases.c.due_at > change.now)
    brought_forward = (
        update(dunning_cases)
        .where(dunning_cases.c.payment_id.in_(named), is_waiting)
        .values(due_at=change.now, published_at=None, updated_at=change.now)
        .returning(dunning_cases.c.payment_id)
    )
    found = sorted(change.connection.execute(brought_forward).scalars())
    for payment_id in found:
        about = {"payment_id": payment_id, "data": {"cause": cause}}
        record_event(change.connection, "retry_brought_forward", actor=change.actor, now=change.now, **about)
    return tuple(TaskMessage(DUNNING, payment_id) for payment_id in found)


def subscription_is_retried_by_provider(connection: Connection, subscription_id: str | None, application: str) -> bool:
    """Tell whether the provider's own engine retries the payments of a subscription, so that Celeriac must not."""
    return False


def has_other_open_case(payment: Row[Any]) -> ColumnElement[bool]:
    """Return whether another payment of the same subscription is in dunning, as a condition."""
    return exists().where(
        dunning_cases.c.subscription_id == payment.subscription_id,
        dunning_cases.c.payment_id != payment.id,
        dunning_cases.c.state.in_(sorted(OPEN_CASES)),
        payments.c.id == dunning_cases.c.payment_id,
        payments.c.application == payment.application,
    )
