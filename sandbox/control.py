"""The control API that all providers share: clock, ledger, faults and webhook delivery. Its responses are JSON."""

from __future__ import annotations

import json
from dataclasses import asdict, fields
from typing import Any

from flask import Blueprint, Flask, Response, jsonify, request
from werkzeug.exceptions import HTTPException
from werkzeug.wrappers import Response as AnyResponse

from sandbox import dashboard
from sandbox.control_request import flag, is_count, number, refuse, request_body
from sandbox.delivery import DeliveryFaults
from sandbox.faults import FAULT_KINDS, UnknownFault
from sandbox.state import Sandbox

PREFIX = "/_sandbox"


def register(app: Flask, sandbox: Sandbox) -> None:
    """Add the control routes that all providers share, and the response to a control route that does not exist."""
    app.register_blueprint(_blueprint(sandbox))
    app.register_blueprint(dashboard.blueprint(sandbox))
    app.register_error_handler(404, _no_such_route)
    app.register_error_handler(405, _no_such_route)


def _no_such_route(error: HTTPException) -> HTTPException | AnyResponse:
    # The paths of the providers keep the forms of their own errors.
    if not request.path.startswith(PREFIX):
        return error
    response = error.get_response()
    response.content_type = "application/json"
    response.set_data(json.dumps({"error": "no such route; see /"}))
    return response


def _blueprint(sandbox: Sandbox) -> Blueprint:
    routes = Blueprint("control", __name__, url_prefix=PREFIX)

    @routes.get("/health")
    def health() -> Response:
        """Respond once the sandbox serves."""
        return jsonify(status="ok")

    @routes.get("/clock")
    def read_clock() -> Response:
        """Show the sandbox's time, and how far it is ahead of real time."""
        return jsonify(now=sandbox.clock.now(), offset_seconds=sandbox.clock.offset_seconds)

    @routes.post("/clock")
    def advance_clock() -> Response:
        """Move the clock forward: `advance_seconds`."""
        sandbox.advance(number(request_body("advance_seconds"), "advance_seconds"))
        return read_clock()

    @routes.get("/ledger")
    def read_ledger() -> Response:
        """Show every movement of money and every attempt that reached an issuer."""
        with sandbox.lock:
            return jsonify(
                movements=[asdict(movement) for movement in sandbox.ledger.movements],
                attempts=[asdict(attempt) for attempt in sandbox.ledger.attempts],
            )

    @routes.get("/books")
    def read_books() -> Response:
        """Show each payment with its status and the totals of its movements."""
        with sandbox.lock:
            accounts = [account for provider in sandbox.providers for account in provider.accounts()]
            return jsonify(books=sandbox.ledger.books(accounts))

    _add_fault_routes(routes, sandbox)
    _add_webhook_routes(routes, sandbox)
    return routes


def _add_fault_routes(routes: Blueprint, sandbox: Sandbox) -> None:
    @routes.get("/operations")
    def list_operations() -> Response:
        """List the operations that can fail, by provider, and the faults."""
        operations = {provider.provider: list(provider.operation_names()) for provider in sandbox.providers}
        return jsonify(operations=operations, faults=dict(FAULT_KINDS))

    @routes.get("/faults")
    def list_faults() -> Response:
        """List the injected faults with their hits."""
        with sandbox.lock:
            return jsonify(faults=[asdict(fault) for fault in sandbox.faults.all()])

    @routes.post("/faults")
    def add_fault() -> Response:
        """Inject a fault: `operation`, `fault`, and optionally `times`, `rate`, `seconds`."""
        body = request_body("operation", "fault", "times", "rate", "seconds")
        operation, fault, times = body.get("operation"), body.get("fault"), body.get("times", 1)
        if not isinstance(operation, str):
            refuse("operation must be a name from GET /_sandbox/operations, a prefix such as klarna.*, or *")
        if not isinstance(fault, str):
            refuse(f"fault must be one of {', '.join(FAULT_KINDS)}")
        if times is not None and not is_count(times):
            refuse("times must be a whole number from 1, or null for every call")
        options: dict[str, Any] = {"times": times, "rate": number(body, "rate", 1.0, most=1.0)}
        if "seconds" in body:
            options["seconds"] = number(body, "seconds", 0.0)
        try:
            with sandbox.lock:
                return jsonify(id=sandbox.faults.add(operation, fault, **options).id)  # type: ignore[arg-type]
        except UnknownFault as error:
            refuse(str(error))

    @routes.delete("/faults")
    def clear_faults() -> Response:
        """Remove every fault."""
        with sandbox.lock:
            sandbox.faults.clear()
        return jsonify(faults=[])


def _add_webhook_routes(routes: Blueprint, sandbox: Sandbox) -> None:
    @routes.get("/webhooks")
    def read_webhooks() -> Response:
        """Show the endpoints, the faults of delivery, and the number of pending, delivered and dropped webhooks."""
        delivery = sandbox.delivery
        with sandbox.lock:
            endpoints = [endpoint for provider in sandbox.providers for endpoint in provider.endpoints()]
        return jsonify(
            pending=delivery.pending,
            delivered=delivery.delivered,
            dropped=delivery.dropped,
            endpoints=endpoints,
            **asdict(delivery.faults),
        )

    @routes.post("/webhooks")
    def set_webhook_faults() -> Response:
        """Change the faults of delivery: `paused`, `duplicate`, `reorder`, `delay_seconds`, `drop_rate` and others."""
        body = request_body(*(field.name for field in fields(DeliveryFaults)))
        now = sandbox.delivery.faults
        duplicate = body.get("duplicate", now.duplicate)
        if not is_count(duplicate):
            refuse("duplicate must be the number of copies, from 1")
        sandbox.delivery.set_faults(
            DeliveryFaults(
                paused=flag(body, "paused", now.paused),
                duplicate=duplicate,
                duplicate_rate=number(body, "duplicate_rate", now.duplicate_rate, most=1.0),
                hold_rate=number(body, "hold_rate", now.hold_rate, most=1.0),
                reorder=flag(body, "reorder", now.reorder),
                delay_seconds=number(body, "delay_seconds", now.delay_seconds),
                drop_rate=number(body, "drop_rate", now.drop_rate, most=1.0),
            )
        )
        return read_webhooks()
