"""Inserts payments, each with its first attempt and its event. Who may be charged what is decided before."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Connection, insert

from domain.money import Money
from domain.payment import Event, State, Verb
from models.attempts import insert_attempt, new_attempt
from models.audit import record_event
from models.tables import payments
from models.tables.base import new_id


def new_payment(application: str, money: Money, now: datetime, **columns: Any) -> dict[str, Any]:
    """Return the columns of an accepted payment with a new id."""
    blank = {
        "subscription_id": None,
        "route": None,
        "method_token": None,
        "customer_token": None,
        "is_captured_later": False,
        "is_off_session": False,
        "is_client_confirmed": False,
        "return_url": None,
        "payer": None,
        "metadata": None,
        "authorization_expires_at": None,
        "next_action": None,
        "failure_code": None,
    }
    fixed = {
        "id": new_id("pay", now),
        "application": application,
        "amount": money.minor,
        "currency": money.currency,
        "state": State.ACCEPTED,
        "authorized": 0,
        "received": 0,
        "captured": 0,
        "refunded": 0,
        "duplicated": 0,
        "reversed": 0,
        "lost": 0,
        "created_at": now,
        "updated_at": now,
    }
    return blank | fixed | columns


def first_attempt(payment: dict[str, Any], verb: Verb, actor: str, now: datetime) -> dict[str, Any]:
    """Return the columns of the first attempt of a new payment, due now."""
    attempt_id = new_id("at", now)
    return new_attempt(attempt_id, payment["id"], verb, payment["provider"], payment["amount"], now=now, actor=actor)


def store_payment(
    connection: Connection, payment: dict[str, Any], attempt: dict[str, Any], actor: str, now: datetime
) -> None:
    """Insert a new payment with its first attempt and its event."""
    connection.execute(insert(payments), payment)
    insert_attempt(connection, attempt)
    record_event(
        connection,
        Event.PAYMENT_ACCEPTED,
        actor=actor,
        now=now,
        payment_id=payment["id"],
        attempt_id=attempt["id"],
        to_state=State.ACCEPTED,
    )
