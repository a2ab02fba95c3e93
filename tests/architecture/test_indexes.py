"""Every query of the hot path can be served by an index: with scans forbidden, PostgreSQL still finds a way."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, event, func, select

from domain.routing import Choice
from models import intake, queries, transition
from models.api_keys import find_key
from models.billing import invoices
from models.idempotency import Caller
from models.payments import attempts, payments
from models.requests import ProcessPayment
from models.session import make_engine
from tasks import charge, sweep, webhooks

pytestmark = pytest.mark.postgres
CHOICES = (Choice("stripe", "preferred"),)
NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)


@pytest.fixture
def engine(postgres_url: str) -> Iterator[Engine]:
    """A migrated database."""
    engine = make_engine(postgres_url)
    yield engine
    engine.dispose()


class Explained:
    """Explains, with sequential scans forbidden, every statement that a function executes."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.plans: list[str] = []
        connection.exec_driver_sql("SET enable_seqscan = off")
        event.listen(connection, "before_cursor_execute", self._explain)

    def _explain(self, _: Any, cursor: Any, statement: str, parameters: Any, *__: Any) -> None:
        if statement.lstrip().startswith(("SELECT", "UPDATE")):
            cursor.execute(f"EXPLAIN {statement}", parameters)
            self.plans.append(f"{statement}\n" + "\n".join(row[0] for row in cursor.fetchall()))


@pytest.fixture
def explained(engine: Engine) -> Iterator[Explained]:
    """A connection whose statements are explained, on a database with one payment."""
    with engine.connect() as connection:
        command = ProcessPayment.parse(
            {
                "invoice_id": "inv",
                "user_id": "user",
                "amount": "10",
                "currency": "EUR",
                "payment_method": "credit_card",
                "payment_method_token": "pm_x",
            }
        )
        intake.accept_payment(connection, command, Caller("shop", "app:shop"), None, NOW, CHOICES)
        yield Explained(connection)
        connection.rollback()


def attempt_row(connection: Connection) -> Any:
    return transition.lock_attempt(connection, connection.scalar(select(func.max(attempts.c.id))))


def payment_id(connection: Connection) -> str:
    return connection.scalar(select(func.max(payments.c.id)))


def sweep_all(connection: Connection) -> None:
    for due in sweep._DUE:
        sweep._mark_rung(connection, due, NOW + timedelta(days=1))


def find_by_reference(connection: Connection) -> None:
    reference, payment = (attempts.c.provider_reference, "pi_1"), (attempts.c.payment_id, "pay_1")
    for names in ((reference, (attempts.c.id, "at_1")), (reference, payment), (payment,)):
        connection.execute(select(attempts.c.id).where(webhooks._is_any(*names))).all()


QUERIES = {
    "sweep": sweep_all,
    "lock": attempt_row,
    "velocity": lambda connection: charge._signals(connection, attempt_row(connection), NOW),
    "invoice position": lambda connection: queries.invoice_position(connection, "inv"),
    "invoice lock": lambda connection: intake.lock_invoice(connection, "inv", "shop"),
    "payment": lambda connection: queries.show_payment(connection, payment_id(connection), "shop"),
    "timeline": lambda connection: queries.timeline(connection, payment_id(connection)),
    "list": lambda connection: queries.list_payments(connection, "shop", "inv", None, 50),
    "webhook lock": lambda connection: webhooks._lock_event(connection, "wh_1"),
    "webhook find": find_by_reference,
    "API key": lambda connection: find_key(connection, "ck_x"),
}


@pytest.mark.parametrize("name", QUERIES)
def test_a_query_is_served_by_an_index(explained: Explained, name: str) -> None:
    QUERIES[name](explained.connection)
    assert explained.plans
    scans = [plan for plan in explained.plans if "Seq Scan" in plan]
    assert not scans, "\n\n".join(scans)


def test_the_explanation_sees_a_missing_index(explained: Explained) -> None:
    explained.connection.execute(select(invoices).where(invoices.c.description == "x")).all()
    assert "Seq Scan" in explained.plans[-1]
