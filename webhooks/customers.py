"""Customers: how a user is reached, and what a mail provider tells of their address."""

from __future__ import annotations

from flask import Blueprint, Response

from domain.card_number import contains_card_number
from domain.errors import CardNumberRefused, InvalidRequest
from models.api_keys import Role
from models.customers import mark_address, show_customer, upsert_customer
from models.request_bodies import MarkAddress, UpsertCustomer
from webhooks.auth import allow, caller, caller_of_names
from webhooks.context import runtime
from webhooks.requests import json_body
from webhooks.responses import json_response

blueprint = Blueprint("customers", __name__)


@blueprint.put("/customers/<user_id>")
@allow(Role.APP)
def put_customer(user_id: str) -> Response:
    """Create or replace a customer."""
    customer = UpsertCustomer.parse(json_body())
    if not 1 <= len(user_id) <= 200:
        raise InvalidRequest("user_id must be 1 to 200 characters")
    if contains_card_number(user_id):
        raise CardNumberRefused("user_id looks like a card number; use another")
    response = runtime().change(caller().actor, upsert_customer, user_id, customer, caller_of_names())
    return json_response(response.status, response.body)


@blueprint.get("/customers/<user_id>")
@allow(Role.APP, Role.OPERATOR)
def get_customer(user_id: str) -> Response:
    """Show a customer."""
    return json_response(200, runtime().read(show_customer, user_id, caller_of_names().application))


@blueprint.post("/admin/customers/<user_id>/mail-status")
@allow(Role.OPERATOR)
def mark(user_id: str) -> Response:
    """Store that mail to a customer has bounced, that they have complained, or that it works again."""
    marked = MarkAddress.parse(json_body())
    return json_response(200, runtime().change(caller().actor, mark_address, user_id, marked, caller_of_names()))
