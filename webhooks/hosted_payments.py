"""Verbs of an older API for payments that the customer approves at PayPal or pays in cryptocurrency.

Each is `POST /process` under another name that waits until the customer has a page to go to: the same acceptance and
the same charge path, no second way to move money."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response, jsonify

from domain.errors import Conflict, UnsupportedMethod
from domain.payment import State, Verb
from domain.payment_methods import PaymentMethod, providers_of
from gateways.capabilities import BlockchainGateway
from models.api_keys import Role
from models.operations import look_up_now
from models.queries import find_attempt, show_payment
from models.request_bodies import ProcessPayment
from webhooks.auth import allow, caller
from webhooks.context import runtime
from webhooks.payments import accept
from webhooks.requests import json_body, wait_seconds
from webhooks.responses import (
    Shown,
    in_progress_response,
    is_not_in_progress,
    json_response,
    result_response,
    wait_for_result,
)

blueprint = Blueprint("hosted", __name__)

# Long enough for a worker to create the provider's object. `Prefer: wait` overrides it.
_WAIT_SECONDS = 10
_COINS = (PaymentMethod.CRYPTOCURRENCY, PaymentMethod.BITCOIN, PaymentMethod.ETHEREUM, PaymentMethod.USDT)
_CRYPTO_PROVIDERS = providers_of(*_COINS)
_PAYPAL_PROVIDERS = providers_of(PaymentMethod.PAYPAL)


class OrderNotApproved(Conflict):
    """The customer has not approved the order at the provider yet."""

    type = "order_not_approved"


@blueprint.post("/paypal-order")
@allow(Role.APP)
def paypal_order() -> Response:
    """Accept a payment by PayPal and respond with the order that the customer has to approve."""
    return _open(_with_method(json_body(), PaymentMethod.PAYPAL), "order_id", "approve_url")


@blueprint.post("/crypto-charge")
@allow(Role.APP)
def crypto_charge() -> Response:
    """Accept a payment in cryptocurrency and respond with the page on which the customer pays."""
    body = json_body()
    coin = body.get("payment_method", PaymentMethod.CRYPTOCURRENCY) if isinstance(body, dict) else None
    if coin is not None and coin not in _COINS:
        raise UnsupportedMethod(f"payment_method must be one of: {', '.join(_COINS)}")
    return _open(_with_method(body, coin), "charge_id", "hosted_url")


@blueprint.post("/paypal-capture/<order_id>")
@allow(Role.APP, Role.OPERATOR)
def paypal_capture(order_id: str) -> Response:
    """Look an order up now, so that it is captured if the customer has approved it; wait for the result."""
    application = caller().application
    attempt = runtime().read(find_attempt, _PAYPAL_PROVIDERS, order_id, application)
    look_up = runtime().change(caller().actor, look_up_now, attempt.id)
    runtime().publish(look_up.messages)

    def is_looked_up(shown: Shown) -> bool:
        # Only a look-up that showed something counts: a failed one does not say whether the customer has approved.
        row = runtime().read(find_attempt, _PAYPAL_PROVIDERS, order_id, application)
        return State(shown["status"]) is not State.REQUIRES_ACTION or row.looked_up_at != attempt.looked_up_at

    shown = wait_for_result(attempt.payment_id, wait_seconds() or _WAIT_SECONDS, is_looked_up)
    if shown is None:
        return in_progress_response(attempt.payment_id)
    if State(shown["status"]) is State.REQUIRES_ACTION:
        raise OrderNotApproved("the customer has not approved this order; send them to its approve_url")
    return result_response(shown)


@blueprint.get("/crypto-status/<charge_id>")
@allow(Role.APP, Role.OPERATOR)
def crypto_status(charge_id: str) -> Response:
    """Show a payment in cryptocurrency with the provider's timeline and confirmations."""
    application = caller().application
    attempt = runtime().read(find_attempt, _CRYPTO_PROVIDERS, charge_id, application)
    shown = runtime().read(show_payment, attempt.payment_id, application)
    gateway = runtime().gateways.get(attempt.provider)
    if not isinstance(gateway, BlockchainGateway):
        raise UnsupportedMethod(f"{attempt.provider} is not configured here")
    return jsonify({"charge_id": charge_id, "payment": shown, "timeline": gateway.timeline(charge_id)})


def _with_method(body: Any, method: Any) -> Any:
    return body | {"payment_method": method} if isinstance(body, dict) else body


def _open(body: Any, name_of_id: str, name_of_url: str) -> Response:
    accepted = accept(ProcessPayment.parse(body))
    payment_id = str(accepted.payment_id)
    shown = wait_for_result(payment_id, wait_seconds() or _WAIT_SECONDS, is_not_in_progress)
    if shown is None:
        return in_progress_response(payment_id)
    if State(shown["status"]) is not State.REQUIRES_ACTION:
        return result_response(shown)
    opened = {
        "payment_id": shown["id"],
        name_of_id: _newest_charge(shown)["provider_reference"],
        name_of_url: (shown["next_action"] or {}).get("redirect_url"),
        "payment": shown,
    }
    return json_response(200 if accepted.is_replay else 201, opened)


def _newest_charge(shown: Shown) -> dict[str, Any]:
    charges = [attempt for attempt in shown["attempts"] if Verb(attempt["verb"]).is_collecting]
    newest: dict[str, Any] = charges[-1]
    return newest
