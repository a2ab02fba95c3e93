"""Reads what the page of a debt shows: the invoice, what is owed, and the payment that is collecting it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, Row, and_, exists, func, select

from domain.decline import DeclineReason
from domain.dunning.case import SubscriptionStatus, has_ended
from domain.invoice import InvoicePosition
from domain.pay_page import OpenPayment, was_refused
from domain.payment import UNFINISHED, State, Verb
from models.declines import last_decline_reason
from models.provider_customers import User
from models.queries import invoice_position
from models.tables import attempts, invoices, payments, subscriptions

_ENDED = sorted(status for status in SubscriptionStatus if has_ended(status))


@dataclass(frozen=True, slots=True)
class Debt:
    """An invoice as its customer sees it. `payments`: how many it has had. `newest`: the state of the newest one;
    `decline`: why that was declined, if it was. `is_canceled`: its subscription has ended. `attempt_id`, `provider`,
    `reference`: of the charge of the open payment."""

    user: User
    invoice_id: str
    description: str | None
    due_at: datetime | None
    position: InvoicePosition
    payments: int
    newest: State | None
    is_canceled: bool
    decline: DeclineReason | None = None
    open_payment: OpenPayment | None = None
    attempt_id: str | None = None
    provider: str | None = None
    reference: str | None = None


def find_debt(connection: Connection, application: str, invoice_id: str) -> Debt | None:
    """Return an invoice of the application as its customer sees it; None if there is none."""
    is_it = (invoices.c.id == invoice_id) & (invoices.c.application == application)
    invoice = connection.execute(select(invoices).where(is_it)).one_or_none()
    if invoice is None:
        return None
    position = invoice_position(connection, invoice_id, application)
    of_invoice = (payments.c.invoice_id == invoice_id) & (payments.c.application == application)
    count = connection.scalars(select(func.count()).select_from(payments).where(of_invoice)).one()
    ordered = select(payments.c.id, payments.c.state).where(of_invoice).order_by(payments.c.id.desc())
    newest = connection.execute(ordered.limit(1)).one_or_none()
    state = None if newest is None else State(newest.state)
    subscription = and_(
        subscriptions.c.id == payments.c.subscription_id, subscriptions.c.application == payments.c.application
    )
    has_ended_one = exists().where(of_invoice, subscription, subscriptions.c.status.in_(_ENDED))
    live = _find_open(connection, position.live_payment) if position.live_payment else None
    return Debt(
        user=User(application, invoice.user_id),
        invoice_id=invoice.id,
        description=invoice.description,
        due_at=invoice.due_at,
        position=position,
        payments=count,
        newest=state,
        is_canceled=bool(connection.scalar(select(has_ended_one))),
        decline=last_decline_reason(connection, newest.id) if newest is not None and was_refused(state) else None,
        open_payment=live and _open_payment(live),
        attempt_id=live and live.attempt_id,
        provider=live and live.provider,
        reference=live and live.provider_reference,
    )


def _find_open(connection: Connection, payment_id: str) -> Row[tuple[object, ...]] | None:
    """Return a payment with its newest charge, which is the one that its customer has to act on."""
    voids = attempts.alias()
    is_ending = exists().where(
        voids.c.payment_id == payments.c.id, voids.c.verb == Verb.VOID, voids.c.status.in_(sorted(UNFINISHED))
    )
    is_charge = attempts.c.verb.in_(sorted(verb for verb in Verb if verb.is_collecting))
    query = (
        select(
            payments,
            attempts.c.id.label("attempt_id"),
            attempts.c.provider.label("charged_by"),
            attempts.c.provider_reference,
            is_ending.label("is_ending"),
        )
        .join(attempts, attempts.c.payment_id == payments.c.id)
        .where(payments.c.id == payment_id, is_charge)
        .order_by(attempts.c.number.desc())
        .limit(1)
    )
    return connection.execute(query).one_or_none()


def _open_payment(row: Row[tuple[object, ...]]) -> OpenPayment:
    redirect_url = (row.next_action or {}).get("redirect_url")
    return OpenPayment(State(row.state), row.is_client_confirmed, redirect_url, row.is_ending)
