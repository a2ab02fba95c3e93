"""Reads of dunning cases: what happened, and what happens next, when and why."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, Select, func, select

from domain.dunning.case import CaseState
from domain.dunning.operators import next_step
from domain.errors import NotFound
from domain.money import decimal_text
from domain.payment import UNFINISHED, State, Verb
from models.dunning_cases import case_of
from models.queries import attempt_view, timeline
from models.tables import attempts, dunning_cases, payments

# Of a payment, what the view of its case shows.
_of_payment = (
    payments.c.user_id,
    payments.c.amount,
    payments.c.currency,
    payments.c.method,
    payments.c.failure_code,
    payments.c.state.label("payment_state"),
)
_is_collecting = attempts.c.verb.in_([Verb.CHARGE, Verb.AUTHORIZE])
_sibling = payments.alias("sibling")
# A customer's try, and one of a backup method, is a payment of its own, whose try says who has caused it.
_is_beside = attempts.c.cause.is_not(None) & (attempts.c.created_at >= dunning_cases.c.created_at)
_tries = (
    select(func.count())
    .select_from(attempts)
    .join(_sibling, _sibling.c.id == attempts.c.payment_id)
    .where(
        _sibling.c.invoice_id == dunning_cases.c.invoice_id,
        _sibling.c.application == dunning_cases.c.application,
        (_sibling.c.id == dunning_cases.c.payment_id) | _is_beside,
        _is_collecting,
    )
    .correlate(dunning_cases)
    .scalar_subquery()
)
_has_try_under_way = (
    select(func.count())
    .select_from(attempts)
    .where(
        attempts.c.payment_id == dunning_cases.c.payment_id,
        attempts.c.status.in_(sorted(UNFINISHED)),
        attempts.c.verb != Verb.REFUND,
    )
    .scalar_subquery()
)


def _cases() -> Select[Any]:
    shown = (dunning_cases, *_of_payment, _tries.label("tries"), _has_try_under_way.label("under_way"))
    return select(*shown).join(payments, payments.c.id == dunning_cases.c.payment_id)


def list_cases(
    connection: Connection,
    application: str | None,
    *,
    state: CaseState | None = None,
    after: str | None = None,
    limit: int,
) -> list[dict[str, Any]]:
    """Return up to `limit` dunning cases after the id `after`, oldest first. `application` None sees all."""
    query = _cases().order_by(dunning_cases.c.id).limit(limit)
    if application is not None:
        query = query.where(dunning_cases.c.application == application)
    if state is not None:
        query = query.where(dunning_cases.c.state == state)
    if after is not None:
        query = query.where(dunning_cases.c.id > after)
    return [case_view(row) for row in connection.execute(query)]


def find_case(connection: Connection, case_id: str, application: str | None) -> Row[Any]:
    """Return a case with its payment. Raises NotFound, also for one of another application."""
    row = connection.execute(_cases().where(dunning_cases.c.id == case_id)).one_or_none()
    if row is None or (application is not None and row.application != application):
        raise NotFound("no such dunning case; the list of cases shows the ids")
    return row


def show_case(connection: Connection, case_id: str, application: str | None) -> dict[str, Any]:
    """Return a case with every try, its policy, what happened, and what happens next. Raises NotFound."""
    row = find_case(connection, case_id, application)
    tries = connection.execute(_tries_of(row)).all()
    happened = timeline(connection, row.payment_id)
    return case_view(row) | {
        "policy": {"name": row.policy_name, **(row.policy or {})},
        "segment": row.segment,
        "is_held_out": row.is_held_out,
        "attempts": [
            attempt_view(attempt._mapping, row.currency)
            | {"payment_id": attempt.payment_id, "payment_method": attempt.method}
            for attempt in tries
        ],
        "events": [
            {
                "at": _text(event.at),
                "name": event.name,
                "from": event.from_state,
                "to": event.to_state,
                "actor": event.actor,
                "data": event.data or {},
            }
            for event in happened
        ],
    }


def _tries_of(case: Row[Any]) -> Select[Any]:
    """Select the tries of a debt, oldest first: of the dunned payment, and those that others have caused since."""
    is_beside = attempts.c.cause.is_not(None) & (attempts.c.created_at >= case.created_at)
    return (
        select(attempts, payments.c.method)
        .join(payments, payments.c.id == attempts.c.payment_id)
        .where(
            payments.c.invoice_id == case.invoice_id,
            payments.c.application == case.application,
            (payments.c.id == case.payment_id) | is_beside,
            _is_collecting,
        )
        .order_by(attempts.c.created_at, attempts.c.id)
    )


def case_view(row: Row[Any]) -> dict[str, Any]:
    """Return the public form of a case."""
    step = next_step(case_of(row), State(row.payment_state), is_under_way=bool(row.under_way))
    return {
        "id": row.id,
        "status": row.state,
        "application": row.application,
        "payment_id": row.payment_id,
        "invoice_id": row.invoice_id,
        "subscription_id": row.subscription_id,
        "user_id": row.user_id,
        "amount": decimal_text(row.amount, row.currency),
        "currency": row.currency,
        "payment_method": row.method,
        "failure_code": row.failure_code,
        "policy_name": row.policy_name,
        "first_failed_at": _text(row.first_failed_at),
        "tries": row.tries,
        "retry": row.retry,
        "grace_ends_at": _text(row.grace_ends_at),
        "closed_at": _text(row.closed_at),
        "paused_until": _text(row.paused_until),
        "next": None if step is None else {"at": _text(step.at), "what": step.what, "why": step.why},
        "created_at": _text(row.created_at),
        "updated_at": _text(row.updated_at),
    }


def _text(instant: datetime | None) -> str | None:
    return None if instant is None else instant.isoformat(timespec="milliseconds").replace("+00:00", "Z")
