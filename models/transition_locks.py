"""Locks a payment and its attempt, and reads with them what a decision needs, in one statement each.

The payment is locked first, as everywhere. `models.transition` decides on what is read here."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, bindparam, case, exists, func, literal, or_, select

from domain.attention import Reason
from domain.breaker import breaker_of
from domain.dunning.case import OPEN_CASES, CaseState
from domain.errors import NotFound
from domain.movement import MovementKind
from domain.payment import GIVEN_UP, UNFINISHED, Verb
from models.dunning_cases import has_sibling_case
from models.movements import TAKING
from models.session import RowVersion
from models.tables import (
    attempts,
    attention,
    breakers,
    instruments,
    movements,
    payments,
    provider_customers,
)

_other = attempts.alias("other")
_has_other_due_attempt = exists().where(
    _other.c.payment_id == payments.c.id, _other.c.id != attempts.c.id, _other.c.due_at.is_not(None)
)
_has_other_unfinished_attempt = exists().where(
    _other.c.payment_id == payments.c.id,
    _other.c.id != attempts.c.id,
    _other.c.due_at.is_not(None),
    _other.c.verb != Verb.REFUND,
    or_(*(_other.c.status == status for status in sorted(UNFINISHED))),
)
_sibling = payments.alias("sibling")
_has_sibling = exists().where(
    _sibling.c.invoice_id == payments.c.invoice_id,
    _sibling.c.application == payments.c.application,
    _sibling.c.id != payments.c.id,
)
_is_booked = case(
    (
        payments.c.captured > 0,
        exists().where(
            movements.c.payment_id == payments.c.id,
            or_(movements.c.attempt_id == attempts.c.id, movements.c.provider_id == attempts.c.provider_reference),
            or_(*(movements.c.kind == kind for kind in TAKING)),
        ),
    ),
    else_=False,
)
# What came later of the same object has its name, and the sum behind it.
_names_object = or_(
    movements.c.provider_id == attempts.c.provider_reference,
    func.substr(movements.c.provider_id, 1, func.length(attempts.c.provider_reference) + 1)
    == attempts.c.provider_reference + "/",
)
_duplicate_taken = case(
    (
        payments.c.captured > 0,
        select(func.coalesce(func.sum(movements.c.amount), 0))
        .where(movements.c.payment_id == payments.c.id, _names_object, movements.c.kind == MovementKind.DUPLICATE)
        .scalar_subquery(),
    ),
    else_=0,
)
# Counted, not EXISTS: PostgreSQL would hash all open entries to test one payment.
_open_entries = (
    select(func.count())
    .select_from(attention)
    .where(attention.c.payment_id == payments.c.id, attention.c.closed_at.is_(None))
    .scalar_subquery()
)
_refused_credentials = (
    select(func.count())
    .select_from(attention)
    .where(
        attention.c.provider == attempts.c.provider,
        attention.c.reason == Reason.CREDENTIALS_REFUSED,
        attention.c.closed_at.is_(None),
    )
    .scalar_subquery()
)
# Empty: the customer is still to be made.
_stored_customer = (
    select(func.coalesce(provider_customers.c.token, ""))
    .where(
        provider_customers.c.application == payments.c.application,
        provider_customers.c.user_id == payments.c.user_id,
        provider_customers.c.provider == attempts.c.provider,
    )
    .scalar_subquery()
)
# Decisions and attempt requests need no more: each column costs, and personal data stays where it is.
_UNREAD = {"payer", "metadata", "next_action", "failure_code"}
_UNREAD_OF_ATTEMPT = {
    *("payment_id", "number", "actor", "decline_class", "decline_code", "advice_code", "network_advice_code"),
    *("network_decline_code", "finished_at", "looked_up_at", "visited_at", "param", "message"),
    *("fingerprint", "network"),
}
_payment_columns: list[ColumnElement[Any]] = [column for column in payments.c if column.name not in _UNREAD]
_attempt_columns: list[ColumnElement[Any]] = [
    column.label(f"attempt_{column.name}") for column in attempts.c if column.name not in _UNREAD_OF_ATTEMPT
]
# Tells whether the statement has waited for the lock: then it has read the other tables too early.
_read = payments.alias("read_payment")
_read_version = select(RowVersion(_read.c.updated_at)).where(_read.c.id == payments.c.id).scalar_subquery()
_version = RowVersion(payments.c.updated_at).label("version")
_breaker_verb = case(
    *((attempts.c.verb == verb, breaker_of(verb)) for verb in Verb if breaker_of(verb) != verb),
    else_=attempts.c.verb,
)
_lock_attempt: Any = (
    select(
        *_payment_columns,
        *_attempt_columns,
        breakers.c.failures.label("breaker_failures"),
        breakers.c.opened_at.label("breaker_opened_at"),
        _has_other_due_attempt.label("has_other_due_attempt"),
        _has_other_unfinished_attempt.label("has_other_unfinished_attempt"),
        _has_sibling.label("has_sibling"),
        has_sibling_case(OPEN_CASES).label("has_dunned_sibling"),
        # Only a dispute asks for it.
        literal(False).label("has_recovered_sibling"),
        _is_booked.label("is_booked"),
        _duplicate_taken.label("duplicate_taken"),
        _open_entries.label("open_entries"),
        _refused_credentials.label("refused_credentials"),
        _stored_customer.label("stored_customer"),
        instruments.c.fingerprint.label("instrument_fingerprint"),
        instruments.c.network.label("instrument_network"),
        _read_version.label("read_version"),
        _version,
    )
    .join(attempts, attempts.c.payment_id == payments.c.id)
    .outerjoin(breakers, (breakers.c.provider == attempts.c.provider) & (breakers.c.verb == _breaker_verb))
    .outerjoin(
        instruments,
        (instruments.c.application == payments.c.application)
        & (instruments.c.user_id == payments.c.user_id)
        & (instruments.c.provider == attempts.c.provider)
        & (instruments.c.token == payments.c.method_token),
    )
    .where(attempts.c.id == bindparam("attempt_id"))
    .with_for_update(of=(payments, attempts))
)
_lock_payment: Any = (
    select(
        *_payment_columns,
        literal(True).label("has_other_due_attempt"),
        literal(True).label("has_other_unfinished_attempt"),
        _has_sibling.label("has_sibling"),
        has_sibling_case(OPEN_CASES).label("has_dunned_sibling"),
        has_sibling_case([CaseState.RECOVERED], GIVEN_UP).label("has_recovered_sibling"),
        _open_entries.label("open_entries"),
        _read_version.label("read_version"),
        _version,
    )
    .where(payments.c.id == bindparam("payment_id"))
    .with_for_update(of=payments)
)


def lock_attempt(connection: Connection, attempt_id: str) -> Row[Any]:
    """Lock an attempt and its payment; the attempt's columns are named `attempt_…`. Raises NotFound."""
    row = _lock(connection, _lock_attempt, {"attempt_id": attempt_id})
    if row is None:
        raise NotFound(f"no attempt {attempt_id}")
    return row


def lock_payment(connection: Connection, payment_id: str) -> Row[Any]:
    """Lock a payment. Raises NotFound."""
    row = _lock(connection, _lock_payment, {"payment_id": payment_id})
    if row is None:
        raise NotFound(f"no payment {payment_id}")
    return row


def _lock(connection: Connection, statement: Any, named: dict[str, str]) -> Row[Any] | None:
    """Lock and read. What came out of other tables while the statement waited for the lock is read once more.

    Who changes those tables under the payment's lock writes the payment as well, so that this notices."""
    row: Row[Any] | None = connection.execute(statement, named).one_or_none()
    has_waited = row is not None and row.read_version != row.version
    return connection.execute(statement, named).one_or_none() if has_waited else row
