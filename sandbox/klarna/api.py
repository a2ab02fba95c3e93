"""Klarna's operations, their responses, and the idempotency of Order Management.

Only the key counts: a repeated key gets the first response for 24 hours, also for another request [docs]. That a
refusal is not kept under its key is unverified.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

from flask import Blueprint, Flask, Response, jsonify

from sandbox import hosted, ledger
from sandbox.control_request import choice, refuse, request_body
from sandbox.dashboard import Action
from sandbox.idempotency import IdempotentResponses
from sandbox.klarna import dashboard, purchases
from sandbox.klarna.callbacks import Callbacks
from sandbox.klarna.errors import CORRELATION, new_id, not_found, refusal, unauthorized
from sandbox.klarna.orders import DECISIONS, Orders
from sandbox.klarna.pages import HostedSession, Pages
from sandbox.service import ApiResponse, Call, Json, Operation, Refusal, Service, are_sandbox_credentials
from sandbox.state import Sandbox

KEY = "Klarna-Idempotency-Key"
KEPT_SECONDS = 24 * 3600.0
CUSTOMER_TOKENS = (
    "customer-token",
    "customer-token+denied",
    "customer-token+pend-accept",
    "customer-token+pend-reject",
)
CATEGORIES = [{"identifier": "klarna", "name": "Pay with Klarna"}]


class Klarna(Service):
    """The simulated Klarna of one merchant."""

    provider = "klarna"

    def __init__(self, sandbox: Sandbox) -> None:
        super().__init__(sandbox)
        self._callbacks = Callbacks(sandbox)
        self._orders = Orders(sandbox, self._callbacks)
        self._pages = Pages(sandbox, self._orders, self._callbacks)
        self._responses = IdempotentResponses(sandbox.clock.now)

    def idempotency_key(self, call: Call) -> str | None:
        """Return the call's idempotency key."""
        return call.headers.get(KEY)

    def operations(self) -> Iterable[Operation]:
        """Return the operations."""
        order = "/ordermanagement/v1/orders/<order_id>"
        token = "/customer-token/v1/tokens/<token>"
        table: list[tuple[str, str, str, Callable[[Call], ApiResponse]]] = [
            ("sessions.create", "POST", "/payments/v1/sessions", self._create_session),
            ("sessions.read", "GET", "/payments/v1/sessions/<session_id>", self._read_session),
            ("pages.create", "POST", "/hpp/v1/sessions", self._create_page),
            ("pages.read", "GET", "/hpp/v1/sessions/<page_id>", self._read_page),
            ("pages.disable", "DELETE", "/hpp/v1/sessions/<page_id>", self._disable_page),
            ("orders.read", "GET", order, self._read_order),
            ("captures.create", "POST", f"{order}/captures", self._idempotent(self._capture)),
            ("captures.list", "GET", f"{order}/captures", self._list_captures),
            ("refunds.create", "POST", f"{order}/refunds", self._idempotent(self._refund)),
            ("refunds.read", "GET", f"{order}/refunds/<refund_id>", self._read_refund),
            ("orders.cancel", "POST", f"{order}/cancel", self._idempotent(self._cancel)),
            ("orders.release", "POST", f"{order}/release-remaining-authorization", self._idempotent(self._release)),
            ("tokens.read", "GET", token, self._read_token),
            ("tokens.order", "POST", f"{token}/order", self._idempotent(self._order_by_token)),
        ]
        return [Operation(name, method, rule, _correlated(run)) for name, method, rule, run in table]

    def register(self, app: Flask) -> None:
        """Add Klarna's routes, its hosted pages and its control routes."""
        super().register(app)
        app.register_blueprint(hosted.blueprint(self.sandbox, self.provider, self._pages.show, self._pages.decide))
        app.register_blueprint(self._control())

    def authenticate(self, call: Call) -> None:
        """Refuse credentials that do not contain "sandbox"."""
        if not are_sandbox_credentials("".join(call.credentials)):
            raise unauthorized()

    def server_error(self) -> Refusal:
        """Return Klarna's 500."""
        return refusal(500, "INTERNAL_SERVER_ERROR", "An unexpected error occurred")

    def rate_limited(self) -> Refusal:
        """Return Klarna's 429."""
        return refusal(429, "TOO_MANY_REQUESTS", "Too many requests")

    def malformed(self) -> Refusal:
        """Return the refusal for a body that is not a JSON object."""
        return refusal(400, "BAD_REQUEST", "Malformed JSON")

    def accounts(self) -> Iterable[ledger.Account]:
        """Yield every order."""
        for order in self._orders.by_id.values():
            metadata = purchases.metadata(order.request)
            yield ledger.Account(order.id, self.provider, order.currency, metadata, order.status)

    def dashboard(self) -> Mapping[str, Action]:
        """Return what a person does on the provider's website."""
        return dashboard.actions(self._orders)

    # --- payments and pages ---

    def _create_session(self, call: Call) -> ApiResponse:
        purchases.check(call.body, has_country=True)
        session = self._pages.open_payment(call.body)
        names = {"session_id": session.id, "client_token": f"{new_id()}.{new_id()}"}
        return ApiResponse(200, names | {"payment_method_categories": CATEGORIES})

    def _read_session(self, call: Call) -> ApiResponse:
        session = self._pages.find_payment(call.ids["session_id"])
        return ApiResponse(200, session.request | {"status": "complete" if session.is_complete else "incomplete"})

    def _create_page(self, call: Call) -> ApiResponse:
        page = self._pages.open(call.body)
        session_url = f"{call.base_url}/hpp/v1/sessions/{page.id}"
        redirect_url = f"{call.base_url}/hosted/{page.id}"
        links: Json = {
            "session_id": page.id,
            "session_url": session_url,
            "redirect_url": redirect_url,
            "qr_code_url": f"{redirect_url}/qr",
            "distribution_url": f"{session_url}/distribution",
            "manual_identification_check_url": f"{session_url}/manual-id-check",
            "expires_at": page.body()["expires_at"],
        }
        return ApiResponse(201, links)

    def _read_page(self, call: Call) -> ApiResponse:
        return ApiResponse(200, self._page(call).body())

    def _disable_page(self, call: Call) -> ApiResponse:
        self._pages.disable(self._page(call))
        return ApiResponse(204)

    def _page(self, call: Call) -> HostedSession:
        return self._pages.find(call.ids["page_id"])

    # --- orders ---

    def _read_order(self, call: Call) -> ApiResponse:
        return ApiResponse(200, self._orders.find(call.ids["order_id"]).body())

    def _capture(self, call: Call) -> ApiResponse:
        order = self._orders.find(call.ids["order_id"])
        return _created(call, "captures", self._orders.capture(order, call.body, call.headers.get(KEY)))

    def _list_captures(self, call: Call) -> ApiResponse:
        return ApiResponse(200, self._orders.find(call.ids["order_id"]).captures)

    def _refund(self, call: Call) -> ApiResponse:
        order = self._orders.find(call.ids["order_id"])
        return _created(call, "refunds", self._orders.refund(order, call.body, call.headers.get(KEY)))

    def _read_refund(self, call: Call) -> ApiResponse:
        order = self._orders.find(call.ids["order_id"])
        for refund in order.refunds:
            if refund["refund_id"] == call.ids["refund_id"]:
                return ApiResponse(200, refund)
        raise not_found("refund")

    def _cancel(self, call: Call) -> ApiResponse:
        self._orders.cancel(self._orders.find(call.ids["order_id"]), call.headers.get(KEY))
        return ApiResponse(204)

    def _release(self, call: Call) -> ApiResponse:
        self._orders.release(self._orders.find(call.ids["order_id"]), call.headers.get(KEY))
        return ApiResponse(204)

    # --- payments by customer token ---

    def _read_token(self, call: Call) -> ApiResponse:
        if call.ids["token"] not in CUSTOMER_TOKENS:
            raise not_found("customer token")
        return ApiResponse(200, {"status": "ACTIVE", "payment_method_type": "INVOICE"})

    def _order_by_token(self, call: Call) -> ApiResponse:
        token = call.ids["token"]
        if token not in CUSTOMER_TOKENS:
            raise not_found("customer token")
        if "order_tax_amount" not in call.body:
            raise refusal(400, "BAD_VALUE", "Bad value: order_tax_amount")
        purchases.check(call.body, has_country=False)
        if "+denied" in token:
            raise refusal(403, "REJECTED", "Customer not approved")
        order = self._orders.place(call.body, customer=token, key=call.headers.get(KEY))
        if call.body.get("auto_capture") and order.fraud_status == "ACCEPTED":
            self._orders.capture(order, {"captured_amount": order.amount}, call.headers.get(KEY))
        body = {"order_id": order.id, "fraud_status": order.fraud_status, "redirect_url": f"{call.base_url}/redirect"}
        return ApiResponse(200, body | {"authorized_payment_method": {"type": "invoice"}})

    # --- idempotency and control ---

    def _idempotent(self, run: Callable[[Call], ApiResponse]) -> Callable[[Call], ApiResponse]:
        def once(call: Call) -> ApiResponse:
            response: ApiResponse = self._responses.once(call.headers.get(KEY), KEPT_SECONDS, lambda: run(call))
            return response

        return once

    def _control(self) -> Blueprint:
        routes = Blueprint("klarna_control", __name__, url_prefix="/_sandbox/klarna")

        @routes.get("/callbacks")
        def list_callbacks() -> Response:
            """List all callbacks, oldest first."""
            with self.sandbox.lock:
                return jsonify(callbacks=[vars(sent) for sent in self._callbacks.sent])

        @routes.post("/orders/<id>/fraud")
        def decide_fraud(id: str) -> Response:
            """End the fraud review of an order: `decision`, which is accept, reject or stop."""
            decision = choice(request_body("decision"), "decision", DECISIONS)
            with self.sandbox.lock:
                order = self._orders.by_id.get(id)
                if order is None:
                    refuse(f"there is no order {id}", 404)
                self._orders.decide_fraud(order, decision)
                return jsonify(fraud_status=order.fraud_status)

        return routes


def _created(call: Call, kind: str, id: str) -> ApiResponse:
    """Return an empty 201; the new object's id and URL are only in the headers [spec]."""
    url = f"{call.base_url}/ordermanagement/v1/orders/{call.ids['order_id']}/{kind}/{id}"
    header = {"captures": "Capture-Id", "refunds": "Refund-Id"}[kind]
    return ApiResponse(201, None, {header: id, "Location": url})


def _correlated(run: Callable[[Call], ApiResponse]) -> Callable[[Call], ApiResponse]:
    """Give every response a new correlation id, also the repeated response of an idempotency key [docs]."""

    def correlated(call: Call) -> ApiResponse:
        response = run(call)
        return replace(response, headers={**response.headers, CORRELATION: new_id()})

    return correlated
