"""Reads: how payments and invoices are shown to applications and operators."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Table, and_, case, func, select

from domain.attention import ACTIONS, Reason, Stake, offered_actions
from domain.dunning.case import CaseState
from domain.errors import NotFound
from domain.invoice import KEEPING, InvoicePosition
from domain.money import decimal_text
from domain.payment import IN_DUNNING, LIVE, AttemptStatus, State
from models.dispute_view import disputes_of
from models.fraud.assessments import assessment_view, newest_assessment
from models.fraud.labels import labels_of
from models.names import find_application
from models.outbox import mails_of_payment
from models.tables import (
    attempts,
    attention,
    cash_balances,
    dunning_cases,
    events,
    invoices,
    movements,
    payments,
    webhook_events,
)

_is_of_invoice = and_(payments.c.invoice_id == invoices.c.id, payments.c.application == invoices.c.application)


def find_payment(connection: Connection, payment_id: str, application: str | None) -> Row[Any]:
    """Return the payment. Raises NotFound, also for one of another application. `application` None sees all."""
    row = connection.execute(select(payments).where(payments.c.id == payment_id)).one_or_none()
    if row is None or (application is not None and row.application != application):
        raise NotFound("no such payment; check the id and the API key")
    return row


def show_payment(connection: Connection, payment_id: str, application: str | None) -> dict[str, Any]:
    """Return a payment with its attempts, assessment and dunning case, as the API shows it."""
    row = find_payment(connection, payment_id, application)
    tries = connection.execute(
        select(attempts).where(attempts.c.payment_id == payment_id).order_by(attempts.c.number)
    ).all()
    dunning = connection.execute(select(dunning_cases).where(dunning_cases.c.payment_id == payment_id)).one_or_none()
    return payment_view(row._mapping, [attempt._mapping for attempt in tries]) | {
        "fraud": assessment_view(newest_assessment(connection, payment_id))
        | {"labels": labels_of(connection, payment_id)},
        "movements": movements_of(connection, payment_id) if row.authorized or row.received else [],
        "disputes": _disputes(connection, payment_id) if row.captured else [],
        "dunning": dunning
        and {
            "case_id": dunning.id,
            "status": dunning.state,
            "retry": dunning.retry,
            "next_retry_at": _text(dunning.due_at) if dunning.state == CaseState.RETRYING else None,
            "grace_ends_at": _text(dunning.grace_ends_at),
            "mails": mails_of_payment(connection, payment_id),
        },
    }


def _disputes(connection: Connection, payment_id: str) -> list[dict[str, Any]]:
    return [{"at": _text(at), **about} for at, about in disputes_of(connection, payment_id)]


def find_attempt(connection: Connection, providers: Iterable[str], reference: str, application: str | None) -> Row[Any]:
    """Return the attempt of one of these providers with this reference. Raises NotFound."""
    row = connection.execute(
        select(attempts, payments.c.application, payments.c.state)
        .join(payments, payments.c.id == attempts.c.payment_id)
        .where(attempts.c.provider_reference == reference, attempts.c.provider.in_(sorted(providers)))
        .order_by(attempts.c.number)
        .limit(1)
    ).one_or_none()
    if row is None or (application is not None and row.application != application):
        raise NotFound("no such order or charge; check the id and the API key")
    return row


def list_payments(
    connection: Connection, application: str | None, invoice_id: str | None, after: str | None, limit: int
) -> list[dict[str, Any]]:
    """Return up to `limit` payments after the id `after`, oldest first. `application` None sees all.

    Raises AmbiguousName for an invoice of several applications of which none is named."""
    if application is None and invoice_id is not None:
        application = find_application(connection, invoices, invoice_id)
    query = select(payments).order_by(payments.c.id).limit(limit)
    if application is not None:
        query = query.where(payments.c.application == application)
    if invoice_id is not None:
        query = query.where(payments.c.invoice_id == invoice_id)
    if after is not None:
        query = query.where(payments.c.id > after)
    rows = connection.execute(query).all()
    tries: dict[str, list[Any]] = {row.id: [] for row in rows}
    ordered = select(attempts).where(attempts.c.payment_id.in_(tries)).order_by(attempts.c.number)
    for attempt in connection.execute(ordered):
        tries[attempt.payment_id].append(attempt._mapping)
    return [payment_view(row._mapping, tries[row.id]) for row in rows]


def payment_view(row: Any, tries: Iterable[Any]) -> dict[str, Any]:
    """Return the public form of a payment's row, without personal data and tokens."""
    currency = row["currency"]
    return {
        "id": row["id"],
        "status": row["state"],
        "application": row["application"],
        "invoice_id": row["invoice_id"],
        "subscription_id": row["subscription_id"],
        "user_id": row["user_id"],
        "amount": decimal_text(row["amount"], currency),
        "currency": currency,
        "payment_method": row["method"],
        "provider": row["provider"],
        "route": [{"provider": name, "reason": reason} for name, reason in row["route"] or [[row["provider"], "only"]]],
        "capture": not row["is_captured_later"],
        "off_session": row["is_off_session"],
        "authorized_amount": decimal_text(row["authorized"], currency),
        "received_amount": decimal_text(row["received"], currency),
        "captured_amount": decimal_text(row["captured"], currency),
        "refunded_amount": decimal_text(row["refunded"], currency),
        "reversed_amount": decimal_text(row["reversed"], currency),
        "net_amount": decimal_text(row["captured"] - row["refunded"] - row["reversed"], currency),
        "authorization_expires_at": _text(row["authorization_expires_at"]),
        "next_action": row["next_action"],
        "failure_code": row["failure_code"],
        "metadata": row["metadata"] or {},
        "attempts": [attempt_view(attempt, currency) for attempt in tries],
        "created_at": _text(row["created_at"]),
        "updated_at": _text(row["updated_at"]),
    }


def attempt_view(row: Any, currency: str) -> dict[str, Any]:
    """Return the public form of an attempt, with the provider's codes as they came."""
    refusal = ("cause", "code", "param", "message")
    codes = ("decline_class", "decline_code", "advice_code", "network_advice_code", "network_decline_code")
    return {
        "id": row["id"],
        "number": row["number"],
        "verb": row["verb"],
        "provider": row["provider"],
        "status": row["status"],
        "amount": decimal_text(row["amount"], currency),
        "provider_reference": row.get("provider_reference"),
        "created_at": _text(row["created_at"]),
        "settled_at": _text(row.get("finished_at")),
        **{code: row[code] for code in (*refusal, *codes) if row.get(code)},
    }


def show_invoice(connection: Connection, invoice_id: str, application: str | None) -> dict[str, Any]:
    """Return an invoice with what is collected and what is outstanding. `application` None: the one that has it.

    Raises NotFound, AmbiguousName."""
    row = _find_named(connection, invoices, invoice_id, application)
    if row is None:
        raise NotFound("no such invoice; check the id and the API key")
    position = invoice_position(connection, invoice_id, row.application)
    return {
        "invoice_id": row.id,
        "application": row.application,
        "user_id": row.user_id,
        "amount": decimal_text(row.amount, row.currency),
        "collected_amount": decimal_text(position.collected, row.currency),
        "open_amount": decimal_text(position.outstanding, row.currency),
        "currency": row.currency,
        "due_at": _text(row.due_at),
        "description": row.description,
        "created_at": _text(row.created_at),
        "updated_at": _text(row.updated_at),
    }


def _find_named(connection: Connection, names: Table, name: str, application: str | None) -> Row[Any] | None:
    owner = application or find_application(connection, names, name)
    return connection.execute(select(names).where(names.c.id == name, names.c.application == owner)).one_or_none()


def invoice_position(connection: Connection, invoice_id: str, application: str) -> InvoicePosition:
    """Return what has been collected on an application's invoice, and what is collecting it now."""
    is_kept = payments.c.state.in_(sorted(KEEPING))
    kept = case((is_kept, payments.c.captured - payments.c.lost), else_=0)
    captured = func.coalesce(func.sum(kept), 0)
    live = func.max(case((payments.c.state.in_(sorted(LIVE)), payments.c.id)))
    dunned = func.max(case((payments.c.state.in_(sorted(IN_DUNNING)), 1), else_=0))
    refunded = func.coalesce(func.sum(case((is_kept, payments.c.refunded), else_=0)), 0)
    row = connection.execute(
        select(invoices.c.amount, invoices.c.currency, captured, live, dunned, refunded)
        .join(payments, _is_of_invoice, isouter=True)
        .where(invoices.c.id == invoice_id, invoices.c.application == application)
        .group_by(invoices.c.amount, invoices.c.currency)
    ).one()
    return InvoicePosition(row[0], row[1], int(row[2]), row[3], bool(row[4]), int(row[5]))


def timeline(connection: Connection, payment_id: str) -> list[Row[Any]]:
    """Return the payment's events, oldest first."""
    return list(connection.execute(select(events).where(events.c.payment_id == payment_id).order_by(events.c.id)).all())


def what_happens_next(connection: Connection, payment_id: str) -> list[tuple[datetime, str]]:
    """Return the due dates of a payment, soonest first, each with what happens then."""
    asks = {
        AttemptStatus.DUE: "is sent to the provider",
        AttemptStatus.OPEN: "is looked up at the provider if its worker has recorded no outcome",
    }
    due = connection.execute(
        select(attempts).where(attempts.c.payment_id == payment_id, attempts.c.due_at.is_not(None))
    ).all()
    found = [
        (row.due_at, f"{row.verb} {row.number} {asks.get(row.status, 'is looked up at the provider')}") for row in due
    ]
    dunning = connection.execute(
        select(dunning_cases).where(dunning_cases.c.payment_id == payment_id, dunning_cases.c.due_at.is_not(None))
    ).one_or_none()
    if dunning is not None:
        what = (
            f"retry {dunning.retry}"
            if dunning.state == CaseState.RETRYING
            else "grace ends, and the policy of the case says what follows"
        )
        found.append((dunning.due_at, what))
    return sorted(found)


def movements_of(connection: Connection, payment_id: str) -> list[dict[str, Any]]:
    """Return the movements of a payment's money, in the order in which they were booked."""
    return _movements(connection, movements.c.payment_id == payment_id)


def _movements(connection: Connection, is_meant: ColumnElement[bool]) -> list[dict[str, Any]]:
    booked = select(movements).where(is_meant).order_by(movements.c.id)
    return [
        {
            "kind": row.kind,
            "amount": decimal_text(row.amount, row.currency),
            "currency": row.currency,
            "provider": row.provider,
            "provider_reference": row.provider_id,
            "source": row.source,
            "booked_at": _text(row.booked_at),
            "moved_at": _text(row.moved_at),
        }
        for row in connection.execute(booked)
    ]


# An entry about a webhook event is the application's whose payment the event is about.
_payment_of_entry = func.coalesce(attention.c.payment_id, webhook_events.c.payment_id)
_application_of_entry = func.coalesce(payments.c.application, cash_balances.c.application)
_at_stake = (payments.c.state, payments.c.captured, payments.c.received, payments.c.duplicated)
_entries = (
    select(attention, _payment_of_entry.label("about"), _application_of_entry.label("application"), *_at_stake)
    .join(webhook_events, webhook_events.c.id == attention.c.webhook_event_id, isouter=True)
    .join(payments, payments.c.id == _payment_of_entry, isouter=True)
    .join(cash_balances, cash_balances.c.id == attention.c.cash_balance_id, isouter=True)
)


def find_entry(connection: Connection, entry_id: str, application: str | None) -> Row[Any]:
    """Return an entry of the attention list; `about` is its payment. Raises NotFound, also for one of another
    application."""
    row = connection.execute(_entries.where(attention.c.id == entry_id)).one_or_none()
    if row is None or (application is not None and row.application != application):
        raise NotFound("no such entry; the attention list shows the ids")
    return row


def list_entries(
    connection: Connection,
    application: str | None,
    *,
    is_open: bool | None = None,
    reason: Reason | None = None,
    payment_id: str | None = None,
    after: str | None = None,
    limit: int,
) -> list[dict[str, Any]]:
    """Return up to `limit` entries of the attention list after the id `after`, oldest first."""
    query = _entries.order_by(attention.c.id).limit(limit)
    if application is not None:
        query = query.where(_application_of_entry == application)
    if is_open is not None:
        query = query.where(attention.c.closed_at.is_(None) if is_open else attention.c.closed_at.is_not(None))
    if reason is not None:
        query = query.where(attention.c.reason == reason)
    if payment_id is not None:
        query = query.where(_payment_of_entry == payment_id)
    if after is not None:
        query = query.where(attention.c.id > after)
    return [entry_view(row) for row in connection.execute(query)]


def show_entry(connection: Connection, entry_id: str, application: str | None) -> dict[str, Any]:
    """Return an entry with its payment, the movements of that, and the webhook event that it is about."""
    row = find_entry(connection, entry_id, application)
    event = connection.execute(select(webhook_events).where(webhook_events.c.id == row.webhook_event_id)).one_or_none()
    payment = show_payment(connection, row.about, application) if row.about else None
    balance = row.cash_balance_id and _show_balance(connection, row.cash_balance_id)
    return entry_view(row) | {
        "payment": payment,
        "cash_balance": balance,
        "movements": (payment or balance or {"movements": []})["movements"],
        # The event's text stays in the database: it may name the payer.
        "webhook": event
        and {
            "id": event.id,
            "provider": event.provider,
            "event_id": event.event_id,
            "type": event.type,
            "status": event.status,
            "received_at": _text(event.received_at),
        },
    }


def _show_balance(connection: Connection, balance_id: str) -> dict[str, Any]:
    """Return a customer's money that fits no payment, with its movements."""
    row = connection.execute(select(cash_balances).where(cash_balances.c.id == balance_id)).one()
    return {
        "id": row.id,
        "user_id": row.user_id,
        "provider": row.provider,
        "available": decimal_text(row.available, row.currency),
        "currency": row.currency,
        "movements": _movements(connection, movements.c.cash_balance_id == balance_id),
    }


def entry_view(row: Row[Any]) -> dict[str, Any]:
    """Return the public form of an entry. `actions`: what may be decided on it while it is open."""
    return {
        "id": row.id,
        "reason": row.reason,
        "since": _text(row.opened_at),
        "payment_id": row.about,
        "webhook_event_id": row.webhook_event_id,
        "provider": row.provider,
        "cash_balance_id": row.cash_balance_id,
        "amount_at_stake": None if row.amount is None else decimal_text(row.amount, row.currency),
        "currency": row.currency,
        "data": {name: value for name, value in (row.data or {}).items() if name != "details" and value is not None},
        "details": [_detail_view(detail, row.currency) for detail in (row.data or {}).get("details", [])],
        "actions": _actions(row) if row.closed_at is None else [],
        "resolution": row.resolution,
        "note": row.note,
        "closed_at": _text(row.closed_at),
        "closed_by": row.closed_by,
    }


def _actions(row: Row[Any]) -> list[str]:
    reason = Reason(row.reason)
    if row.about is None:
        return list(ACTIONS[reason])
    stake = Stake(State(row.state), captured=row.captured, received=row.received, duplicated=row.duplicated)
    return list(offered_actions(reason, stake))


def _detail_view(detail: dict[str, Any], currency: str) -> dict[str, Any]:
    amount = {"amount": decimal_text(detail["amount"], currency)} if "amount" in detail else {}
    return detail | amount


def count_open_entries(connection: Connection) -> int:
    """Return how many entries of the attention list are open."""
    return connection.scalars(select(func.count()).select_from(attention).where(attention.c.closed_at.is_(None))).one()


def _text(instant: datetime | None) -> str | None:
    return None if instant is None else instant.isoformat(timespec="milliseconds").replace("+00:00", "Z")
