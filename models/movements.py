"""The books: appends movements, and proves that the amounts of payments are their sums."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from sqlalchemy import Connection, Row, case, func, insert, select

from domain.movement import AMOUNTS, Movement, MovementKind, amounts_of
from models.change import Change
from models.tables import cash_balances, movements, payments

_insert_movement = insert(movements)
# Kinds that take the customer's money.
TAKING = (MovementKind.CHARGE, MovementKind.CAPTURE, MovementKind.DUPLICATE)
# Payments that are compared at once: a page is one statement.
_PAGE = 5_000


def book(change: Change, payment: Row[Any], attempt_id: str | None, provider: str, moved: Iterable[Movement]) -> None:
    """Append movements of a locked payment. Raises IntegrityError if one of them is booked already."""
    subject = {"payment_id": payment.id, "cash_balance_id": None, "attempt_id": attempt_id}
    _book(change, subject | {"provider": provider, "currency": payment.currency}, moved)


def book_of_balance(change: Change, balance: Row[Any], moved: Iterable[Movement]) -> None:
    """Append movements of a locked cash balance. Raises IntegrityError if one of them is booked already."""
    subject = {"payment_id": None, "cash_balance_id": balance.id, "attempt_id": None}
    _book(change, subject | {"provider": balance.provider, "currency": balance.currency}, moved)


def _book(change: Change, subject: dict[str, Any], moved: Iterable[Movement]) -> None:
    rows = [
        {
            **subject,
            "provider_id": movement.provider_id,
            "kind": movement.kind,
            "amount": movement.amount,
            "source": change.actor,
            "booked_at": change.now,
        }
        for movement in moved
    ]
    if rows:
        change.connection.execute(_insert_movement, rows)


def taken_by(connection: Connection, payment_id: str) -> frozenset[str]:
    """Return the ids of the attempts, and those of the provider's objects, whose captured money is booked."""
    taken = select(movements.c.provider_id, movements.c.attempt_id).where(
        movements.c.payment_id == payment_id, movements.c.kind.in_(TAKING)
    )
    return frozenset(name for row in connection.execute(taken) for name in row if name is not None)


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
    while page := connection.execute(_page(after)).all():
        for row in page:
            booked = amounts_of({kind: int(getattr(row, f"sum_{kind}")) for kind in MovementKind})
            for amount in AMOUNTS:
                if getattr(row, amount) != booked[amount]:
                    yield Difference(row.id, amount, getattr(row, amount), booked[amount], row.currency)
        after = page[-1].id


def _page(after: str) -> Any:
    chosen = select(payments).where(payments.c.id > after).order_by(payments.c.id).limit(_PAGE).subquery()
    sums = [
        func.coalesce(func.sum(case((movements.c.kind == kind, movements.c.amount), else_=0)), 0).label(f"sum_{kind}")
        for kind in MovementKind
    ]
    amounts = [chosen.c[amount] for amount in AMOUNTS]
    return (
        select(chosen.c.id, chosen.c.currency, *amounts, *sums)
        .join(movements, movements.c.payment_id == chosen.c.id, isouter=True)
        .group_by(chosen.c.id, chosen.c.currency, *amounts)
        .order_by(chosen.c.id)
    )
