"""Invoices: what a user owes."""

from __future__ import annotations

from flask import Blueprint, Response

from models.api_keys import Role
from models.invoices import upsert_invoice
from models.queries import show_invoice
from models.request_bodies import UpsertInvoice
from models.session import transact
from webhooks.auth import allow, caller_of_names
from webhooks.context import runtime
from webhooks.requests import json_body, require_name
from webhooks.responses import json_response

blueprint = Blueprint("invoices", __name__)


@blueprint.put("/invoices/<invoice_id>")
@allow(Role.APP)
def put_invoice(invoice_id: str) -> Response:
    """Create or change an invoice."""
    invoice = UpsertInvoice.parse(json_body())
    require_name(invoice_id, "invoice_id")
    now = runtime().clock.now()
    response = transact(runtime().engine, upsert_invoice, invoice_id, invoice, caller_of_names(), now)
    return json_response(response.status, response.body)


@blueprint.get("/invoices/<invoice_id>")
@allow(Role.APP, Role.OPERATOR)
def get_invoice(invoice_id: str) -> Response:
    """Show an invoice and what is outstanding on it."""
    return json_response(200, runtime().read(show_invoice, invoice_id, caller_of_names().application))
