"""Owns the part of the control API that is PayPal's: what comes of a payment, the bank's late answer, disputes, what
happens to subscriptions and saved accounts, the events."""

from __future__ import annotations

from flask import Blueprint, Response, abort, jsonify, request

from sandbox.clock import iso_seconds
from sandbox.control import refuse, request_body
from sandbox.paypal import disputes, subscriptions
from sandbox.paypal.account import PROVIDER, Account
from sandbox.paypal.objects import Json, Order, Payment


def blueprint(account: Account) -> Blueprint:
    """Return PayPal's control routes."""
    routes = Blueprint("paypal_control", __name__, url_prefix="/_sandbox/paypal")
    # By the capture that they are about.
    opened: dict[str, Json] = {}

    @routes.post("/<id>/course")
    def set_course(id: str) -> Response:
        course = request_body().get("course")
        if not isinstance(course, str) or not course:
            refuse("course must be a word: see the documentation of sandbox.paypal")
        with account.sandbox.lock:
            if id not in account.orders:
                abort(404)
            account.orders[id].course = course
        return jsonify(course=course)

    @routes.post("/<id>/settle")
    def settle(id: str) -> Response:
        result = request_body().get("result")
        if result not in ("success", "failure"):
            refuse("result must be success or failure")
        with account.sandbox.lock:
            order, payment = _pending(account, id)
            account.settle(order, payment, is_success=result == "success")
            return jsonify(payment.body)

    @routes.post("/<id>/dispute")
    def dispute(id: str) -> Response:
        """Open a dispute about a capture, or bring it to a `status` or to its `outcome`."""
        asked = request_body()
        with account.sandbox.lock:
            if id not in account.payments or account.payments[id][1].kind != "captures":
                abort(404)
            if id in opened:
                type = _go_on(opened[id], asked, account.now)
            else:
                reason, is_anonymous = asked.get("reason", "UNAUTHORISED"), bool(asked.get("is_anonymous"))
                made = disputes.new_dispute(*account.payments[id], reason, account.now, is_anonymous=is_anonymous)
                opened[id], type = made, "CUSTOMER.DISPUTE.CREATED"
            account.log.emit(type, "dispute", opened[id], id, opened[id]["dispute_id"])
            return jsonify(opened[id])

    @routes.post("/<id>/happen")
    def happen(id: str) -> Response:
        """Tell of an event of a subscription or a saved account, which exist nowhere else."""
        asked = request_body()
        type, order_id = asked.get("event_type"), asked.get("order_id")
        if type not in subscriptions.NAMES:
            refuse(f"event_type must be one of {', '.join(subscriptions.NAMES)}")
        with account.sandbox.lock:
            account.log.base_url = request.host_url + PROVIDER
            kind, body = subscriptions.resource(type, id, account.now, account.log.base_url, order_id)
            account.log.emit(type, kind, body, id)
            return jsonify(body)

    @routes.get("/<id>/events")
    def read_events(id: str) -> Response:
        with account.sandbox.lock:
            return jsonify(events=account.log.about(id))

    return routes


def _go_on(dispute: Json, asked: Json, now: float) -> str:
    """Change an open dispute; return the type of the event."""
    if dispute["status"] == "RESOLVED":
        refuse("the dispute is resolved")
    status, outcome = asked.get("status"), asked.get("outcome")
    if outcome in disputes.OUTCOMES:
        disputes.resolve(dispute, outcome, now)
        return "CUSTOMER.DISPUTE.RESOLVED"
    if status not in disputes.STATUSES:
        refuse(f"status must be one of {', '.join(disputes.STATUSES)}, or outcome of {', '.join(disputes.OUTCOMES)}")
    dispute |= {"status": status, "update_time": iso_seconds(now)}
    return "CUSTOMER.DISPUTE.UPDATED"


def _pending(account: Account, id: str) -> tuple[Order, Payment]:
    """Return what is pending of an order, or a pending payment by its own id."""
    known = [account.payments[id]] if id in account.payments else []
    order = account.orders.get(id)
    known += [(order, payment) for payment in order.payments] if order is not None else []
    found = next(((order, payment) for order, payment in known if payment.status == "PENDING"), None)
    if found is None:
        refuse("nothing of it is pending")
    return found
