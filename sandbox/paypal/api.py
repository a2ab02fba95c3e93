"""PayPal's HTTP API: access tokens, request ids and operations.

A repeated request id gets the latest state of the first call's object: for 6 hours of orders, for 45 days of payments,
for 3 hours of saved accounts.
A refused call is not kept (https://developer.paypal.com/api/rest/reference/idempotency [docs]).
"""

from __future__ import annotations

import base64
import binascii
import json
import secrets
from collections.abc import Callable, Iterable, Iterator, Mapping

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from flask import Flask, Response, request

from sandbox import hosted, ledger
from sandbox.clock import iso_seconds
from sandbox.dashboard import Action
from sandbox.paypal import control, dashboard, disputes, signing
from sandbox.paypal.account import PROVIDER, Account
from sandbox.paypal.errors import not_found, refused, unauthenticated, unprocessable
from sandbox.paypal.events import WEBHOOK_ID, EventLog
from sandbox.paypal.money import money
from sandbox.paypal.objects import Json, Order, Payment, with_relations
from sandbox.paypal.vault import KEPT_SECONDS as VAULT_KEPT_SECONDS
from sandbox.paypal.vault import Saved, Setup
from sandbox.service import ApiResponse, Call, Operation, Refusal, Service, are_sandbox_credentials
from sandbox.state import Sandbox

TOKEN_SECONDS = 32_400
ORDERS_KEPT_SECONDS = 6 * 3600
PAYMENTS_KEPT_SECONDS = 45 * 24 * 3600
LONGEST_VAULT_REQUEST_ID = 36
EVENT_MARKER = b'"webhook_event":'
# Required by the schema verify_webhook_signature [spec].
VERIFIED_FIELDS = (
    "auth_algo",
    "cert_url",
    "transmission_id",
    "transmission_sig",
    "transmission_time",
    "webhook_id",
    "webhook_event",
)


class PayPal(Service):
    """The simulated PayPal account behind its HTTP API."""

    provider = PROVIDER

    def __init__(self, sandbox: Sandbox) -> None:
        super().__init__(sandbox)
        self.log = EventLog(sandbox, PROVIDER)
        self.account = Account(sandbox, self.log)
        self.tokens: dict[str, float] = {}
        self._responses: dict[tuple[str, str], tuple[float, str]] = {}

    def operations(self) -> Iterable[Operation]:
        """Return the operations."""
        orders, payments = "/v2/checkout/orders", "/v2/payments"
        webhooks, setups, tokens = "/v1/notifications", "/v3/vault/setup-tokens", "/v3/vault/payment-tokens"
        vault = self.account.vault
        return (
            Operation("token", "POST", "/v1/oauth2/token", self._token, is_public=True),
            Operation("orders.create", "POST", orders, self._create),
            Operation("orders.get", "GET", f"{orders}/<id>", lambda call: ApiResponse(200, self._order(call).body())),
            Operation("orders.authorize", "POST", f"{orders}/<id>/authorize", self._pay("AUTHORIZE")),
            Operation("orders.capture", "POST", f"{orders}/<id>/capture", self._pay("CAPTURE")),
            Operation("authorizations.get", "GET", f"{payments}/authorizations/<id>", self._read("authorizations")),
            Operation("authorizations.capture", "POST", f"{payments}/authorizations/<id>/capture", self._capture),
            Operation("authorizations.void", "POST", f"{payments}/authorizations/<id>/void", self._void),
            Operation("captures.get", "GET", f"{payments}/captures/<id>", self._read("captures")),
            Operation("captures.refund", "POST", f"{payments}/captures/<id>/refund", self._refund),
            Operation("refunds.get", "GET", f"{payments}/refunds/<id>", self._read("refunds")),
            Operation("setup_tokens.create", "POST", setups, self._create_setup),
            Operation("setup_tokens.get", "GET", f"{setups}/<id>", self._shown(vault.setup)),
            Operation("payment_tokens.create", "POST", tokens, self._create_token),
            Operation("payment_tokens.list", "GET", tokens, lambda call: ApiResponse(200, vault.listed(call.query))),
            Operation("payment_tokens.get", "GET", f"{tokens}/<id>", self._shown(vault.token)),
            Operation("payment_tokens.delete", "DELETE", f"{tokens}/<id>", self._delete_token),
            Operation("disputes.list", "GET", "/v1/customer/disputes", self._list_disputes),
            Operation("disputes.get", "GET", "/v1/customer/disputes/<id>", self._dispute),
            Operation("webhooks.get", "GET", f"{webhooks}/webhooks/<id>", self._webhook),
            Operation("webhooks.events", "GET", f"{webhooks}/webhooks-events", self._list_events),
            Operation("webhooks.verify", "POST", f"{webhooks}/verify-webhook-signature", self._verify),
        )

    def register(self, app: Flask) -> None:
        """Add the API, the certificates, the buyer's page and the control routes."""
        super().register(app)
        certs = f"{self.prefix}/v1/notifications"
        app.add_url_rule(f"{certs}/certs/<id>", "paypal.certs", _certificate)
        app.add_url_rule(f"{certs}/authorities/sandbox", "paypal.authorities", _authorities)
        app.register_blueprint(hosted.blueprint(self.sandbox, PROVIDER, self._page, self._decide, title="PayPal"))
        app.register_blueprint(control.blueprint(self.account))

    def authenticate(self, call: Call) -> None:
        """Refuse a request without a valid token, or with the issue in the header PayPal-Mock-Response."""
        token = call.headers.get("Authorization", "").removeprefix("Bearer ")
        if self.tokens.get(token, 0.0) <= self.now:
            raise unauthenticated("invalid_token", "Access Token not found in cache")
        self.log.base_url = call.base_url
        mock = call.headers.get("Paypal-Mock-Response")
        if mock is not None:
            raise unprocessable(json.loads(mock)["mock_application_codes"])

    def server_error(self) -> Refusal:
        """Return PayPal's 500."""
        return refused(500)

    def rate_limited(self) -> Refusal:
        """Return PayPal's 429."""
        return refused(429)

    def malformed(self) -> Refusal:
        """Return the refusal for a body that is not a JSON object."""
        return refused(400, "MALFORMED_REQUEST_JSON")

    def accounts(self) -> Iterator[ledger.Account]:
        """Yield every order with its present status."""
        for order in self.account.orders.values():
            yield ledger.Account(order.id, PROVIDER, order.currency, order.metadata, order.status)

    def endpoints(self) -> Iterator[Json]:
        """Yield the webhook registration."""
        if self.log.url is not None:
            yield {"provider": PROVIDER, "id": WEBHOOK_ID, "url": self.log.url, "enabled_events": ["*"]}

    def dashboard(self) -> Mapping[str, Action]:
        """Return what a person does on the provider's website."""
        return dashboard.actions(self.account)

    # --- operations ---

    def _token(self, call: Call) -> ApiResponse:
        if not are_sandbox_credentials(*call.credentials):
            raise unauthenticated("invalid_client", "Client Authentication failed")
        if call.body.get("grant_type") != "client_credentials":
            raise Refusal(400, {"error": "unsupported_grant_type", "error_description": "unsupported grant_type"})
        token = f"A21AA{secrets.token_urlsafe(64)}"
        self.tokens[token] = self.now + TOKEN_SECONDS
        scope = "https://uri.paypal.com/services/payments/realtimepayment"
        nonce = f"{iso_seconds(self.now)}{secrets.token_urlsafe(32)}"
        body = {"scope": scope, "access_token": token, "token_type": "Bearer", "app_id": "APP-80W284485P519543T"}
        return ApiResponse(200, body | {"expires_in": TOKEN_SECONDS, "nonce": nonce})

    def _create(self, call: Call) -> ApiResponse:
        if call.body.get("payment_source") and "Paypal-Request-Id" not in call.headers:
            raise refused(400, "PAYPAL_REQUEST_ID_REQUIRED")
        return self._idempotent(
            call,
            "orders.create",
            ORDERS_KEPT_SECONDS,
            lambda: self.account.create(call.body, call.base_url).id,
            lambda id: self._order_body(call, self.account.orders[id]),
        )

    def _pay(self, intent: str) -> Callable[[Call], ApiResponse]:
        def run(call: Call) -> ApiResponse:
            order = self._order(call)
            if order.intent != intent:
                raise unprocessable("ACTION_DOES_NOT_MATCH_INTENT")

            def pay() -> str:
                self.account.pay(order, call.body, _key(call))
                return order.id

            return self._idempotent(
                call, f"{order.id}.pay", ORDERS_KEPT_SECONDS, pay, lambda _: self._order_body(call, order)
            )

        return run

    def _capture(self, call: Call) -> ApiResponse:
        order, authorization = self._payment(call, "authorizations")
        return self._idempotent(
            call,
            f"{authorization.id}.capture",
            PAYMENTS_KEPT_SECONDS,
            lambda: self.account.capture(order, authorization, call.body, _key(call)).id,
            self._body_of,
        )

    def _void(self, call: Call) -> ApiResponse:
        # A void takes no request id [spec]: the second one is refused because the authorization is voided.
        order, authorization = self._payment(call, "authorizations")
        self.account.void(order, authorization, _key(call))
        wants_body = call.headers.get("Prefer") == "return=representation"
        return ApiResponse(200, self._body_of(authorization.id)) if wants_body else ApiResponse(204)

    def _refund(self, call: Call) -> ApiResponse:
        order, captured = self._payment(call, "captures")
        return self._idempotent(
            call,
            f"{captured.id}.refund",
            PAYMENTS_KEPT_SECONDS,
            lambda: self.account.refund(order, captured, call.body, _key(call)).id,
            self._body_of,
        )

    def _read(self, kind: str) -> Callable[[Call], ApiResponse]:
        return lambda call: ApiResponse(200, self._body_of(self._payment(call, kind)[1].id))

    def _create_setup(self, call: Call) -> ApiResponse:
        vault = self.account.vault
        return self._idempotent(
            _with_request_id(call),
            "setup_tokens.create",
            VAULT_KEPT_SECONDS,
            lambda: vault.create_setup(call.body, call.base_url).id,
            lambda id: vault.setup(id).body(),
        )

    def _create_token(self, call: Call) -> ApiResponse:
        vault = self.account.vault
        return self._idempotent(
            _with_request_id(call),
            "payment_tokens.create",
            VAULT_KEPT_SECONDS,
            lambda: vault.create_token(call.body).id,
            lambda id: vault.token(id).body(),
        )

    def _delete_token(self, call: Call) -> ApiResponse:
        self.account.vault.delete(call.ids["id"])
        return ApiResponse(204)

    def _shown(self, find: Callable[[str], Setup | Saved]) -> Callable[[Call], ApiResponse]:
        return lambda call: ApiResponse(200, find(call.ids["id"]).body())

    def _list_disputes(self, call: Call) -> ApiResponse:
        """List the disputes about a transaction. PayPal takes a transaction or a start, never both [docs]."""
        transaction, starts = call.query.get("disputed_transaction_id"), call.query.get("start_time")
        if transaction is not None and starts is not None:
            raise refused(400, "INVALID_REQUEST")
        found = [body for id, body in self.account.disputes.items() if transaction in (None, id)]
        return ApiResponse(200, {"items": [disputes.summary(body) for body in found], "links": []})

    def _dispute(self, call: Call) -> ApiResponse:
        found = (body for body in self.account.disputes.values() if body["dispute_id"] == call.ids["id"])
        dispute = next(found, None)
        if dispute is None:
            raise not_found()
        return ApiResponse(200, dispute)

    def _webhook(self, call: Call) -> ApiResponse:
        if call.ids["id"] != WEBHOOK_ID:
            raise not_found()
        return ApiResponse(200, self.log.registration())

    def _list_events(self, call: Call) -> ApiResponse:
        return ApiResponse(200, self.log.listed(call.query))

    def _verify(self, call: Call) -> ApiResponse:
        """Verify the signature of a delivery over the event's bytes as they stand in the request.

        Parsing and writing the event again could change its bytes, and with them the checksum.
        """
        body, raw = call.body, request.get_data()
        missing = next((name for name in VERIFIED_FIELDS if not body.get(name)), None)
        if missing is not None:
            raise refused(400, "MISSING_REQUIRED_PARAMETER", f"/{missing}")
        event = raw.partition(EVENT_MARKER)[2].strip()[:-1].strip()
        names = (body["transmission_id"], body["transmission_time"], body["webhook_id"])
        text = signing.signed_text(*names, event)
        try:
            signature = base64.b64decode(body["transmission_sig"])
            signing.signing_key().public_key().verify(signature, text, PKCS1v15(), hashes.SHA256())
        except (InvalidSignature, binascii.Error):
            return ApiResponse(200, {"verification_status": "FAILURE"})
        return ApiResponse(200, {"verification_status": "SUCCESS" if names[2] == WEBHOOK_ID else "FAILURE"})

    # --- idempotency and look-up ---

    def _idempotent(
        self, call: Call, name: str, seconds: float, run: Callable[[], str], show: Callable[[str], Json]
    ) -> ApiResponse:
        key = (name, call.headers.get("Paypal-Request-Id", ""))
        known = self._responses.get(key) if key[1] else None
        if known is not None and known[0] > self.now:
            return ApiResponse(200, show(known[1]))
        id = run()
        # Only the id is stored: a repeat gets the latest state of the object and not the first response.
        if key[1]:
            self._responses[key] = (self.now + seconds, id)
        return ApiResponse(201, show(id))

    def _order(self, call: Call) -> Order:
        order = self.account.orders.get(call.ids["id"])
        if order is None:
            raise not_found()
        return order

    def _order_body(self, call: Call, order: Order) -> Json:
        body = order.body()
        if call.headers.get("Prefer") == "return=representation":
            return body
        return {name: body[name] for name in ("id", "status", "links")}

    def _payment(self, call: Call, kind: str) -> tuple[Order, Payment]:
        entry = self.account.payments.get(call.ids["id"])
        if entry is None or entry[1].kind != kind:
            raise not_found()
        return entry

    def _body_of(self, id: str) -> Json:
        order, payment = self.account.payments[id]
        return payment.body if payment.kind == "refunds" else with_relations(order, payment)

    def _page(self, id: str) -> hosted.Page | None:
        setup = self.account.vault.setups.get(id)
        if setup is not None:
            return hosted.Page(id, "", "", setup.status, "Save your account for later payments")
        order = self.account.orders.get(id)
        if order is None:
            return None
        return hosted.Page(id, money(order.amount, order.currency)["value"], order.currency, order.status)

    def _decide(self, id: str, decision: str) -> str | None:
        if id in self.account.vault.setups:
            return self.account.vault.decide(id, decision)
        return self.account.decide(self.account.orders[id], decision)


def _with_request_id(call: Call) -> Call:
    """Return a call of an operation that requires a request id (Payment Method Tokens v3 [spec])."""
    if not 0 < len(_key(call)) <= LONGEST_VAULT_REQUEST_ID:
        raise refused(400, "PAYPAL_REQUEST_ID_REQUIRED" if not _key(call) else "INVALID_STRING_LENGTH")
    return call


def _key(call: Call) -> str:
    return call.headers.get("Paypal-Request-Id", "")


def _certificate(id: str) -> Response:
    if id == signing.UNKNOWN_CERTIFICATE_ID:
        return _pem(signing.unknown_certificate())
    if id != signing.CERTIFICATE_ID:
        return Response("not found", 404)
    return _pem(signing.certificate())


def _authorities() -> Response:
    return _pem(signing.pem(*signing.authority().certificates))


def _pem(certificates: bytes) -> Response:
    # The headers of a captured response of PayPal's.
    headers = {"Cache-Control": "public,max-age=86400"}
    return Response(certificates, content_type="application/x-pem-file", headers=headers)
