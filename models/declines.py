"""Reads why a payment was declined last: its class for decisions, its reason for what the customer reads."""

from __future__ import annotations

from sqlalchemy import Connection, bindparam, select

from domain.decline import FIELDS, DeclineClass, DeclineReason, reason_by
from domain.payment import AttemptStatus, Verb
from models.tables import attempts

_newest_charge = (
    select(attempts)
    .where(
        attempts.c.payment_id == bindparam("payment_id"),
        attempts.c.verb.in_([Verb.CHARGE, Verb.AUTHORIZE]),
    )
    .order_by(attempts.c.number.desc())
    .limit(1)
)
_newest_decline = _newest_charge.where(attempts.c.decline_class.is_not(None))
# What was not sent says nothing, and what is under way says nothing yet.
_newest_result = _newest_charge.where(attempts.c.status.in_([AttemptStatus.DECLINED, AttemptStatus.SUCCEEDED]))


def last_decline_class(connection: Connection, payment_id: str) -> DeclineClass | None:
    """Return what the newest decline of a payment's charges says about its instrument; None if none was declined."""
    row = connection.execute(_newest_decline, {"payment_id": payment_id}).one_or_none()
    return None if row is None else DeclineClass(row.decline_class)


def last_decline_reason(connection: Connection, payment_id: str) -> DeclineReason | None:
    """Return why a payment was declined, if its newest charge that has a result was."""
    row = connection.execute(_newest_result, {"payment_id": payment_id}).one_or_none()
    if row is None or row.decline_class is None:
        return None
    return reason_by(row.provider, {name: row._mapping[name] for name in FIELDS}, row.network)
