"""PayPal's control routes: scenarios, pending payments, disputes, and events of subscriptions and saved accounts."""

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
    dispute_of_capture: dict[str, Json] = {}

    @routes.post("/<id>/scenario")
    def set_scenario(id: str) -> Response:
        """Choose the outcome of an order: `scenario`, such as COMPLETED, PENDING, 5120 or INSTRUMENT_DECLINED."""
        scenario = request_body().get("scenario")
        if not isinstance(scenario, str) or not scenario:
            refuse("scenario must be COMPLETED, PENDING, REFUND_PENDING, a response code such as 5120, or an issue")
        with account.sandbox.lock:
            if id not in account.orders:
                abort(404)
            account.orders[id].scenario = scenario
        return jsonify(scenario=scenario)

    @routes.post("/<id>/settle")
    def finish_pending(id: str) -> Response:
        """Finish the pending payment of an order, or a pending refund: `result`, which is success or failure."""
        result = request_body().get("result")
        if result not in ("success", "failure"):
            refuse("result must be success or failure")
        with account.sandbox.lock:
            order, payment = _pending(account, id)
            account.finish_pending(order, payment, is_success=result == "success")
            return jsonify(payment.body)

    @routes.post("/<id>/dispute")
    def dispute(id: str) -> Response:
        """Open a dispute about a capture; a later call sets its `status` or resolves it with an `outcome`."""
        body = request_body()
        with account.sandbox.lock:
            if id not in account.payments or account.payments[id][1].kind != "captures":
                abort(404)
            if id in dispute_of_capture:
                type = _update_dispute(dispute_of_capture[id], body, account.now)
            else:
                reason, is_anonymous = body.get("reason", "UNAUTHORISED"), bool(body.get("is_anonymous"))
                dispute = disputes.new_dispute(*account.payments[id], reason, account.now, is_anonymous=is_anonymous)
                dispute_of_capture[id], type = dispute, "CUSTOMER.DISPUTE.CREATED"
            account.log.emit(type, "dispute", dispute_of_capture[id], id, dispute_of_capture[id]["dispute_id"])
            return jsonify(dispute_of_capture[id])

    @routes.post("/<id>/emit")
    def emit_event(id: str) -> Response:
        """Send an event about a subscription or a saved account: `event_type`. The sandbox does not store either."""
        body = request_body()
        type, order_id = body.get("event_type"), body.get("order_id")
        if type not in subscriptions.NAMES:
            refuse(f"event_type must be one of {', '.join(subscriptions.NAMES)}")
        with account.sandbox.lock:
            account.log.base_url = request.host_url + PROVIDER
            kind, body = subscriptions.resource(type, id, account.now, account.log.base_url, order_id)
            account.log.emit(type, kind, body, id)
            return jsonify(body)

    @routes.get("/<id>/events")
    def read_events(id: str) -> Response:
        """List the events about an object, oldest first."""
        with account.sandbox.lock:
            return jsonify(events=account.log.about(id))

    return routes


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
