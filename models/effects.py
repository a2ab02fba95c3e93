"""The rows that a step writes beside the payment: new and closed attempts, dunning cases, subscriptions."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, case, exists, func, insert, literal, select, true, update

from domain.dunning import CaseState, SubscriptionStatus
from domain.payment import UNFINISHED, AttemptStatus, DunningCase, Payment, Verb
from models.audit import record_event
from models.base import new_id
from models.billing import dunning_cases, subscriptions
from models.payments import attempts
from models.task_messages import TaskMessage, message_for_attempt


def open_attempt(
    connection: Connection, payment: Row[Any], verb: Verb, amount: int, *, now: datetime, actor: str, **columns: Any
) -> TaskMessage:
    """Store a new attempt of a locked payment, due now; return its ring. Its id is its idempotency key."""
    attempt_id = new_id("re" if verb is Verb.REFUND else "at", now)
    number = select(func.coalesce(func.max(attempts.c.number), 0) + 1).where(attempts.c.payment_id == payment.id)
    values = new_attempt(attempt_id, payment.id, verb, payment.provider, amount, now=now, actor=actor) | columns
    connection.execute(insert(attempts).values(values | {"number": number.scalar_subquery()}))
    return message_for_attempt(attempt_id, verb)


def new_attempt(
    attempt_id: str, payment_id: str, verb: Verb, provider: str, amount: int, *, now: datetime, actor: str
) -> dict[str, Any]:
    """Return the columns of a fresh attempt, due now."""
    return {
        "id": attempt_id,
        "payment_id": payment_id,
        "number": 1,
        "verb": verb,
        "provider": provider,
        "amount": amount,
        "status": AttemptStatus.DUE,
        "fencing_token": 0,
        "claims": 0,
        "retries": 0,
        "lookups": 0,
        "due_at": now,
        "actor": actor,
        "created_at": now,
    }


def save_case(connection: Connection, row: Row[Any], payment: Payment, saved: DunningCase, now: datetime) -> None:
    """Store the dunning case of a payment, new or moved on."""
    values = {
        "state": saved.state,
        "first_failed_at": saved.first_failed_at,
        "retry": saved.retry,
        "due_at": saved.due_at,
        "grace_ends_at": saved.grace_ends_at,
        "updated_at": now,
    }
    if payment.case is None:
        keys = {"payment_id": row.id, "subscription_id": row.subscription_id, "invoice_id": row.invoice_id}
        connection.execute(insert(dunning_cases).values(keys | values))
    else:
        connection.execute(update(dunning_cases).where(dunning_cases.c.payment_id == row.id).values(values))


def mark_subscription(
    connection: Connection, row: Row[Any], status: SubscriptionStatus, now: datetime, actor: str
) -> None:
    """Set the subscription's status; a canceled one stays so, and one with another open case stays past due."""
    changed = connection.execute(
        update(subscriptions)
        .where(
            subscriptions.c.id == row.subscription_id,
            subscriptions.c.status.not_in([status, SubscriptionStatus.CANCELED]),
            # Another unpaid invoice keeps the subscription past due.
            ~_has_other_open_case(row) if status is SubscriptionStatus.ACTIVE else true(),
        )
        .values(status=status, updated_at=now)
    )
    if changed.rowcount:
        data = {"subscription_id": row.subscription_id}
        record_event(connection, row.id, f"subscription_{status}", None, None, actor, now, data)


def _has_other_open_case(row: Row[Any]) -> ColumnElement[bool]:
    return exists().where(
        dunning_cases.c.subscription_id == row.subscription_id,
        dunning_cases.c.payment_id != row.id,
        dunning_cases.c.state.in_([CaseState.RETRYING, CaseState.IN_GRACE]),
    )


def close_other_attempts(connection: Connection, payment_id: str, attempt_id: str | None, now: datetime) -> None:
    """End whatever else of the payment is waited for."""
    is_unfinished = attempts.c.status.in_(sorted(UNFINISHED))
    connection.execute(
        update(attempts)
        .where(
            attempts.c.payment_id == payment_id,
            attempts.c.id != (attempt_id or ""),
            attempts.c.verb != Verb.REFUND,
            attempts.c.due_at.is_not(None) | is_unfinished,
        )
        .values(
            status=case((is_unfinished, AttemptStatus.CANCELED), else_=attempts.c.status),
            finished_at=func.coalesce(attempts.c.finished_at, literal(now, attempts.c.finished_at.type)),
            fencing_token=attempts.c.fencing_token + 1,
            due_at=None,
        )
    )
