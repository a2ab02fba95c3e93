"""Invoices: what a user owes."""

from __future__ import annotations

from flask import Blueprint, Response

from domain.errors import Conflict
from models.api_keys import Role
from models.invoices import upsert_invoice
from models.queries import show_invoice
from models.request_bodies import NoFields, UpsertInvoice
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


@blueprint.post("/invoices/<invoice_id>/pay-link")
@allow(Role.APP)
def make_pay_link(invoice_id: str) -> Response:
    """Return a link to the page on which the invoice's customer pays what is outstanding."""
    NoFields.parse(json_body())
    links = runtime().pay_links
    if links is None:
        raise Conflict("links to the pay page are off; set LINK_SECRET and PUBLIC_URL")
    shown = runtime().read(show_invoice, invoice_id, caller_of_names().application)
    url, expires_at = links.make(shown["application"], shown["invoice_id"], runtime().clock.now())
    return json_response(200, {"url": url, "expires_at": expires_at.isoformat().replace("+00:00", "Z")})
