"""The books: appends movements, and proves that the amounts of payments are their sums."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from itertools import groupby
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, Row, func, insert, select

from domain.movement import AMOUNTS, Movement, MovementKind, amounts_of
from domain.payment import Holder
from models.change import Change
from models.session import insert_new
from models.tables import attempts, cash_balances, movements, payments

_insert_movement = insert(movements)
# Kinds that take the customer's money.
TAKING = (MovementKind.CHARGE, MovementKind.CAPTURE, MovementKind.DUPLICATE)
# Kinds for which a provider may keep something.
_WITH_FEES = (*TAKING, MovementKind.REFUND, MovementKind.DUPLICATE_REFUND)
# Payments that are compared at once.
_PAGE = 5_000


def book(change: Change, payment: Row[Any], attempt_id: str | None, provider: str, moved: Iterable[Movement]) -> None:
    """Append movements of a locked payment. Raises IntegrityError if one of them is booked already."""
    subject = _of_payment(payment, attempt_id, provider)
    _book(change, [_row(change, subject, movement) for movement in moved])


def book_of_balance(change: Change, balance: Row[Any], moved: Iterable[Movement]) -> None:
    """Append movements of a locked cash balance. Raises IntegrityError if one of them is booked already."""
    subject = {"payment_id": None, "cash_balance_id": balance.id, "attempt_id": None}
    subject |= {"provider": balance.provider, "currency": balance.currency}
    _book(change, [_row(change, subject, movement) for movement in moved])


def last_of_balance(connection: Connection, balance_id: str) -> str | None:
    """Return the provider's id of the movement that made a cash balance what it is in our books."""
    newest = movements.c.id.desc()
    return connection.scalar(
        select(movements.c.provider_id).where(movements.c.cash_balance_id == balance_id).order_by(newest).limit(1)
    )


def _book(change: Change, rows: list[dict[str, Any]]) -> None:
    if rows:
        change.connection.execute(_insert_movement, rows)


def book_fee(change: Change, payment: Row[Any], attempt_id: str | None, provider: str, fee: Movement) -> bool:
    """Append a fee of a locked payment, once; return whether it was missing. `attempt_id`: None for that of a
    dispute."""
    return insert_new(change.connection, movements, _row(change, _of_payment(payment, attempt_id, provider), fee))


def lacks_fees(connection: Connection, provider: str, references: Collection[str]) -> bool:
    """Tell whether one of the fees that these objects of a provider show is not booked."""
    is_it = (movements.c.provider == provider) & movements.c.provider_id.in_(references)
    known = select(func.count()).where(is_it, movements.c.kind == MovementKind.FEE)
    return bool(references) and (connection.scalar(known) or 0) < len(references)


def has_fees(connection: Connection, attempt_id: str) -> bool:
    """Tell whether a fee of a charge is booked since its payment took money or gave some back last: each capture and
    refund may have one of its own."""
    payment_id = select(attempts.c.payment_id).where(attempts.c.id == attempt_id).scalar_subquery()
    is_fee = (movements.c.attempt_id == attempt_id) & (movements.c.kind == MovementKind.FEE)
    newest = select(
        func.max(movements.c.id).filter(is_fee).label("fee"),
        func.max(movements.c.id).filter(movements.c.kind.in_(_WITH_FEES)).label("moved"),
    )
    row = connection.execute(newest.where(movements.c.payment_id == payment_id)).one()
    return row.fee is not None and (row.moved is None or row.fee > row.moved)


def _of_payment(payment: Row[Any], attempt_id: str | None, provider: str) -> dict[str, Any]:
    subject = {"payment_id": payment.id, "cash_balance_id": None, "attempt_id": attempt_id}
    return subject | {"provider": provider, "currency": payment.currency}


def _row(change: Change, subject: dict[str, Any], movement: Movement) -> dict[str, Any]:
    return {
        **subject,
        "provider_id": movement.provider_id,
        "kind": movement.kind,
        "amount": movement.amount,
        "currency": movement.currency or subject["currency"],
        "source": change.actor,
        "booked_at": change.now,
        "moved_at": movement.moved_at,
        "provider": movement.provider or subject["provider"],
    }


def taken_by(connection: Connection, payment_id: str) -> frozenset[str]:
    """Return the ids of the attempts, and those of the provider's objects, whose captured money is booked."""
    taken = select(movements.c.provider_id, movements.c.attempt_id).where(
        movements.c.payment_id == payment_id, movements.c.kind.in_(TAKING)
    )
    return frozenset(name for row in connection.execute(taken) for name in row if name is not None)


def amount_taken(connection: Connection, payment_id: str, attempt_id: str, reference: str) -> int:
    """Return what a charge has taken, all its captures included, in minor units."""
    taken = select(func.coalesce(func.sum(movements.c.amount), 0)).where(
        movements.c.payment_id == payment_id,
        (movements.c.attempt_id == attempt_id) | _names(reference),
        movements.c.kind.in_([MovementKind.CHARGE, MovementKind.CAPTURE]),
    )
    return int(connection.scalar(taken) or 0)


def times_given(connection: Connection, payment_id: str, attempt_id: str) -> int:
    """Return how often a refund is booked as given."""
    is_given = movements.c.kind.in_([MovementKind.REFUND, MovementKind.DUPLICATE_REFUND])
    is_its = (movements.c.payment_id == payment_id) & (movements.c.attempt_id == attempt_id)
    given = select(func.count()).where(is_its, is_given)
    return int(connection.scalar(given) or 0)


def times_moved(connection: Connection, payment_id: str, reference: str, *, is_taken: bool) -> int:
    """Return how often the money of a dispute is booked as taken, or as given back."""
    kinds = [MovementKind.DISPUTE, MovementKind.REVERSAL] if is_taken else [MovementKind.DISPUTE_RETURN]
    is_its = (movements.c.payment_id == payment_id) & _names(reference)
    moved = select(func.count()).where(is_its, movements.c.kind.in_(kinds))
    return int(connection.scalar(moved) or 0)


def taken_by_object(connection: Connection, payment_id: str, reference: str) -> int:
    """Return what the provider's object has taken, all its captures included and also a second time, in minor units."""
    taken = select(func.coalesce(func.sum(movements.c.amount), 0)).where(
        movements.c.payment_id == payment_id, _names(reference), movements.c.kind.in_(TAKING)
    )
    return int(connection.scalar(taken) or 0)


def _names(reference: str) -> ColumnElement[bool]:
    """Return the condition that a movement is named by the provider's object."""
    is_of_it = movements.c.provider_id.startswith(f"{reference}/", autoescape=True)
    return (movements.c.provider_id == reference) | is_of_it


def other_holder(connection: Connection, payment_id: str, attempt_id: str, reference: str | None) -> Holder | None:
    """Return whose money a payment holds that is authorized or waits for a person; None if it is the attempt's own."""
    kinds = movements.c.kind.in_([MovementKind.AUTHORIZATION, MovementKind.RECEIPT])
    booked = connection.execute(
        select(movements.c.attempt_id, movements.c.provider, movements.c.provider_id, movements.c.kind)
        .where(movements.c.payment_id == payment_id, kinds)
        .order_by(movements.c.id)
    ).all()
    holder = None
    for row in booked:
        # A receipt is named by its object and the sum that has come.
        about = row.provider_id.rpartition("/")[0] if row.kind == MovementKind.RECEIPT else row.provider_id
        if row.attempt_id == attempt_id or about == reference:
            return None
        holder = Holder(row.attempt_id, row.provider, about)
    return holder


def is_duplicate(connection: Connection, provider: str, reference: str) -> bool:
    """Tell whether the provider's object took money a second time."""
    is_it = (movements.c.provider == provider) & (movements.c.provider_id == reference)
    booked = select(movements.c.id).where(is_it, movements.c.kind == MovementKind.DUPLICATE)
    return connection.execute(booked).first() is not None


class Difference(NamedTuple):
    """An amount of a payment or a cash balance that is not the sum of its movements, both in minor units."""

    subject_id: str
    amount: str
    stored: int
    booked: int
    currency: str


def count(connection: Connection) -> tuple[int, int]:
    """Return how many payments and how many movements there are."""
    return tuple(connection.scalars(select(func.count()).select_from(table)).one() for table in (payments, movements))  # type: ignore[return-value]


def differences(connection: Connection) -> Iterator[Difference]:
    """Yield every amount of every payment and cash balance that is not the sum of its movements, by their ids."""
    yield from _differences_of_payments(connection)
    yield from _differences_of_balances(connection)


class OtherCurrency(NamedTuple):
    """A movement, and no fee, that is not in the currency of its payment."""

    payment_id: str
    kind: str
    provider_id: str
    currency: str


def of_other_currency(connection: Connection) -> list[OtherCurrency]:
    """Return the movements that no amount of their payment can be a sum of."""
    found = (
        select(movements.c.payment_id, movements.c.kind, movements.c.provider_id, movements.c.currency)
        .join(payments, payments.c.id == movements.c.payment_id)
        .where(movements.c.currency != payments.c.currency, movements.c.kind != MovementKind.FEE)
        .order_by(movements.c.id)
    )
    return [OtherCurrency(*row) for row in connection.execute(found)]


def _differences_of_balances(connection: Connection) -> Iterator[Difference]:
    booked = (
        select(func.coalesce(func.sum(movements.c.amount), 0))
        .where(movements.c.cash_balance_id == cash_balances.c.id)
        .scalar_subquery()
    )
    stored = select(cash_balances.c.id, cash_balances.c.available, booked, cash_balances.c.currency)
    for row in connection.execute(stored.where(cash_balances.c.available != booked).order_by(cash_balances.c.id)):
        yield Difference(row[0], "available", row[1], int(row[2]), row[3])


def _differences_of_payments(connection: Connection) -> Iterator[Difference]:
    after = ""
    while last := connection.scalar(_last_of_page(after)):
        # One statement reads a payment with its movements: read apart, one could be newer than the other.
        rows = connection.execute(_page(after, last))
        for _, kinds in groupby(rows, key=lambda row: row.id):
            yield from _differences(list(kinds))
        after = last


def _differences(rows: list[Row[Any]]) -> Iterator[Difference]:
    """Yield the differences of one payment. `rows`: the payment with the sum of each kind of movement."""
    payment = rows[0]
    booked = amounts_of({MovementKind(row.kind): int(row.total) for row in rows if row.kind is not None})
    for amount in AMOUNTS:
        if getattr(payment, amount) != booked[amount]:
            yield Difference(payment.id, amount, getattr(payment, amount), booked[amount], payment.currency)


def _last_of_page(after: str) -> Any:
    page = select(payments.c.id).where(payments.c.id > after).order_by(payments.c.id).limit(_PAGE).subquery()
    return select(func.max(page.c.id))


def _page(after: str, last: str) -> Any:
    read = (payments.c.id, payments.c.currency, *(payments.c[amount] for amount in AMOUNTS))
    # The bounds of the page once more: otherwise PostgreSQL reads all movements for each page.
    is_of_page = (movements.c.payment_id > after) & (movements.c.payment_id <= last)
    return (
        select(*read, movements.c.kind, func.sum(movements.c.amount).label("total"))
        .join(movements, (movements.c.payment_id == payments.c.id) & is_of_page, isouter=True)
        .where(payments.c.id > after, payments.c.id <= last)
        .group_by(*read, movements.c.kind)
        .order_by(payments.c.id)
    )
