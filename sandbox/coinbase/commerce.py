"""Coinbase Commerce's Charge API of version 2018-03-22: routes, authentication, refusals and control routes.

POST /charges · GET /charges[/{id or code}] · POST /charges/{id}/cancel · POST /charges/{id}/resolve · GET /events
[sdk]. The API has neither idempotency keys nor refunds.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from flask import Blueprint, Flask, Response, jsonify

from sandbox import hosted, ledger
from sandbox.coinbase.charges import EVENTS, Charge, Charges
from sandbox.coinbase.dashboard import actions_on_charges
from sandbox.coinbase.errors import InvalidRequest
from sandbox.control_request import is_success, refuse
from sandbox.dashboard import Action
from sandbox.service import ApiResponse, Call, Json, Operation, Refusal, Service, are_sandbox_credentials
from sandbox.state import Sandbox

# The default and the largest page size of a list [docs].
_PAGE, _LARGEST_PAGE = 25, 100
_EXTRA_DECISIONS = {
    "pay_slowly": "Pay, confirmed later",
    "pay_too_little": "Pay too little",
    "pay_too_much": "Pay too much",
    "pay_too_late": "Pay after the end",
}


class CoinbaseCommerce(Service):
    """The simulated merchant account behind the Charge API."""

    provider = "coinbase_commerce"

    def __init__(self, sandbox: Sandbox) -> None:
        super().__init__(sandbox)
        self.charges = Charges(sandbox)

    def operations(self) -> Iterable[Operation]:
        """Return the operations."""
        return (
            Operation("create", "POST", "/charges", self._create),
            Operation("list", "GET", "/charges", self._list),
            Operation("read", "GET", "/charges/<id>", self._read),
            Operation("cancel", "POST", "/charges/<id>/cancel", lambda call: self._change(call, self.charges.cancel)),
            Operation(
                "resolve", "POST", "/charges/<id>/resolve", lambda call: self._change(call, self.charges.resolve)
            ),
            Operation("list_events", "GET", "/events", self._list_events),
            Operation("read_event", "GET", "/events/<id>", self._read_event),
        )

    def authenticate(self, call: Call) -> None:
        """Refuse a request without a sandbox key or a version. Unverified: the refusal of an unknown version."""
        if not are_sandbox_credentials(call.headers.get("X-Cc-Api-Key", "")):
            raise _refusal(401, "authentication_error", "Invalid API key.")
        if not call.headers.get("X-Cc-Version"):
            raise _refusal(400, "invalid_request", "X-CC-Version is missing.")

    def server_error(self) -> Refusal:
        """Return the 500."""
        return _refusal(500, "internal_server_error", "Something went wrong.")

    def rate_limited(self) -> Refusal:
        """Return the 429."""
        return _refusal(429, "rate_limit_exceeded", "Rate limit exceeded.")

    def malformed(self) -> Refusal:
        """Return the refusal for a body that is not a JSON object."""
        return _refusal(400, "invalid_request", "Invalid JSON.")

    def accounts(self) -> Iterator[ledger.Account]:
        """Yield every charge with its present status."""
        for charge in self.charges.all():
            yield ledger.Account(charge.id, self.provider, charge.currency, charge.body["metadata"], charge.status)

    def endpoints(self) -> Iterable[Json]:
        """Yield the webhook endpoint."""
        return self.charges.log.endpoints(EVENTS)

    def dashboard(self) -> Mapping[str, Action]:
        """Return what a person does on the provider's website."""
        return actions_on_charges(self.charges)

    def register(self, app: Flask) -> None:
        """Add the API, the hosted page and the controls."""
        super().register(app)
        app.register_blueprint(_controls(self.sandbox, self.charges))
        app.register_blueprint(
            hosted.blueprint(self.sandbox, self.provider, self._page, self.charges.decide, _EXTRA_DECISIONS)
        )

    def _page(self, id: str) -> hosted.Page | None:
        charge = self.charges.find(id)
        if charge is None:
            return None
        price = charge.body["pricing"]["local"]
        return hosted.Page(charge.body["code"], price["amount"], price["currency"], charge.status)

    def _create(self, call: Call) -> ApiResponse:
        try:
            return ApiResponse(201, {"data": self.charges.create(call.body, f"{call.base_url}/hosted")})
        except InvalidRequest as problem:
            raise _refusal(400, "invalid_request", str(problem)) from None

    def _read(self, call: Call) -> ApiResponse:
        return ApiResponse(200, {"data": self._charge(call).body})

    def _list(self, call: Call) -> ApiResponse:
        return _page_of(call, [charge.body for charge in self.charges.all()])

    def _change(self, call: Call, change: Any) -> ApiResponse:
        try:
            return ApiResponse(200, {"data": change(self._charge(call))})
        except InvalidRequest as problem:
            raise _refusal(400, "invalid_request", str(problem)) from None

    def _list_events(self, call: Call) -> ApiResponse:
        return _page_of(call, [json.loads(event.body)["event"] for event in self.charges.log.events])

    def _read_event(self, call: Call) -> ApiResponse:
        for event in self.charges.log.events:
            if event.id == call.ids["id"]:
                return ApiResponse(200, {"data": json.loads(event.body)["event"]})
        raise _refusal(404, "not_found", "Event not found.")

    def _charge(self, call: Call) -> Charge:
        charge = self.charges.find(call.ids["id"])
        if charge is None:
            raise _refusal(404, "not_found", "Charge not found.")
        return charge


def _page_of(call: Call, items: list[Json]) -> ApiResponse:
    """Return a page of a list, newest first unless `order` is asc."""
    ordered = items if call.query.get("order") == "asc" else items[::-1]
    after, limit = call.query.get("starting_after"), call.query.get("limit", "")
    ids = [item["id"] for item in ordered]
    start = ids.index(after) + 1 if after in ids else 0
    size = min(int(limit), _LARGEST_PAGE) if limit.isascii() and limit.isdigit() and len(limit) < 9 else _PAGE
    page = ordered[start : start + size]
    cursor = [page[0]["id"], page[-1]["id"]] if page else []
    pagination = {"order": call.query.get("order", "desc"), "total": len(items), "limit": size, "yielded": len(page)}
    return ApiResponse(
        200, {"pagination": pagination | {"cursor_range": cursor, "starting_after": after}, "data": page}
    )


def _controls(sandbox: Sandbox, charges: Charges) -> Blueprint:
    routes = Blueprint("coinbase_commerce_control", __name__, url_prefix="/_sandbox/coinbase_commerce")

    @routes.post("/<id>/settle")
    def finish(id: str) -> Response:
        """Finish the pending payment of a charge: `result`, which is success or failure."""
        is_good = is_success()
        with sandbox.lock:
            charge = charges.find(id)
            if charge is None or not charges.finish(charge, is_success=is_good):
                refuse(f"there is no pending payment {id}", 404)
        return jsonify(settled=id)

    return routes


def _refusal(status: int, kind: str, message: str) -> Refusal:
    error: Mapping[str, str] = {"type": kind, "message": message}
    return Refusal(status, {"error": error})
