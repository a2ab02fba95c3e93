"""Finds the attempt that a webhook event is about, and books refunds that were made at the provider."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Column, ColumnElement, Row, false, or_, select

from domain.attention import Reason
from domain.outcome import Approved, Outcome, Pending
from domain.payment import IN_FLIGHT, LATE_AUTHORIZATION, AttemptStatus, Verb
from models import transition
from models.attempts import add_attempt, find_charge
from models.attention import open_entry
from models.change import Change
from models.movements import is_duplicate
from models.tables import attempts, payments
from models.task_messages import RECONCILE, TaskMessage


def match_attempt(change: Change, provider: str, reference: str, attempt_id: str | None) -> str | None:
    """Return the attempt that the provider's object belongs to: the operation in flight on it, or the charge itself.

    A void of what surfaced late is about its own object, any other operation about the payment's charge."""
    is_named = _is_any((attempts.c.provider_reference, reference), (attempts.c.id, attempt_id))
    named: Any = change.connection.execute(
        select(attempts.c.id, attempts.c.payment_id, attempts.c.verb, attempts.c.provider_reference)
        .where(is_named, attempts.c.provider == provider)
        .order_by(attempts.c.number)
    ).first()
    if named is None:
        return None
    if named.verb == Verb.REFUND:
        return str(named.id)
    operation: Any = change.connection.execute(
        select(attempts.c.id, attempts.c.reason, attempts.c.provider_reference).where(
            attempts.c.payment_id == named.payment_id,
            attempts.c.verb.in_([Verb.CAPTURE, Verb.VOID]),
            attempts.c.status.in_(sorted(IN_FLIGHT)),
        )
    ).first()
    is_meant = operation is not None and _is_about(change, operation, named)
    return str(operation.id if operation is not None and is_meant else named.id)


def _is_about(change: Change, operation: Row[Any], named: Row[Any]) -> bool:
    """Tell whether an operation in flight is about the object of a named attempt."""
    if operation.reason == LATE_AUTHORIZATION:
        return bool(named.provider_reference == operation.provider_reference)
    charge = find_charge(change.connection, named.payment_id)
    return charge is None or named.provider_reference in (None, charge.provider_reference)


def match_refund(change: Change, provider: str, reference: str, attempt_id: str | None) -> str | None:
    """Return the attempt of a refund. One that was made on PayPal's website repeats the attempt of its charge."""
    is_named = _is_any((attempts.c.provider_reference, reference), (attempts.c.id, attempt_id))
    is_refund = (attempts.c.provider == provider) & (attempts.c.verb == Verb.REFUND)
    known: str | None = change.connection.scalar(select(attempts.c.id).where(is_named, is_refund).limit(1))
    return known


def find_payment_of(change: Change, provider: str, attempt_id: str | None, payment_id: str | None) -> str | None:
    """Return the payment of an attempt, or the named payment if it is one of this provider's."""
    named_payment = None if attempt_id is not None else payment_id
    is_named = _is_any((attempts.c.id, attempt_id), (attempts.c.payment_id, named_payment))
    found: str | None = change.connection.scalar(
        select(attempts.c.payment_id).where(is_named, attempts.c.provider == provider).limit(1)
    )
    return found


def adopt_refund(
    change: Change,
    provider: str,
    reference: str,
    outcome: Outcome | None,
    charge_reference: str | None,
    payment_id: str | None,
) -> TaskMessage | None:
    """Store a refund that was made at the provider as an attempt to look up, whatever became of it so far; return its
    message. None for one that moved nothing, or whose charge is not ours."""
    amount = _refunded(outcome)
    if charge_reference is None or not amount:
        return None
    # Some providers name a part of the charge that is not stored here, and repeat our id of the payment.
    is_charge = _is_any((attempts.c.provider_reference, charge_reference), (attempts.c.payment_id, payment_id))
    payment = _lock_payment_of(change, is_charge & (attempts.c.provider == provider))
    if payment is None:
        return None
    is_refund = (attempts.c.payment_id == payment.id) & (attempts.c.provider_reference == reference)
    known: str | None = change.connection.scalar(select(attempts.c.id).where(is_refund))
    if known is not None:
        return TaskMessage(RECONCILE, known)  # another event of the same refund came first
    columns = {
        "provider_reference": reference,
        "status": AttemptStatus.IN_DOUBT,
        "charge_reference": charge_reference if is_duplicate(change.connection, provider, charge_reference) else None,
    }
    row_id = add_attempt(change, payment, Verb.REFUND, amount, **columns).row_id
    data = {"attempt": row_id, "provider": provider, "refund": reference}
    about = {"payment_id": payment.id, "amount": amount, "currency": payment.currency}
    detail = {"reference": reference, "amount": amount}
    open_entry(change, Reason.REFUND_ELSEWHERE, data=data, detail=detail, adds=True, **about)
    transition.touch(change, payment.id)
    return TaskMessage(RECONCILE, row_id)


def _refunded(outcome: Outcome | None) -> int:
    match outcome:
        case Approved(refunded=amount) | Pending(refunding=amount):
            return amount
    return 0


def _lock_payment_of(change: Change, is_charge: ColumnElement[bool]) -> Row[Any] | None:
    found = select(attempts.c.payment_id).where(is_charge).limit(1).scalar_subquery()
    locked = select(payments).where(payments.c.id == found).with_for_update()
    return change.connection.execute(locked).one_or_none()


def _is_any(*names: tuple[Column[Any], str | None]) -> ColumnElement[bool]:
    """Return the condition that a column has one of the given names; an empty name matches no row."""
    return or_(false(), *(column == name for column, name in names if name))
