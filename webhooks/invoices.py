"""Invoices and subscriptions: what a user owes, and whether their recurring payments are up to date."""

from __future__ import annotations

from flask import Blueprint, Response

from domain.card_number import contains_card_number
from domain.errors import CardNumberRefused, Conflict, InvalidRequest
from models.api_keys import Role
from models.invoices import upsert_invoice
from models.queries import show_invoice, show_subscription
from models.request_bodies import NoFields, UpsertInvoice
from models.session import transact
from webhooks.auth import allow, caller_of_names
from webhooks.context import runtime
from webhooks.requests import json_body
from webhooks.responses import json_response

blueprint = Blueprint("invoices", __name__)


@blueprint.put("/invoices/<invoice_id>")
@allow(Role.APP)
def put_invoice(invoice_id: str) -> Response:
    """Create or change an invoice."""
    invoice = UpsertInvoice.parse(json_body())
    if not 1 <= len(invoice_id) <= 200:
        raise InvalidRequest("invoice_id must be 1 to 200 characters")
    if contains_card_number(invoice_id):
        raise CardNumberRefused("invoice_id looks like a card number; use another")
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


@blueprint.get("/subscriptions/<subscription_id>")
@allow(Role.APP, Role.OPERATOR)
def get_subscription(subscription_id: str) -> Response:
    """Show how the payment of a subscription stands."""
    return json_response(200, runtime().read(show_subscription, subscription_id, caller_of_names().application))
