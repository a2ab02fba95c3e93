"""The books: appends movements, and proves that the amounts of payments are their sums."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from sqlalchemy import Connection, Row, case, func, insert, select

from domain.movement import AMOUNTS, Movement, MovementKind, amounts_of
from models.change import Change
from models.session import insert_new
from models.tables import attempts, movements, payments

_insert_movement = insert(movements)
# Kinds that take the customer's money.
TAKING = (MovementKind.CHARGE, MovementKind.CAPTURE, MovementKind.DUPLICATE)
# Payments that are compared at once: a page is one statement.
_PAGE = 5_000


def book(change: Change, payment: Row[Any], attempt_id: str | None, provider: str, moved: Iterable[Movement]) -> None:
    """Append movements of a locked payment. Raises IntegrityError if one of them is booked already."""
    rows = [_row(change, payment, attempt_id, provider, movement) for movement in moved]
    if rows:
        change.connection.execute(_insert_movement, rows)


def book_fee(change: Change, payment: Row[Any], attempt_id: str, provider: str, fee: Movement) -> bool:
    """Append the fee of a charge of a locked payment, once; return whether it was missing."""
    return insert_new(change.connection, movements, _row(change, payment, attempt_id, provider, fee))


def has_fee(connection: Connection, attempt_id: str) -> bool:
    """Tell whether the fee of a charge is booked."""
    is_fee = (movements.c.attempt_id == attempt_id) & (movements.c.kind == MovementKind.FEE)
    payment_id = select(attempts.c.payment_id).where(attempts.c.id == attempt_id).scalar_subquery()
    booked = select(movements.c.id).where(movements.c.payment_id == payment_id, is_fee)
    return connection.execute(booked).first() is not None


def _row(
    change: Change, payment: Row[Any], attempt_id: str | None, provider: str, movement: Movement
) -> dict[str, Any]:
    return {
        "payment_id": payment.id,
        "attempt_id": attempt_id,
        "provider": provider,
        "provider_id": movement.provider_id,
        "kind": movement.kind,
        "amount": movement.amount,
        "currency": movement.currency or payment.currency,
        "source": change.actor,
        "booked_at": change.now,
    }


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
    """An amount of a payment that is not the sum of its movements, both in minor units."""

    payment_id: str
    amount: str
    stored: int
    booked: int
    currency: str


def count(connection: Connection) -> tuple[int, int]:
    """Return how many payments and how many movements there are."""
    return tuple(connection.scalars(select(func.count()).select_from(table)).one() for table in (payments, movements))  # type: ignore[return-value]


def differences(connection: Connection) -> Iterator[Difference]:
    """Yield every amount of every payment that is not the sum of its movements, by the payments' ids."""
    after = ""
    while page := connection.execute(_page(after)).all():
        for row in page:
            booked = amounts_of({kind: int(getattr(row, f"sum_{kind}")) for kind in MovementKind})
            for amount in AMOUNTS:
                if getattr(row, amount) != booked[amount]:
                    yield Difference(row.id, amount, getattr(row, amount), booked[amount], row.currency)
        after = page[-1].id


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
