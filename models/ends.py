"""Rows that wait without an end. There are none: one that is found here is a bug of ours, or was written by hand."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, NamedTuple

from sqlalchemy import Column, ColumnElement, Connection, Select, and_, case, exists, false, not_, or_, select

from domain.attention import HELD, Reason
from domain.cash_balance import BalanceStatus
from domain.ends import (
    ENDS_OF_ATTEMPTS,
    ENDS_OF_BALANCES,
    ENDS_OF_CASES,
    ENDS_OF_DISPUTES,
    ENDS_OF_OUTBOX,
    ENDS_OF_PAYMENTS,
    ENDS_OF_WEBHOOKS,
    End,
)
from models.attention import MAIL_SERVER
from models.tables import (
    attempts,
    attention,
    cash_balances,
    disputes,
    dunning_cases,
    fraud_reviews,
    outbox,
    payments,
    webhook_events,
)


class Endless(NamedTuple):
    """A row that is not final, and that neither a due date nor a person moves on. `id`: its key, or the first part."""

    table: str
    id: str
    status: str


def rows_without_end(connection: Connection) -> list[Endless]:
    """Return every row that waits without an end."""
    return [Endless(table, *row) for table, query in _ENDLESS.items() for row in connection.execute(query)]


def _endless(
    key: Column[Any],
    status: ColumnElement[Any],
    ends: Mapping[Any, End],
    *,
    has_due_date: ColumnElement[bool],
    has_entry: ColumnElement[bool],
) -> Select[Any]:
    """Select the rows whose status is not final and whose due date, or entry of the attention list, is missing. A
    status without an answer counts as missing everything."""
    found = {End.DUE_DATE: has_due_date, End.PERSON: has_entry}
    moves_on = [and_(status.in_(_with(ends, end)), condition) for end, condition in found.items()]
    is_final = status.in_(_with(ends, End.NOTHING))
    return select(key, status).where(not_(or_(is_final, *moves_on))).order_by(key)


def _with(ends: Mapping[Any, End], end: End) -> list[StrEnum]:
    return sorted(status for status, answer in ends.items() if answer is end)


def _attempt_is_due(payment_id: Column[Any]) -> ColumnElement[bool]:
    return exists().where(attempts.c.payment_id == payment_id, attempts.c.due_at.is_not(None))


def _review_is_due(payment_id: Column[Any]) -> ColumnElement[bool]:
    is_open = (fraud_reviews.c.payment_id == payment_id) & fraud_reviews.c.closed_at.is_(None)
    return exists().where(is_open, fraud_reviews.c.due_at.is_not(None))


def _is_on_list(payment_id: Column[Any], reason: Reason) -> ColumnElement[bool]:
    is_about = (attention.c.payment_id == payment_id) & (attention.c.reason == reason)
    return exists().where(is_about, attention.c.closed_at.is_(None))


_is_held = or_(*((payments.c.state == state) & _is_on_list(payments.c.id, reason) for state, reason in HELD.items()))


_case_is_due = exists().where(dunning_cases.c.payment_id == payments.c.id, dunning_cases.c.due_at.is_not(None))
# A person may close what is about a webhook, a dispute or a balance and leave it as it is.
_was_webhook_on_list = exists().where(attention.c.webhook_event_id == webhook_events.c.id)
_was_dispute_on_list = exists().where(
    attention.c.payment_id == disputes.c.payment_id, attention.c.reason == Reason.DISPUTE
)
_was_balance_on_list = exists().where(
    attention.c.cash_balance_id == cash_balances.c.id, attention.c.reason == Reason.UNMATCHED_RECEIPT
)
# What a server that takes nothing has kept back is one entry, however many rows.
_was_mail_on_list = exists().where(
    or_(attention.c.payment_id == outbox.c.payment_id, attention.c.provider == MAIL_SERVER),
    attention.c.reason.in_(sorted((Reason.MAIL_REFUSED, Reason.MAIL_UNSENT))),
)
_balance_status = case(
    (cash_balances.c.return_amount.is_not(None), BalanceStatus.RETURNING),
    (cash_balances.c.available != 0, BalanceStatus.HELD),
    else_=BalanceStatus.EMPTY,
)
_ENDLESS = {
    "payments": _endless(
        payments.c.id,
        payments.c.state,
        ENDS_OF_PAYMENTS,
        has_due_date=_attempt_is_due(payments.c.id) | _case_is_due | _review_is_due(payments.c.id),
        has_entry=_is_held,
    ),
    "attempts": _endless(
        attempts.c.id,
        attempts.c.status,
        ENDS_OF_ATTEMPTS,
        has_due_date=attempts.c.due_at.is_not(None) | _review_is_due(attempts.c.payment_id),
        has_entry=false(),
    ),
    "dunning_cases": _endless(
        dunning_cases.c.payment_id,
        dunning_cases.c.state,
        ENDS_OF_CASES,
        has_due_date=dunning_cases.c.due_at.is_not(None) | _attempt_is_due(dunning_cases.c.payment_id),
        has_entry=false(),
    ),
    "webhook_events": _endless(
        webhook_events.c.id,
        webhook_events.c.status,
        ENDS_OF_WEBHOOKS,
        has_due_date=webhook_events.c.due_at.is_not(None),
        has_entry=_was_webhook_on_list,
    ),
    "disputes": _endless(
        disputes.c.reference,
        disputes.c.status,
        ENDS_OF_DISPUTES,
        has_due_date=false(),
        has_entry=_was_dispute_on_list,
    ),
    "cash_balances": _endless(
        cash_balances.c.id,
        _balance_status,
        ENDS_OF_BALANCES,
        has_due_date=cash_balances.c.due_at.is_not(None),
        has_entry=_was_balance_on_list,
    ),
    "outbox": _endless(
        outbox.c.id,
        outbox.c.state,
        ENDS_OF_OUTBOX,
        has_due_date=outbox.c.due_at.is_not(None),
        has_entry=_was_mail_on_list,
    ),
}
