"""Owns the control API that all providers share: clock, books, faults, webhook mischief. Answers JSON
only."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any, NoReturn

from flask import Blueprint, Response, abort, jsonify, make_response, request

from sandbox.delivery import Mischief
from sandbox.faults import FAULT_KINDS
from sandbox.state import Sandbox


def refuse(message: str) -> NoReturn:
    """End the request with 400 and a reason."""
    abort(make_response(jsonify(error=message), 400))


def body_of_request() -> dict[str, Any]:
    """Return the JSON object that was sent, empty if there was none."""
    body = request.get_json(silent=True, force=True) if request.get_data() else {}
    if not isinstance(body, dict):
        refuse("the body must be a JSON object")
    return body


def number(body: dict[str, Any], name: str, default: float, *, most: float | None = None) -> float:
    """Return a number of at least 0 from the body."""
    value = body.get(name, default)
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not is_number or value < 0 or (most is not None and value > most):
        refuse(f"{name} must be a number from 0" + ("" if most is None else f" to {most:g}"))
    return float(value)


def blueprint(sandbox: Sandbox) -> Blueprint:
    """Return the shared control routes."""
    routes = Blueprint("control", __name__, url_prefix="/_sandbox")

    @routes.get("/health")
    def health() -> Response:
        return jsonify(status="ok")

    @routes.get("/clock")
    def read_clock() -> Response:
        return jsonify(now=sandbox.clock.now(), offset_seconds=sandbox.clock.offset_seconds)

    @routes.post("/clock")
    def move_clock() -> Response:
        sandbox.advance(number(body_of_request(), "advance_seconds", 0.0))
        return read_clock()

    @routes.get("/ledger")
    def read_ledger() -> Response:
        with sandbox.lock:
            return jsonify(
                movements=[asdict(movement) for movement in sandbox.ledger.movements],
                attempts=[asdict(attempt) for attempt in sandbox.ledger.attempts],
            )

    @routes.get("/books")
    def read_books() -> Response:
        with sandbox.lock:
            accounts = [account for provider in sandbox.providers for account in provider.accounts()]
            return jsonify(books=sandbox.ledger.books(accounts))

    _add_fault_routes(routes, sandbox)
    _add_webhook_routes(routes, sandbox)
    return routes


def _add_fault_routes(routes: Blueprint, sandbox: Sandbox) -> None:
    @routes.get("/faults")
    def list_faults() -> Response:
        with sandbox.lock:
            return jsonify(faults=[asdict(fault) for fault in sandbox.faults.all()])

    @routes.post("/faults")
    def add_fault() -> Response:
        body = body_of_request()
        if body.get("fault") not in FAULT_KINDS:
            refuse(f"fault must be one of {', '.join(FAULT_KINDS)}")
        if not isinstance(body.get("operation"), str):
            refuse("operation must name an operation, or be *")
        times = body.get("times", 1)
        if times is not None and (not isinstance(times, int) or times < 1):
            refuse("times must be a whole number from 1, or null for ever")
        how: dict[str, Any] = {"times": times, "rate": number(body, "rate", 1.0, most=1.0)}
        if "seconds" in body:
            how["seconds"] = number(body, "seconds", 0.0)
        with sandbox.lock:
            return jsonify(id=sandbox.faults.add(body["operation"], body["fault"], **how).id)

    @routes.delete("/faults")
    def clear_faults() -> Response:
        with sandbox.lock:
            sandbox.faults.clear()
        return jsonify(faults=[])


def _add_webhook_routes(routes: Blueprint, sandbox: Sandbox) -> None:
    @routes.get("/webhooks")
    def read_webhooks() -> Response:
        delivery = sandbox.delivery
        with sandbox.lock:
            endpoints = [endpoint for provider in sandbox.providers for endpoint in provider.endpoints()]
        return jsonify(
            pending=delivery.pending,
            delivered=delivery.delivered,
            dropped=delivery.dropped,
            endpoints=endpoints,
            **asdict(delivery.mischief),
        )

    @routes.post("/webhooks")
    def disturb_webhooks() -> Response:
        body = body_of_request()
        now = sandbox.delivery.mischief
        duplicate = body.get("duplicate", now.duplicate)
        if not isinstance(duplicate, int) or duplicate < 1:
            refuse("duplicate must be the number of copies, from 1")
        sandbox.delivery.disturb(
            Mischief(
                paused=bool(body.get("paused", now.paused)),
                duplicate=duplicate,
                duplicate_rate=number(body, "duplicate_rate", now.duplicate_rate, most=1.0),
                hold_rate=number(body, "hold_rate", now.hold_rate, most=1.0),
                reorder=bool(body.get("reorder", now.reorder)),
                delay_seconds=number(body, "delay_seconds", now.delay_seconds),
                drop_rate=number(body, "drop_rate", now.drop_rate, most=1.0),
            )
        )
        return read_webhooks()
