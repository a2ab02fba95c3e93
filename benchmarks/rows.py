"""The rows of which a worker gets the ids: accepted payments, and for the floor rows of three columns."""

from __future__ import annotations

import secrets
from typing import Protocol

import psycopg
from sqlalchemy import Connection, func, select

from benchmarks import floor
from benchmarks.provider import AMOUNT
from domain.money import decimal_text
from domain.payment import State
from domain.routing import Choice
from models.accept_payment import accept_payment
from models.idempotency import Caller
from models.request_bodies import ProcessPayment
from models.session import database_now, make_engine, read, transact
from models.tables import payments

_CALLER = Caller("bench", "bench")
_CHOICE = (Choice("stripe", "preferred"),)


class Rows(Protocol):
    """The rows of one contender."""

    def __init__(self, database: str) -> None: ...

    def add(self, count: int) -> list[str]:
        """Store rows that are due; return the argument of the task for each."""
        ...

    def unfinished(self) -> int:
        """Return the number of rows that are not captured."""
        ...

    def close(self) -> None:
        """Close the connections."""
        ...


class Payments:
    """Payments as `POST /process` stores them. Each has another payer, so that none looks like fraud."""

    def __init__(self, database: str) -> None:
        self._engine = make_engine(database)

    def add(self, count: int) -> list[str]:
        """Accept payments; return the ids of their attempts."""
        return transact(self._engine, _accept_many, count)

    def unfinished(self) -> int:
        """Return the number of payments that are not captured."""
        query = select(func.count()).select_from(payments).where(payments.c.state != State.CAPTURED)
        return read(self._engine, Connection.scalar, query) or 0

    def close(self) -> None:
        """Close the connections."""
        self._engine.dispose()


def _accept_many(connection: Connection, count: int) -> list[str]:
    return [_accept(connection) for _ in range(count)]


def _accept(connection: Connection) -> str:
    unique = secrets.token_hex(6)  # too short to look like a card number
    command = ProcessPayment.parse(
        {
            "invoice_id": f"inv_{unique}",
            "user_id": f"user_{unique}",
            "amount": decimal_text(AMOUNT, "EUR"),
            "currency": "EUR",
            "payment_method": "credit_card",
            "payment_method_token": "pm_card_visa",
            "email": f"{unique}@example.com",
        }
    )
    response = accept_payment(connection, command, _CALLER, None, database_now(connection), _CHOICE)
    return response.messages[0].row_id


class FloorRows:
    """Rows of three columns."""

    def __init__(self, database: str) -> None:
        self._connection = psycopg.connect(database, autocommit=True)
        self._connection.execute(floor.SCHEMA)

    def add(self, count: int) -> list[str]:
        """Store rows; return their ids."""
        ids = [f"pay_{secrets.token_hex(16)}" for _ in range(count)]
        with self._connection.cursor() as cursor:
            cursor.executemany("INSERT INTO floor_payments VALUES (%s, 'due')", [(row_id,) for row_id in ids])
        return ids

    def unfinished(self) -> int:
        """Return the number of rows that are not captured."""
        row = self._connection.execute(floor.UNFINISHED).fetchone()
        assert row is not None
        return int(row[0])

    def close(self) -> None:
        """Close the connections."""
        self._connection.close()
