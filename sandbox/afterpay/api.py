"""Afterpay's HTTP API: routes, authentication, request ids, and the page on which the shopper decides."""

from __future__ import annotations

import math
import re
import uuid
from collections.abc import Callable, Iterable, Mapping
from typing import Any
from urllib.parse import urlencode

from flask import Flask, Response, jsonify, request

from sandbox import hosted, ledger
from sandbox.afterpay import PROVIDER, checkouts, dashboard
from sandbox.afterpay.amounts import REGIONS, money
from sandbox.afterpay.checkouts import Checkout, Merchant
from sandbox.afterpay.disputes import REASONS, STATUSES, Disputes
from sandbox.afterpay.errors import invalid, invalid_token, not_found, precondition_failed, refusal
from sandbox.afterpay.payments import Payment, Payments
from sandbox.control_request import choice, refuse, request_body
from sandbox.dashboard import Action
from sandbox.idempotency import IdempotentResponses
from sandbox.service import ApiResponse, Call, Json, Operation, Refusal, Service, are_sandbox_credentials
from sandbox.state import Sandbox

# A repeated request id gets the first response for a day [docs]; for refunds there is no end.
KEPT_SECONDS = 86_400.0


class Afterpay(Service):
    """The simulated accounts. A merchant id ends in its region, such as `sandbox-au`; any other id is in the US."""

    provider = PROVIDER

    def __init__(self, sandbox: Sandbox) -> None:
        super().__init__(sandbox)
        self.checkouts: dict[str, Checkout] = {}
        self.payments: dict[str, Payment] = {}
        self._by_token: dict[str, Payment] = {}
        self._operations = Payments(sandbox)
        self._responses = IdempotentResponses(sandbox.clock.now)
        self._disputes = Disputes(sandbox)

    def idempotency_key(self, call: Call) -> str | None:
        """Return the call's request id."""
        return call.body.get("requestId")

    def operations(self) -> Iterable[Operation]:
        """Return the operations, in the order of the documents."""
        order, token = "/v2/payments/<order_id>", "/v2/payments/token:<token>"
        return (
            Operation("get_configuration", "GET", "/v2/configuration", self._configuration),
            Operation("create_checkout", "POST", "/v2/checkouts", self._create_checkout),
            Operation("get_checkout", "GET", "/v2/checkouts/<token>", self._get_checkout),
            Operation("list_payments", "GET", "/v2/payments", self._list_payments),
            Operation("auth", "POST", "/v2/payments/auth", self._auth),
            Operation("capture_full_payment", "POST", "/v2/payments/capture", self._capture_full_payment),
            Operation("get_payment", "GET", order, self._get_payment),
            Operation("update_payment", "PUT", order, self._update_payment),
            Operation("capture_payment", "POST", f"{order}/capture", self._capture_payment),
            Operation("void", "POST", f"{order}/void", self._void),
            Operation("create_refund", "POST", f"{order}/refund", self._create_refund),
            Operation("get_payment_by_token", "GET", token, self._get_payment_by_token),
            Operation("retrieve_dispute", "GET", "/v2/disputes", self._list_disputes),
            Operation("receive_dispute", "GET", "/v2/disputes/<id>", self._get_dispute),
            Operation("reverse_payment", "POST", f"{token}/reversal", self._reverse_payment),
        )

    def register(self, app: Flask) -> None:
        """Add the operations, the shopper's pages and the control route for disputes."""
        super().register(app)
        app.register_blueprint(hosted.blueprint(self.sandbox, PROVIDER, self._page, self._decide))
        app.add_url_rule(f"/_sandbox/{PROVIDER}/<token>/dispute", "afterpay.dispute", self._dispute, methods=["POST"])

    def authenticate(self, call: Call) -> None:
        """Refuse credentials that do not contain "sandbox"."""
        if not are_sandbox_credentials(*call.credentials):
            message = "Credentials are required to access this resource."
            raise refusal(401, "unauthorized", message)

    def server_error(self) -> Refusal:
        """Return Afterpay's 500."""
        return refusal(500, "internal_server_error", "An unexpected error occurred.")

    def rate_limited(self) -> Refusal:
        """Return Afterpay's 429."""
        return refusal(429, "too_many_requests", "Too many requests.")

    def malformed(self) -> Refusal:
        """Return the refusal for a body that is not a JSON object."""
        return refusal(400, "invalid_json", "Malformed JSON or incorrect syntax detected in the request body.")

    def accounts(self) -> Iterable[ledger.Account]:
        """Yield every checkout with the state of its payment, or its own state without one."""
        for token, checkout in self.checkouts.items():
            payment = self._by_token.get(token)
            status = payment.state if payment else "OPEN" if checkout.is_valid(self.now) else "EXPIRED"
            currency = checkout.merchant.region.currency
            yield ledger.Account(token, PROVIDER, currency, checkout.metadata, status)

    def endpoints(self) -> Iterable[Json]:
        """Yield the webhook URL for disputes."""
        if self._disputes.url is not None:
            yield {"id": PROVIDER, "url": self._disputes.url, "enabled_events": ["created", "updated"]}

    def dashboard(self) -> Mapping[str, Action]:
        """Return what a person does on the provider's website."""
        return dashboard.actions(self._operations, self._by_token)

    # --- checkouts ---

    def _configuration(self, call: Call) -> ApiResponse:
        region = _merchant(call).region
        limits = {"minimumAmount": region.minimum, "maximumAmount": region.maximum}
        return ApiResponse(body={name: money(amount, region.currency) for name, amount in limits.items()})

    def _create_checkout(self, call: Call) -> ApiResponse:
        checkout = checkouts.create(_merchant(call), call.body, f"{call.base_url}/hosted", self.now)
        self.checkouts[checkout.token] = checkout
        return ApiResponse(201, checkout.creation_body())

    def _get_checkout(self, call: Call) -> ApiResponse:
        checkout = self._checkout(call, call.ids["token"])
        is_readable = checkout is not None and self.now < checkout.created_at + checkouts.READABLE_SECONDS
        if checkout is None or not is_readable or checkout.token in self._by_token:
            message = "The checkout token is invalid, expired, completed, or does not exist."
            raise precondition_failed(message)
        return ApiResponse(body=checkout.request | checkout.creation_body())

    # --- payments ---

    def _auth(self, call: Call) -> ApiResponse:
        key = call.body.get("requestId", call.body.get("requestid"))
        if key is not None and not _is_uuid(key):
            raise invalid("requestId must be a UUID")

        def run() -> ApiResponse:
            return self._pay(call, key, is_immediate=False)

        response: ApiResponse = self._responses.once(_idempotency_key(call, key), KEPT_SECONDS, run)
        return response

    def _capture_full_payment(self, call: Call) -> ApiResponse:
        checkout = self._checkout(call, _token(call))
        payment = self._by_token.get(checkout.token) if checkout else None
        if payment is not None and payment.events[0]["type"].startswith("CAPTURE"):
            self._operations.refuse_while_reversed(payment)
            return ApiResponse(201, payment.body())
        return self._pay(call, None, is_immediate=True)

    def _pay(self, call: Call, key: str | None, *, is_immediate: bool) -> ApiResponse:
        checkout = self._checkout(call, _token(call))
        if checkout is None or not checkout.is_valid(self.now) or checkout.token in self._by_token:
            raise invalid_token()
        if not checkout.is_confirmed:
            message = "The customer has not confirmed the payment for the order associated with this token."
            raise refusal(412, "invalid_order_transaction_status", message)
        reference = call.body.get("merchantReference")
        payment = self._operations.pay(checkout, reference, key or checkout.token, is_immediate=is_immediate)
        self.payments[payment.id] = self._by_token[checkout.token] = payment
        # A decline gets 402 from auth and 201 from capture [spec].
        return ApiResponse(402 if payment.is_declined and not is_immediate else 201, payment.body())

    def _list_payments(self, call: Call) -> ApiResponse:
        wanted = {name: set(request.args.getlist(name)) for name in ("ids", "tokens", "merchantReferences", "statuses")}
        limit = call.query.get("limit", "20")
        if not limit.isdecimal() or not 1 <= int(limit) <= 250:
            raise refusal(422, "error", "limit must be from 1 to 250")
        results = [
            body
            for payment in self.payments.values()
            if payment.checkout.merchant.id == _merchant(call).id
            if _matches(body := payment.body(), wanted)
        ]
        page = {"totalResults": len(results), "offset": 0, "limit": int(limit)}
        return ApiResponse(body=page | {"results": results[: int(limit)]})

    def _get_payment(self, call: Call) -> ApiResponse:
        return ApiResponse(body=self._payment(call).body())

    def _get_payment_by_token(self, call: Call) -> ApiResponse:
        return ApiResponse(body=self._payment_of(call, call.ids["token"]).body())

    def _update_payment(self, call: Call) -> ApiResponse:
        payment = self._payment(call)
        payment.reference = str(call.body.get("merchantReference"))
        return ApiResponse(201, payment.body())

    # --- operations ---

    def _capture_payment(self, call: Call) -> ApiResponse:
        if not call.ids["order_id"].isdecimal():
            raise not_found("Cannot find an order with that id.")
        if call.ids["order_id"] not in self.payments:
            raise refusal(412, "error", "The id does not match any valid order.")
        return self._change(call, self._operations.capture)

    def _void(self, call: Call) -> ApiResponse:
        return self._change(call, self._operations.void)

    def _change(self, call: Call, change: Callable[[Payment, Json], Payment]) -> ApiResponse:
        payment = self._payment(call)

        def run() -> Json:
            self._operations.refuse_while_reversed(payment)
            return change(payment, call.body).body()

        return ApiResponse(
            201, self._responses.once(_idempotency_key(call, call.body.get("requestId")), KEPT_SECONDS, run)
        )

    def _create_refund(self, call: Call) -> ApiResponse:
        payment = self.payments.get(call.ids["order_id"])
        if payment is None or payment.checkout.merchant.id != _merchant(call).id:
            raise precondition_failed("The order does not exist.")
        # A refund is idempotent only with both [docs].
        names = (call.body.get("requestId"), call.body.get("merchantReference"))
        key = _idempotency_key(call, names if all(names) else None)
        refund = self._responses.once(key, math.inf, lambda: self._operations.refund(payment, call.body))
        return ApiResponse(201, refund)

    def _reverse_payment(self, call: Call) -> ApiResponse:
        if self._checkout(call, call.ids["token"]) is None:
            raise invalid_token()
        payment = self._by_token.get(call.ids["token"])
        if payment is None:
            raise precondition_failed("Payment not eligible for a reversal")
        self._operations.reverse(payment)
        return ApiResponse(204)

    # --- hosted page ---

    def _page(self, token: str) -> hosted.Page | None:
        checkout = self.checkouts.get(token)
        if checkout is None:
            return None
        amount = money(checkout.amount, checkout.merchant.region.currency)
        status = "closed" if not self._is_open(checkout) else "approved" if checkout.is_confirmed else "open"
        return hosted.Page(token, amount["amount"], amount["currency"], status)

    def _decide(self, token: str, decision: str) -> str:
        """Execute the shopper's decision and return the URL of the redirect.

        A declined payment is approved by the shopper and declined by Afterpay later, when the merchant pays with the
        token. After a cancel the token stays valid.
        """
        checkout = self.checkouts[token]
        is_confirmed = decision != "cancel" and self._is_open(checkout)
        if is_confirmed:
            checkout.is_confirmed, checkout.will_be_declined = True, decision == "decline"
        name = "redirectConfirmUrl" if is_confirmed else "redirectCancelUrl"
        url: str = checkout.request["merchant"][name]
        query = urlencode({"status": "SUCCESS" if is_confirmed else "CANCELLED", "orderToken": token})
        return f"{url}{'&' if '?' in url else '?'}{query}"

    def _dispute(self, token: str) -> Response:
        """Open a dispute about the payment of a token: `reason`; a later call sets its `status`."""
        body = request_body("reason", "status")
        with self.sandbox.lock:
            payment = self._by_token.get(token)
            if payment is None or payment.is_declined:
                refuse("there is no payment of that token to dispute")
            known = self._disputes.of(token)
            if known is None:
                return jsonify(self._disputes.open(payment, choice(body, "reason", REASONS, REASONS[0])))
            if not known["open"]:
                refuse("the dispute is decided")
            return jsonify(self._disputes.move(payment, choice(body, "status", STATUSES)))

    # --- disputes ---

    def _list_disputes(self, call: Call) -> ApiResponse:
        order, status = call.query.get("order"), call.query.get("status")
        found = [
            body
            for body in self._own_disputes(call)
            if order in (None, body["order"]) and status in (None, body["status"])
        ]
        return ApiResponse(body={"data": found, "offset": 0, "limit": 20, "total": len(found)})

    def _get_dispute(self, call: Call) -> ApiResponse:
        found = next((body for body in self._own_disputes(call) if body["id"] == call.ids["id"]), None)
        if found is None:
            raise not_found("The corresponding entity can't be found for the merchant.")
        return ApiResponse(body=found)

    def _own_disputes(self, call: Call) -> Iterable[Json]:
        return (body for body in self._disputes.all() if self._checkout(call, body["order"]) is not None)

    # --- look-up ---

    def _is_open(self, checkout: Checkout) -> bool:
        return checkout.is_valid(self.now) and checkout.token not in self._by_token

    def _checkout(self, call: Call, token: str) -> Checkout | None:
        checkout = self.checkouts.get(token)
        is_own = checkout is not None and checkout.merchant.id == _merchant(call).id
        return checkout if is_own else None

    def _payment(self, call: Call) -> Payment:
        payment = self.payments.get(call.ids["order_id"])
        if payment is None or payment.checkout.merchant.id != _merchant(call).id:
            raise not_found("Cannot find an order with that id.")
        return payment

    def _payment_of(self, call: Call, token: str) -> Payment:
        payment = self._by_token.get(token)
        if payment is None or payment.checkout.merchant.id != _merchant(call).id:
            raise not_found("Cannot find an order with that token.")
        return payment


def _merchant(call: Call) -> Merchant:
    merchant, secret = call.credentials
    return Merchant(merchant, secret, REGIONS.get(re.split(r"[-_.]", merchant)[-1], REGIONS["us"]))


def _token(call: Call) -> str:
    token = call.body.get("token")
    if not token or not isinstance(token, str):
        raise invalid("token must not be empty")
    return token


def _idempotency_key(call: Call, key: Any) -> tuple[Any, ...] | None:
    """Return the identity of a request: merchant, operation, order and request id; None without an id."""
    return (_merchant(call).id, request.endpoint, call.ids.get("order_id"), key) if key else None


def _is_uuid(text: Any) -> bool:
    try:
        return str(uuid.UUID(str(text))) == str(text).lower()
    except ValueError:
        return False


def _matches(body: Json, wanted: dict[str, set[str]]) -> bool:
    fields = {"ids": "id", "tokens": "token", "merchantReferences": "merchantReference", "statuses": "status"}
    return all(body.get(fields[name]) in values for name, values in wanted.items() if values)
