"""Every write of a dunning case. `domain` decides; `models.transition`, the dunning task and operators call."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, bindparam, exists, func, insert, or_, select, true, update

from domain.decline import DeclineClass
from domain.dunning.case import OPEN_CASES, CaseState, RetriedBy
from domain.dunning.policy import DunningPolicy
from domain.payment import IN_PROGRESS, DunningCase, State
from models.change import Change
from models.tables import customers, dunning_cases, payments, subscriptions
from models.tables.base import new_id

_sibling = payments.alias("sibling")
_find_case = select(dunning_cases).where(dunning_cases.c.payment_id == bindparam("payment_id"))
# What dunning reads of a payment: its case and its subscription, if it has them.
_find_dunning = (
    select(
        dunning_cases,
        subscriptions.c.policy.label("named_policy"),
        subscriptions.c.plan,
        subscriptions.c.retried_by,
        customers.c.country,
        customers.c.time_zone,
    )
    .select_from(payments)
    .join(dunning_cases, dunning_cases.c.payment_id == payments.c.id, isouter=True)
    .join(
        subscriptions,
        (subscriptions.c.id == payments.c.subscription_id) & (subscriptions.c.application == payments.c.application),
        isouter=True,
    )
    .join(
        customers,
        (customers.c.user_id == payments.c.user_id) & (customers.c.application == payments.c.application),
        isouter=True,
    )
    .where(payments.c.id == bindparam("payment_id"))
)


@dataclass(frozen=True, slots=True)
class Dunning:
    """What dunning reads of a payment: its case, what its subscription says of dunning, and where its customer is."""

    case: DunningCase | None = None
    policy: str | None = None
    plan: str | None = None
    is_retried_by_provider: bool = False
    country: str | None = None
    time_zone: str | None = None


def find_dunning(connection: Connection, payment_id: str) -> Dunning:
    """Return what dunning reads of a payment."""
    row = connection.execute(_find_dunning, {"payment_id": payment_id}).one()
    is_retried_by_provider = row.retried_by == RetriedBy.PROVIDER
    case = case_of(row) if row.id else None
    return Dunning(case, row.named_policy, row.plan, is_retried_by_provider, row.country, row.time_zone)


def find_case_row(connection: Connection, payment_id: str) -> Row[Any] | None:
    """Return the stored dunning case of a payment, with when its message was published."""
    return connection.execute(_find_case, {"payment_id": payment_id}).one_or_none()


def case_of(row: Row[Any]) -> DunningCase:
    """Return the case that a row stores."""
    return DunningCase(
        CaseState(row.state),
        row.first_failed_at,
        row.retry,
        row.due_at,
        row.grace_ends_at,
        row.unsent,
        row.policy_name,
        DunningPolicy.from_json(row.policy) if row.policy else None,
        row.paused_until,
        row.planned_at,
        row.segment,
        row.is_held_out,
        DeclineClass(row.last_class) if row.last_class else None,
        closed_at=row.closed_at,
        recovered_by=row.recovered_by,
    )


def save_case(change: Change, payment: Row[Any], case: DunningCase, *, is_new: bool) -> None:
    """Store the dunning case of a payment, new or updated."""
    values = {
        "state": case.state,
        "policy_name": case.policy_name,
        "policy": case.policy and case.policy.to_json(),
        "first_failed_at": case.first_failed_at,
        "retry": case.retry,
        "due_at": case.due_at,
        "grace_ends_at": case.grace_ends_at,
        "unsent": case.unsent,
        "paused_since": None,
        "paused_until": case.paused_until,
        "planned_at": case.planned_at,
        "segment": case.segment,
        "is_held_out": case.is_held_out,
        "last_class": case.last_class,
        "closed_at": case.closed_at,
        "recovered_by": case.recovered_by,
        "updated_at": change.now,
    }
    if is_new:
        keys = {
            "id": new_id("case", change.now),
            "payment_id": payment.id,
            "application": payment.application,
            "subscription_id": payment.subscription_id,
            "invoice_id": payment.invoice_id,
            "failures": 0,
            "provider": payment._mapping.get("attempt_provider") or payment.provider,
            "decline_class": case.last_class,
            "decline_reason": case.last_reason,
            "created_at": change.now,
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


def wait_for_other_payment(change: Change, payment_id: str, due_at: datetime) -> None:
    """Move the due date of a case that waits for another payment, and keep since when it does."""
    since = func.coalesce(dunning_cases.c.paused_since, change.now)
    later = update(dunning_cases).where(dunning_cases.c.payment_id == payment_id)
    change.connection.execute(later.values(due_at=due_at, paused_since=since))


def payments_to_retry(
    connection: Connection, application: str, user_id: str, provider: str, method_token: str | None
) -> Sequence[str]:
    """Return the payments in dunning that a changed method of this user may pay, in order: those with this token, and
    those that charge the user's default."""
    return connection.scalars(
        select(payments.c.id)
        .join(dunning_cases, dunning_cases.c.payment_id == payments.c.id)
        .where(
            payments.c.user_id == user_id,
            payments.c.application == application,
            payments.c.provider == provider,
            or_(payments.c.method_token.is_(None), payments.c.method_token == method_token),
            dunning_cases.c.state.in_(sorted(OPEN_CASES)),
        )
        .order_by(payments.c.id)
    ).all()


def debts_at(connection: Connection, application: str, user_id: str, provider: str) -> Sequence[str]:
    """Return the payments in dunning that collect from a user by a saved method of a provider, in order."""
    return connection.scalars(
        select(payments.c.id)
        .join(dunning_cases, dunning_cases.c.payment_id == payments.c.id)
        .where(
            payments.c.user_id == user_id,
            payments.c.application == application,
            payments.c.provider == provider,
            payments.c.is_off_session,
            dunning_cases.c.state.in_(sorted(OPEN_CASES)),
        )
        .order_by(payments.c.id)
    ).all()


def is_collected_otherwise(connection: Connection, payment: Row[Any]) -> bool:
    """Tell whether another payment of the invoice is collecting it right now, so that its outcome comes by itself."""
    under_way = sorted(IN_PROGRESS | {State.PENDING})
    live = select(_sibling.c.id).where(
        _sibling.c.invoice_id == payment.invoice_id,
        _sibling.c.application == payment.application,
        _sibling.c.id != payment.id,
        _sibling.c.state.in_(under_way),
    )
    return connection.execute(live.limit(1)).first() is not None


def has_other_open_case(payment: Row[Any]) -> ColumnElement[bool]:
    """Return whether another payment of the same subscription is in dunning, as a condition."""
    return exists().where(
        dunning_cases.c.subscription_id == payment.subscription_id,
        dunning_cases.c.application == payment.application,
        dunning_cases.c.payment_id != payment.id,
        dunning_cases.c.state.in_(sorted(OPEN_CASES)),
    )


def has_sibling_case(states: Iterable[CaseState], of_payments: Iterable[State] = ()) -> ColumnElement[bool]:
    """Return whether another payment of the invoice of a row of payments has a case in one of these states, as a
    condition. `of_payments`: in which states that payment is, if that matters."""
    condition = (
        (dunning_cases.c.invoice_id == payments.c.invoice_id)
        & (dunning_cases.c.application == payments.c.application)
        & (dunning_cases.c.payment_id != payments.c.id)
        # Not IN: SQLAlchemy writes its text anew for every execution.
        & or_(*(dunning_cases.c.state == state for state in sorted(states)))
    )
    is_it = [_sibling.c.state == state for state in of_payments]
    joined = (_sibling.c.id == dunning_cases.c.payment_id) & or_(*is_it) if is_it else true()
    return exists().where(condition, joined)


def siblings_with_case(
    connection: Connection, payment: Row[Any], states: Iterable[CaseState], condition: ColumnElement[bool]
) -> Sequence[str]:
    """Return the invoice's other payments with a case in one of these states, the newest case first."""
    return connection.scalars(
        select(payments.c.id)
        .join(dunning_cases, dunning_cases.c.payment_id == payments.c.id)
        .where(
            dunning_cases.c.invoice_id == payment.invoice_id,
            dunning_cases.c.application == payment.application,
            dunning_cases.c.payment_id != payment.id,
            dunning_cases.c.state.in_(sorted(states)),
            condition,
        )
        .order_by(dunning_cases.c.updated_at.desc(), dunning_cases.c.id)
    ).all()
