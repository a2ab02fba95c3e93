"""Owns the part of the control API that is PayPal's: what comes of a payment, the bank's late answer, the events."""

from __future__ import annotations

from flask import Blueprint, Response, abort, jsonify

from sandbox.control import body_of_request, refuse
from sandbox.paypal.objects import Order, Payment
from sandbox.paypal.paying import Account


def blueprint(account: Account) -> Blueprint:
    """Return PayPal's control routes."""
    routes = Blueprint("paypal_control", __name__, url_prefix="/_sandbox/paypal")

    @routes.post("/<id>/course")
    def set_course(id: str) -> Response:
        course = body_of_request().get("course")
        if not isinstance(course, str) or not course:
            refuse("course must be a word: see the documentation of sandbox.paypal")
        with account.sandbox.lock:
            if id not in account.orders:
                abort(404)
            account.orders[id].course = course
        return jsonify(course=course)

    @routes.post("/<id>/settle")
    def settle(id: str) -> Response:
        result = body_of_request().get("result")
        if result not in ("success", "failure"):
            refuse("result must be success or failure")
        with account.sandbox.lock:
            order, payment = _pending(account, id)
            account.settle(order, payment, is_success=result == "success")
            return jsonify(payment.body)

    @routes.get("/<id>/events")
    def read_events(id: str) -> Response:
        with account.sandbox.lock:
            return jsonify(events=account.log.about(id))

    return routes


def _pending(account: Account, id: str) -> tuple[Order, Payment]:
    """Return what is pending of an order, or a pending payment by its own id."""
    known = [account.payments[id]] if id in account.payments else []
    order = account.orders.get(id)
    known += [(order, payment) for payment in order.payments] if order is not None else []
    found = next(((order, payment) for order, payment in known if payment.status == "PENDING"), None)
    if found is None:
        refuse("nothing of it is pending")
    return found
