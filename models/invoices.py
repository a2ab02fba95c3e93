"""Invoices: created, locked while a collection of them is decided, and changed."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, select, update

from domain.errors import InvoiceMismatch, NotFound
from domain.invoice import require_amount_change, require_chargeable
from domain.money import Money
from models.idempotency import ApiResponse, Caller
from models.names import find_application
from models.queries import invoice_position, show_invoice
from models.request_bodies import ProcessPayment, UpsertInvoice
from models.session import insert_new
from models.tables import invoices

# Owner of a new invoice whose sender belongs to no application and names none.
DEFAULT_APPLICATION = "default"


def application_of_invoice(connection: Connection, invoice_id: str, caller: Caller) -> str:
    """Return whose invoice is meant: the caller's, else that of the only application that has one of this name.

    Raises AmbiguousName."""
    return caller.application or find_application(connection, invoices, invoice_id) or DEFAULT_APPLICATION


def create_or_lock_invoice(
    connection: Connection, request: ProcessPayment, money: Money, application: str, now: datetime
) -> bool:
    """Create the invoice, or lock it and check that this amount may be collected on it now. Return whether it is in
    dunning.

    Raises InvoiceMismatch, CollectionInProgress or AmountAboveOpen."""
    created = {
        "id": request.invoice_id,
        "application": application,
        "user_id": request.user_id,
        "amount": money.minor,
        "currency": money.currency,
        "created_at": now,
        "updated_at": now,
    }
    if insert_new(connection, invoices, created):
        return False
    invoice = lock_invoice(connection, request.invoice_id, application)
    if invoice.user_id != request.user_id:
        raise InvoiceMismatch("the invoice belongs to another user_id; send the one it was made with")
    if invoice.currency != money.currency:
        raise InvoiceMismatch(f"the invoice is in {invoice.currency}; send that currency")
    position = invoice_position(connection, invoice.id, application)
    require_chargeable(position, money.minor)
    return position.is_dunned


def find_invoice(connection: Connection, invoice_id: str, application: str) -> Row[Any] | None:
    """Return an invoice of the application, if there is one."""
    return connection.execute(select(invoices).where(_is_named(invoice_id, application))).one_or_none()


def lock_invoice(connection: Connection, invoice_id: str, application: str) -> Row[Any]:
    """Lock an invoice of the application, so that its collections are decided one after the other. Raises NotFound."""
    query = select(invoices).where(_is_named(invoice_id, application)).with_for_update()
    row = connection.execute(query).one_or_none()
    if row is None:
        raise NotFound("no such invoice; check the id and the API key")
    return row


def upsert_invoice(
    connection: Connection, invoice_id: str, request: UpsertInvoice, caller: Caller, now: datetime
) -> ApiResponse:
    """Create or change an invoice. Its currency and user stay, and it never falls below what is collected.

    Raises AmbiguousName, InvoiceMismatch, Conflict, CollectionInProgress or AmountAboveOpen."""
    money = Money.parse(request.amount, request.currency)
    application = application_of_invoice(connection, invoice_id, caller)
    values = {
        "user_id": request.user_id,
        "amount": money.minor,
        "currency": money.currency,
        "due_at": request.due_at,
        "description": request.description,
        "updated_at": now,
    }
    keys = {"id": invoice_id, "application": application, "created_at": now}
    is_new = insert_new(connection, invoices, values | keys)
    if not is_new:
        row = lock_invoice(connection, invoice_id, application)
        if (row.user_id, row.currency) != (request.user_id, money.currency):
            raise InvoiceMismatch("user_id and currency of an invoice cannot change; make a new invoice")
        require_amount_change(invoice_position(connection, invoice_id, application), money.minor)
        connection.execute(update(invoices).where(_is_named(invoice_id, application)).values(values))
    return ApiResponse(201 if is_new else 200, show_invoice(connection, invoice_id, application))


def _is_named(invoice_id: str, application: str) -> ColumnElement[bool]:
    return (invoices.c.id == invoice_id) & (invoices.c.application == application)
