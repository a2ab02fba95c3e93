"""Collecting: the enqueue endpoint, invoices, front-end intents, and reads."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from flask import Blueprint, Response, jsonify, request, url_for
from sqlalchemy import Connection

from domain.card_number import contains_card_number
from domain.errors import CardNumberRefused, InvalidRequest
from domain.payment import IN_PROGRESS, State
from models import intake
from models.api_keys import Role
from models.failpoint import reach
from models.idempotency import ApiResponse
from models.queries import find_payment, list_payments, show_invoice, show_payment, show_subscription
from models.requests import CreateIntent, ProcessPayment, UpsertInvoice
from models.session import read, transact
from webhooks import front_end_intents
from webhooks.auth import allow, caller
from webhooks.context import services
from webhooks.problems import problem
from webhooks.requests import idempotency_key, json_body, wait_seconds

blueprint = Blueprint("payments", __name__)

_PAGE = 50
_MOST_PAGE = 200
# The first look comes soon, because most cards are charged within a blink; then the looks thin out.
_FIRST_LOOK_SECONDS = 0.02
_LAST_LOOK_SECONDS = 0.25

_DECLINED = (400, "payment_declined", "the payment was declined; offer the customer another way to pay")
_REFUSALS: dict[State, tuple[int, str, str]] = {
    State.DECLINED: _DECLINED,
    State.PAST_DUE: (400, "payment_declined", "the payment was declined; it is tried again by itself"),
    State.IN_GRACE: _DECLINED,
    State.UNCOLLECTIBLE: _DECLINED,
    State.BLOCKED: (403, "fraud_blocked", "the payment was blocked by the fraud rules; do not try it again"),
    State.REVIEW: (403, "review_required", "the payment waits for an operator's review; ask for it later"),
    State.FAILED: (500, "provider_error", "the provider refused the request; nothing was charged"),
}


@blueprint.post("/process")
@allow(Role.APP)
def process() -> Response:
    """Accept a payment: 202, or with `Prefer: wait=N` its rest."""
    response = accept(ProcessPayment.parse(json_body()))
    return respond(response, lambda shown: State(shown["status"]) not in IN_PROGRESS)


def accept(command: ProcessPayment) -> ApiResponse:
    """Store a payment and ring for it."""
    key, now = idempotency_key(), services().clock.now()
    choices = services().router(command.routing_request)
    response = transact(
        services().engine,
        lambda connection: intake.accept_payment(connection, command, caller(), key, now, choices),
    )
    reach("accept.committed")
    services().publish(response.messages)
    return response


def respond(accepted: ApiResponse, is_done: Callable[[dict[str, Any]], bool]) -> Response:
    """Answer at once, or as soon as the payment rests if the caller wants to wait for that."""
    seconds = wait_seconds()
    shown = wait(str(accepted.payment_id), seconds, is_done) if seconds and accepted.payment_id else None
    response = result_response(shown) if shown is not None else _json(accepted.status, accepted.body)
    response.headers["Location"] = url_for("payments.show", payment_id=accepted.payment_id)
    if seconds:
        response.headers["Preference-Applied"] = f"wait={seconds}"
    if accepted.is_replay:
        response.headers["Idempotent-Replayed"] = "true"
    return response


def wait(payment_id: str, seconds: int, is_done: Callable[[dict[str, Any]], bool]) -> dict[str, Any] | None:
    """Return a payment as soon as it rests, None when it does not in that time."""
    deadline, pause = time.monotonic() + seconds, _FIRST_LOOK_SECONDS
    while time.monotonic() < deadline:
        time.sleep(pause)
        shown = read(services().engine, lambda connection: _show_resting(connection, payment_id))
        if shown is not None and is_done(shown):
            return shown
        pause = min(pause * 1.5, _LAST_LOOK_SECONDS)
    return None


def _show_resting(connection: Connection, payment_id: str) -> dict[str, Any] | None:
    is_moving = State(find_payment(connection, payment_id, None).state) in IN_PROGRESS
    return None if is_moving else show_payment(connection, payment_id, None)


def result_response(shown: dict[str, Any]) -> Response:
    """Answer with a payment at rest, or with the problem that it came to."""
    refusal = _REFUSALS.get(State(shown["status"]))
    if refusal is None:
        return _json(200, shown)
    status, kind, detail = refusal
    code = shown["failure_code"]
    return problem(status, kind, detail, payment_id=shown["id"], code=code, payment=shown)


def _json(status: int, body: Any) -> Response:
    response = jsonify(body)
    response.status_code = status
    return response


@blueprint.put("/invoices/<invoice_id>")
@allow(Role.APP)
def put_invoice(invoice_id: str) -> Response:
    """Create or change an invoice."""
    command = UpsertInvoice.parse(json_body())
    if not 1 <= len(invoice_id) <= 200:
        raise InvalidRequest("invoice_id must be 1 to 200 characters")
    if contains_card_number(invoice_id):
        raise CardNumberRefused("invoice_id looks like a card number; use another")
    now = services().clock.now()
    response = transact(
        services().engine,
        lambda connection: intake.upsert_invoice(connection, invoice_id, command, caller(), now),
    )
    return _json(response.status, response.body)


@blueprint.get("/invoices/<invoice_id>")
@allow(Role.APP, Role.OPERATOR)
def get_invoice(invoice_id: str) -> Response:
    """Show an invoice and what is open on it."""
    application = caller().application
    return _json(200, read(services().engine, lambda connection: show_invoice(connection, invoice_id, application)))


@blueprint.get("/subscriptions/<subscription_id>")
@allow(Role.APP, Role.OPERATOR)
def get_subscription(subscription_id: str) -> Response:
    """Show how the payment of a subscription stands."""
    application = caller().application
    return _json(
        200, read(services().engine, lambda connection: show_subscription(connection, subscription_id, application))
    )


@blueprint.post("/stripe-intent")
@allow(Role.APP)
def stripe_intent() -> Response:
    """Open a PaymentIntent over what is open on an invoice, for a front end to confirm."""
    command = CreateIntent.parse(json_body())
    return _json(201, front_end_intents.open_intent(services(), command, caller(), idempotency_key()))


@blueprint.get("/<payment_id>")
@allow(Role.APP, Role.OPERATOR)
def show(payment_id: str) -> Response:
    """Show one payment."""
    application = caller().application
    return _json(200, read(services().engine, lambda connection: show_payment(connection, payment_id, application)))


@blueprint.get("/")
@allow(Role.APP, Role.OPERATOR)
def index() -> Response:
    """List payments, oldest first; `next_cursor` continues."""
    unknown = set(request.args) - {"invoice_id", "cursor", "limit"}
    if unknown:
        raise InvalidRequest(f"unknown parameter; send invoice_id, cursor or limit, not {len(unknown)} others")
    text = request.args.get("limit", str(_PAGE))
    limit = int(text) if text.isascii() and text.isdigit() else 0
    if not 1 <= limit <= _MOST_PAGE:
        raise InvalidRequest(f"limit must be a number from 1 to {_MOST_PAGE}")
    asked = (caller().application, request.args.get("invoice_id"), request.args.get("cursor"), limit + 1)
    found = read(services().engine, lambda connection: list_payments(connection, *asked))
    page = found[:limit]
    return _json(200, {"payments": page, "next_cursor": page[-1]["id"] if len(found) > limit else None})
