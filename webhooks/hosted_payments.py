"""The older verbs for payments that the customer approves at PayPal or pays at Coinbase.

Each is `POST /process` under another name, waited for until the customer has a page to go to: the same intake, the
same charge path, no second way to move money."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response, jsonify, url_for

from domain.errors import Conflict, UnsupportedMethod
from domain.payment import IN_PROGRESS, State, Verb
from domain.payment_methods import PaymentMethod
from gateways.base import ChainGateway
from models.api_keys import Role
from models.operations import look_up_now
from models.queries import find_attempt, show_payment
from models.requests import ProcessPayment
from models.session import read, transact
from webhooks.auth import allow, caller
from webhooks.context import services
from webhooks.payments import accept, result_response, wait
from webhooks.requests import json_body, wait_seconds

blueprint = Blueprint("hosted", __name__)

# Long enough for a worker to make the provider's object, unless the caller says otherwise.
_WAIT_SECONDS = 10
_CRYPTO = ("coinbase", "coinbase_commerce")
_COINS = (PaymentMethod.CRYPTOCURRENCY, PaymentMethod.BITCOIN, PaymentMethod.ETHEREUM, PaymentMethod.USDT)


class OrderNotApproved(Conflict):
    """The customer has not approved the order at the provider yet."""

    type = "order_not_approved"


@blueprint.post("/paypal-order")
@allow(Role.APP)
def paypal_order() -> Response:
    """Accept a payment by PayPal and answer with the order that the customer has to approve."""
    return _open(_with_method(json_body(), PaymentMethod.PAYPAL), "order_id", "approve_url")


@blueprint.post("/crypto-charge")
@allow(Role.APP)
def crypto_charge() -> Response:
    """Accept a payment in cryptocurrency and answer with the page on which the customer pays."""
    body = json_body()
    coin = body.get("payment_method", PaymentMethod.CRYPTOCURRENCY) if isinstance(body, dict) else None
    if coin is not None and coin not in _COINS:
        raise UnsupportedMethod(f"payment_method must be one of: {', '.join(_COINS)}")
    return _open(_with_method(body, coin), "charge_id", "hosted_url")


@blueprint.post("/paypal-capture/<order_id>")
@allow(Role.APP, Role.OPERATOR)
def paypal_capture(order_id: str) -> Response:
    """Look an order up now, so that it is captured if the customer has approved it; wait for what comes of it."""
    found, application = services(), caller().application
    now = found.clock.now()
    attempt = read(found.engine, lambda connection: find_attempt(connection, ["paypal"], order_id, application))
    back = transact(found.engine, lambda connection: look_up_now(connection, attempt.id, now))
    found.publish(back.messages)

    def is_decided(shown: dict[str, Any]) -> bool:
        row = read(found.engine, lambda connection: find_attempt(connection, ["paypal"], order_id, application))
        # Every look that was recorded is counted.
        is_unseen = State(shown["status"]) is State.REQUIRES_ACTION and row.lookups == attempt.lookups
        return not is_unseen

    shown = wait(attempt.payment_id, wait_seconds() or _WAIT_SECONDS, is_decided)
    if shown is None:
        return _still_moving(attempt.payment_id)
    if State(shown["status"]) is State.REQUIRES_ACTION:
        raise OrderNotApproved("the customer has not approved this order; send him to its approve_url")
    return result_response(shown)


@blueprint.get("/crypto-status/<charge_id>")
@allow(Role.APP, Role.OPERATOR)
def crypto_status(charge_id: str) -> Response:
    """Show a payment in cryptocurrency with the provider's timeline and confirmations."""
    found, application = services(), caller().application
    attempt = read(found.engine, lambda connection: find_attempt(connection, _CRYPTO, charge_id, application))
    shown = read(found.engine, lambda connection: show_payment(connection, attempt.payment_id, application))
    gateway = found.gateways.get(attempt.provider)
    if not isinstance(gateway, ChainGateway):
        raise UnsupportedMethod(f"{attempt.provider} is not configured here")
    return jsonify({"charge_id": charge_id, "payment": shown, "timeline": gateway.timeline(charge_id)})


def _with_method(body: Any, method: Any) -> Any:
    return body | {"payment_method": method} if isinstance(body, dict) else body


def _open(body: Any, name_of_id: str, name_of_url: str) -> Response:
    accepted = accept(ProcessPayment.parse(body))
    shown = wait(str(accepted.payment_id), wait_seconds() or _WAIT_SECONDS, _is_at_rest)
    if shown is None:
        return _still_moving(str(accepted.payment_id))
    if State(shown["status"]) is not State.REQUIRES_ACTION:
        return result_response(shown)
    opened = {
        "payment_id": shown["id"],
        name_of_id: next(
            attempt["provider_reference"]
            for attempt in reversed(shown["attempts"])
            if Verb(attempt["verb"]).is_collecting
        ),
        name_of_url: (shown["next_action"] or {}).get("redirect_url"),
        "payment": shown,
    }
    response = jsonify(opened)
    response.status_code = 200 if accepted.is_replay else 201
    return response


def _is_at_rest(shown: dict[str, Any]) -> bool:
    return State(shown["status"]) not in IN_PROGRESS


def _still_moving(payment_id: str) -> Response:
    shown = read(services().engine, lambda connection: show_payment(connection, payment_id, None))
    response = jsonify(shown)
    response.status_code = 202
    response.headers["Location"] = url_for("payments.show", payment_id=payment_id)
    return response
