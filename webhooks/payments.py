"""Payments: accepted, shown and listed."""

from __future__ import annotations

from flask import Blueprint, Response, request

from domain.routing import RoutingRequest
from models.accept_payment import accept_payment, routing_request
from models.api_keys import Role
from models.failpoints import reach
from models.idempotency import ApiResponse, Caller
from models.queries import list_payments, show_payment
from models.request_bodies import ProcessPayment
from models.session import transact
from webhooks.auth import allow, caller, caller_of_names
from webhooks.context import runtime
from webhooks.requests import json_body, page_cursor, page_limit, required_idempotency_key
from webhooks.responses import is_not_in_progress, json_response, respond

blueprint = Blueprint("payments", __name__)


@blueprint.post("/process")
@allow(Role.APP)
def process() -> Response:
    """Accept a payment: 202, or with `Prefer: wait=N` its result."""
    return respond(accept(ProcessPayment.parse(json_body())), is_not_in_progress)


def accept(payment: ProcessPayment) -> ApiResponse:
    """Store a payment of the application that sends this request, and publish its message."""
    key = required_idempotency_key()
    return accept_from(payment, caller_of_names(), key)


def accept_from(payment: ProcessPayment, sender: Caller, key: str) -> ApiResponse:
    """Store a payment and publish its message. A repeat of the key stores and publishes nothing."""
    now = runtime().clock.now()
    choices = runtime().router.choices_or_refusal(_routing_request(payment, sender))
    response = transact(runtime().engine, accept_payment, payment, sender, key, now, choices)
    reach("accept.committed")
    runtime().publish(response.messages)
    return response


def _routing_request(payment: ProcessPayment, sender: Caller) -> RoutingRequest:
    # Most requests name what they charge, and cost no look into the database here.
    if payment.payment_method_token is not None:
        return payment.routing_request
    return runtime().read(routing_request, payment, sender)


@blueprint.get("/<payment_id>")
@allow(Role.APP, Role.OPERATOR)
def show(payment_id: str) -> Response:
    """Show one payment."""
    return json_response(200, runtime().read(show_payment, payment_id, caller().application))


@blueprint.get("/")
@allow(Role.APP, Role.OPERATOR)
def index() -> Response:
    """List payments, oldest first; `next_cursor` continues."""
    limit = page_limit({"application", "invoice_id", "cursor", "limit"})
    invoice_id, cursor = request.args.get("invoice_id"), page_cursor("pay")
    found = runtime().read(list_payments, caller_of_names().application, invoice_id, cursor, limit + 1)
    page = found[:limit]
    next_cursor = page[-1]["id"] if len(found) > limit else None
    return json_response(200, {"payments": page, "next_cursor": next_cursor})
