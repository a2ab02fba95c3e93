"""PayPal's control routes: scenarios, pending payments, disputes, and events of subscriptions and saved accounts."""

from __future__ import annotations

import re

from flask import Blueprint, Response, jsonify, request

from sandbox.clock import iso_seconds
from sandbox.control_request import choice, flag, is_success, refuse, request_body
from sandbox.paypal import disputes, subscriptions
from sandbox.paypal.account import PROVIDER, Account
from sandbox.paypal.money import minor_of
from sandbox.paypal.objects import Json, Order, Payment

# The issues with which PayPal refuses are too many for a list.
SCENARIO = re.compile(r"[A-Z0-9_]{4,}")


def blueprint(account: Account) -> Blueprint:
    """Return PayPal's control routes."""
    routes = Blueprint("paypal_control", __name__, url_prefix="/_sandbox/paypal")

    @routes.post("/<id>/scenario")
    def set_scenario(id: str) -> Response:
        """Choose the outcome of an order, or of the charges of a saved account: `scenario`, such as COMPLETED, PENDING,
        5120 or INSTRUMENT_DECLINED."""
        scenario = request_body("scenario").get("scenario")
        if not isinstance(scenario, str) or not SCENARIO.fullmatch(scenario):
            refuse("scenario must be COMPLETED, PENDING, REFUND_PENDING, a response code such as 5120, or an issue")
        with account.sandbox.lock:
            if id not in account.orders and id not in account.vault.tokens:
                refuse(f"there is no order or saved account {id}", 404)
            found = account.orders.get(id) or account.vault.tokens[id]
            found.scenario = scenario
        return jsonify(scenario=scenario)

    @routes.post("/<id>/settle")
    def finish_pending(id: str) -> Response:
        """Finish the pending payment of an order, or a pending refund: `result`, which is success or failure."""
        is_good = is_success()
        with account.sandbox.lock:
            order, payment = _pending(account, id)
            account.finish_pending(order, payment, is_success=is_good)
            return jsonify(payment.body)

    @routes.post("/<id>/dispute")
    def dispute(id: str) -> Response:
        """Open a dispute about a capture, or an order's last one; a later call sets its `status` or an `outcome`.

        `money`: debit or credit, if PayPal takes the merchant's money with it, or gives it back."""
        body = request_body("reason", "is_anonymous", "status", "outcome", "money")
        with account.sandbox.lock:
            id = _capture_id(account, id)
            if id in account.disputes:
                type = _update_dispute(account.disputes[id], body, account.now)
            else:
                account.disputes[id], type = _new_dispute(account, id, body), "CUSTOMER.DISPUTE.CREATED"
            if "money" in body:
                _move(account, id, choice(body, "money", disputes.DIRECTIONS))
            account.log.emit(type, "dispute", account.disputes[id], id, account.disputes[id]["dispute_id"])
            return jsonify(account.disputes[id])

    @routes.post("/<id>/emit")
    def emit_event(id: str) -> Response:
        """Send an event about a subscription or a saved account: `event_type`. The sandbox does not store either."""
        body = request_body("event_type", "order_id")
        type, order_id = choice(body, "event_type", subscriptions.NAMES), body.get("order_id")
        with account.sandbox.lock:
            account.log.base_url = request.host_url + PROVIDER
            kind, body = subscriptions.resource(type, id, account.now, account.log.base_url, order_id)
            account.log.emit(type, kind, body, id)
            return jsonify(body)

    @routes.post("/<id>/remove")
    def remove_account(id: str) -> Response:
        """Let the customer remove their saved account at PayPal."""
        with account.sandbox.lock:
            if id not in account.vault.tokens:
                refuse(f"there is no saved account {id}", 404)
            account.vault.delete(id)
        return jsonify(removed=id)

    @routes.get("/<id>/events")
    def read_events(id: str) -> Response:
        """List the events about an object, oldest first."""
        with account.sandbox.lock:
            return jsonify(events=account.log.about(id))

    return routes


def _capture_id(account: Account, id: str) -> str:
    """Return the id of a capture: itself, or the last one of the order with this id."""
    captures = account.orders[id].of("captures") if id in account.orders else []
    named = captures[-1].id if captures else id
    if named not in account.payments or account.payments[named][1].kind != "captures":
        refuse(f"there is no capture {id}", 404)
    return named


def _new_dispute(account: Account, id: str, body: Json) -> Json:
    order, captured = account.payments[id]
    reason = choice(body, "reason", disputes.REASONS, "UNAUTHORISED")
    amount = account.unrefunded(order, captured)
    if not amount:
        refuse("the capture is refunded")
    is_anonymous = flag(body, "is_anonymous")
    return disputes.new_dispute(order, captured, reason, amount, account.now, is_anonymous=is_anonymous)


def _move(account: Account, id: str, direction: str) -> None:
    """Let PayPal move the disputed money: what it takes is a refund of the capture as well."""
    dispute = account.disputes[id]
    disputes.move(dispute, direction, account.now)
    if direction == "debit":
        account.reverse(*account.payments[id], minor_of(dispute["dispute_amount"]))


def _update_dispute(dispute: Json, body: Json, now: float) -> str:
    """Change an open dispute and return the type of the event."""
    if dispute["status"] == "RESOLVED":
        refuse("the dispute is resolved")
    status, outcome = body.get("status"), body.get("outcome")
    if outcome in disputes.OUTCOMES:
        disputes.resolve(dispute, outcome, now)
        return "CUSTOMER.DISPUTE.RESOLVED"
    if status not in disputes.STATUSES:
        refuse(f"status must be one of {', '.join(disputes.STATUSES)}, or outcome of {', '.join(disputes.OUTCOMES)}")
    dispute |= {"status": status, "update_time": iso_seconds(now)}
    return "CUSTOMER.DISPUTE.UPDATED"


def _pending(account: Account, id: str) -> tuple[Order, Payment]:
    """Return the pending payment with this id, or of the order with this id."""
    candidates = [account.payments[id]] if id in account.payments else []
    order = account.orders.get(id)
    candidates += [(order, payment) for payment in order.payments] if order is not None else []
    pending = next(((order, payment) for order, payment in candidates if payment.status == "PENDING"), None)
    if pending is None:
        refuse("the order or payment is not pending")
    return pending
