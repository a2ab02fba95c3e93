"""Coinbase Business's Checkouts API: routes, authentication, idempotency, refusals and control routes.

POST /checkouts · GET /checkouts[/{id}] · POST /checkouts/{id}/deactivate · POST /checkouts/{id}/refund [docs].
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from flask import Blueprint, Flask, Response, jsonify, request

from sandbox import hosted, ledger
from sandbox.coinbase.checkouts import EVENTS, Checkout, Checkouts
from sandbox.coinbase.dashboard import actions_on_checkouts
from sandbox.coinbase.errors import InvalidRequest
from sandbox.coinbase.signatures import token_problem
from sandbox.control_request import is_success, refuse, request_body
from sandbox.dashboard import Action
from sandbox.service import ApiResponse, Call, Json, Operation, Refusal, Service
from sandbox.state import Sandbox

# The default page size is unverified.
_PAGE = 25


class CoinbaseBusiness(Service):
    """The simulated merchant account behind the Checkouts API."""

    provider = "coinbase"

    def __init__(self, sandbox: Sandbox) -> None:
        super().__init__(sandbox)
        self.checkouts = Checkouts(sandbox)
        self._responses: dict[tuple[str, str], tuple[str, ApiResponse]] = {}

    def idempotency_key(self, call: Call) -> str | None:
        """Return the call's idempotency key."""
        return call.headers.get("X-Idempotency-Key")

    def operations(self) -> Iterable[Operation]:
        """Return the operations."""
        return (
            Operation("create", "POST", "/checkouts", self._create),
            Operation("list", "GET", "/checkouts", self._list),
            Operation("read", "GET", "/checkouts/<id>", self._read),
            Operation("deactivate", "POST", "/checkouts/<id>/deactivate", self._deactivate),
            Operation("refund", "POST", "/checkouts/<id>/refund", self._refund),
        )

    def authenticate(self, call: Call) -> None:
        """Refuse a request without a valid token for this very request."""
        line = f"{request.method} {request.host}{request.path}"
        problem = token_problem(call.headers.get("Authorization", ""), line)
        if problem is not None:
            raise _refusal(401, "unauthorized", problem)

    def server_error(self) -> Refusal:
        """Return the 500."""
        return _refusal(500, "internal_server_error", "An internal server error occurred.")

    def rate_limited(self) -> Refusal:
        """Return the 429."""
        return _refusal(429, "rate_limit_exceeded", "Too many requests.")

    def malformed(self) -> Refusal:
        """Return the refusal for a body that is not a JSON object."""
        return _refusal(400, "malformed_request", "The request body is not valid JSON.")

    def accounts(self) -> Iterator[ledger.Account]:
        """Yield every checkout with its present status."""
        for checkout in self.checkouts.all():
            currency, metadata = checkout.currency, checkout.body["metadata"]
            yield ledger.Account(checkout.id, self.provider, currency, metadata, checkout.body["status"])

    def endpoints(self) -> Iterable[Json]:
        """Yield the webhook subscription."""
        return self.checkouts.log.endpoints(EVENTS)

    def dashboard(self) -> Mapping[str, Action]:
        """Return what a person does on the provider's website."""
        return actions_on_checkouts(self.checkouts)

    def register(self, app: Flask) -> None:
        """Add the API, the hosted page and the controls."""
        super().register(app)
        app.register_blueprint(_controls(self.sandbox, self.checkouts))
        more = {"pay_slowly": "Pay, confirmed later"}
        app.register_blueprint(hosted.blueprint(self.sandbox, self.provider, self._page, self.checkouts.decide, more))

    def _page(self, id: str) -> hosted.Page | None:
        checkout = self.checkouts.find(id)
        if checkout is None:
            return None
        return hosted.Page(id, checkout.body["fiatAmount"], checkout.currency, checkout.body["status"])

    def _create(self, call: Call) -> ApiResponse:
        return self._idempotent(
            call, lambda: ApiResponse(201, self.checkouts.create(call.body, f"{call.base_url}/hosted"))
        )

    def _read(self, call: Call) -> ApiResponse:
        return ApiResponse(200, self._checkout(call).body)

    def _list(self, call: Call) -> ApiResponse:
        status = call.query.get("status")
        matching = [c.body for c in self.checkouts.all() if status in (None, c.body["status"])]
        size, start = _number(call, "pageSize", _PAGE), _number(call, "pageToken", 0)
        page, end = list(reversed(matching))[start : start + size], start + size
        return ApiResponse(200, {"checkouts": page, "nextPageToken": str(end) if end < len(matching) else ""})

    def _deactivate(self, call: Call) -> ApiResponse:
        try:
            return ApiResponse(200, self.checkouts.deactivate(self._checkout(call)))
        except InvalidRequest as problem:
            raise _refusal(400, "invalid_request", str(problem)) from None

    def _refund(self, call: Call) -> ApiResponse:
        # The response wraps the checkout, whose last refund is the new one [docs].
        checkout = self._checkout(call)
        return self._idempotent(
            call, lambda: ApiResponse(200, {"checkout": self.checkouts.refund(checkout, call.body)})
        )

    def _checkout(self, call: Call) -> Checkout:
        checkout = self.checkouts.find(call.ids["id"])
        if checkout is None:
            raise _refusal(404, "not_found", "Checkout not found.")
        return checkout

    def _idempotent(self, call: Call, run: Any) -> ApiResponse:
        """Execute under the idempotency key, a UUID: a repeated key gets the same response [docs].

        Unverified: how long a key is kept (here without end), and that another body under the same key is refused.
        """
        key = call.headers.get("X-Idempotency-Key")
        if key is not None and not _is_uuid(key):
            raise _refusal(400, "invalid_request", "X-Idempotency-Key must be a UUID v4.")
        name, content = (request.path, key or ""), json.dumps(call.body, sort_keys=True)
        if key is not None and name in self._responses:
            first_content, response = self._responses[name]
            if first_content != content:
                raise _refusal(400, "idempotency_error", "The idempotency key was used with another request.")
            return response
        try:
            response = run()
        except InvalidRequest as problem:
            raise _refusal(400, "invalid_request", str(problem)) from None
        # A copy, because the checkout changes later and the response of the key must not.
        copy = ApiResponse(response.status, json.loads(json.dumps(response.body)))
        if key is not None:
            self._responses[name] = (content, copy)
        return copy


def _controls(sandbox: Sandbox, checkouts: Checkouts) -> Blueprint:
    routes = Blueprint("coinbase_control", __name__, url_prefix="/_sandbox/coinbase")

    @routes.post("/<id>/settle")
    def finish(id: str) -> Response:
        """Finish a pending payment, by the checkout's id, or a pending refund, by its own: `result`."""
        is_good = is_success()
        with sandbox.lock:
            if not checkouts.finish(id, is_success=is_good):
                refuse(f"there is no pending payment or refund {id}", 404)
        return jsonify(settled=id)

    @routes.post("/<id>/refund_slowly")
    def refund_slowly(id: str) -> Response:
        """Keep the refunds of this checkout pending until a test finishes each."""
        request_body()
        with sandbox.lock:
            checkout = checkouts.find(id)
            if checkout is None:
                refuse(f"there is no checkout {id}", 404)
            checkout.is_refund_pending = True
        return jsonify(slow=id)

    @routes.get("/events")
    def events() -> Response:
        """List the events, or those `about` an object, oldest first."""
        about = request.args.get("about")
        with sandbox.lock:
            matching = [event for event in checkouts.log.events if about is None or about in event.about]
        return jsonify(events=[{"id": event.id, "body": json.loads(event.body)} for event in matching])

    return routes


def _refusal(status: int, kind: str, message: str) -> Refusal:
    body = {"errorType": kind, "errorMessage": message, "correlationId": uuid.uuid4().hex[:16]}
    return Refusal(status, body)


def _number(call: Call, name: str, default: int) -> int:
    text = call.query.get(name, "") or str(default)
    if not (text.isascii() and text.isdigit() and len(text) < 9):
        raise _refusal(400, "invalid_request", f"{name} is invalid.")
    return int(text)


def _is_uuid(key: str) -> bool:
    try:
        return str(uuid.UUID(key)) == key.lower() and uuid.UUID(key).version == 4
    except ValueError:
        return False
