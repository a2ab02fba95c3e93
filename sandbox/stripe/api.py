"""The path of a request through Stripe: API key, parameters, idempotency, faults, execution, response.

The order is Stripe's. A refusal before execution (401, 429, validation, a key in use) is never stored under the
idempotency key; every response after execution is (https://docs.stripe.com/api/idempotent_requests).
"""

from __future__ import annotations

import base64
import binascii
import json
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from flask import Flask, Response, request

from sandbox import ledger
from sandbox.dashboard import Action
from sandbox.faults import Fault
from sandbox.state import Sandbox
from sandbox.stripe import API_VERSION, control, dashboard, pages, params
from sandbox.stripe.account import PROVIDER, Account
from sandbox.stripe.errors import (
    InvalidRequest,
    Json,
    StripeError,
    rate_limited,
    server_error,
    unauthenticated,
)
from sandbox.stripe.events import Cause
from sandbox.stripe.idempotency import IdempotencyKeys, StoredResponse
from sandbox.stripe.ids import new_id
from sandbox.stripe.listing import expand_ids, fingerprint
from sandbox.stripe.operation import Call, Operation
from sandbox.stripe.operations import OPERATIONS

TEST_KEY_PREFIXES = ("sk_test_", "rk_test_")


@dataclass(frozen=True)
class IncomingRequest:
    """One request before its parameters are validated."""

    operation: Operation
    ids: Mapping[str, str]
    raw: Mapping[str, Any]
    cause: Cause
    base_url: str


class Stripe:
    """The simulated Stripe account behind its HTTP API, which lies at the root as in the official client's base URL."""

    provider = PROVIDER
    prefix = ""

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox
        self.account = Account(sandbox)
        self._keys = IdempotencyKeys(sandbox.clock.now)
        if sandbox.settings.webhook_url is not None:
            self.account.log.add_endpoint(sandbox.settings.webhook_url, ["*"], secret=sandbox.settings.webhook_secret)

    def register(self, app: Flask) -> None:
        """Add the route of every operation, and Stripe's own 404 for every other path below /v1."""
        for operation in OPERATIONS:
            app.add_url_rule(operation.rule, operation.name, self._view(operation), methods=[operation.method])
        app.add_url_rule(
            "/v1/<path:rest>",
            "stripe.unknown",
            self._unknown,
            methods=["GET", "POST", "DELETE", "PUT", "PATCH"],
        )

        app.register_blueprint(control.blueprint(self.account))
        app.register_blueprint(pages.blueprint(self.account))

    def operation_names(self) -> Iterator[str]:
        """Yield the names by which faults address the operations: those of the official package."""
        return (operation.name for operation in OPERATIONS)

    def accounts(self) -> Iterator[ledger.Account]:
        """Yield every intent with its present status."""
        for intent in self.account.intents.values():
            body = intent.body
            yield ledger.Account(body["id"], PROVIDER, body["currency"], body["metadata"], body["status"])

    def endpoints(self) -> Iterator[Json]:
        """Yield the webhook endpoints, without their secrets."""
        for endpoint in self.account.log.endpoints.values():
            yield {
                "provider": PROVIDER,
                "id": endpoint.body["id"],
                "url": endpoint.body["url"],
                "enabled_events": endpoint.body["enabled_events"],
            }

    def dashboard(self) -> Mapping[str, Action]:
        """Return what a person does on the provider's website."""
        return dashboard.actions(self.account)

    def _view(self, operation: Operation) -> Callable[..., Response]:
        def view(**ids: str) -> Response:
            return self._serve(operation, ids)

        return view

    def _unknown(self, rest: str) -> Response:
        refusal = InvalidRequest(
            f"Unrecognized request URL ({request.method}: {request.path}). If you are trying to "
            "list objects, remove the trailing slash. If you are trying to retrieve an object, "
            "make sure you passed a valid (non-empty) identifier in your code.",
            status=404,
        )
        request_id = new_id("req_")
        return _response(_refusal_response(refusal, request_id), request_id)

    def _serve(self, operation: Operation, ids: Mapping[str, str]) -> Response:
        request_id = new_id("req_")
        try:
            response = self._process(operation, ids, request_id)
        except StripeError as refusal:
            response = _refusal_response(refusal, request_id)
        return _response(response, request_id)

    def _process(self, operation: Operation, ids: Mapping[str, str], request_id: str) -> StoredResponse:
        _authenticate(request.headers.get("Authorization", ""))
        raw = _raw_parameters()
        key = request.headers.get("Idempotency-Key") if request.method == "POST" else None
        incoming = IncomingRequest(operation, ids, raw, Cause(request_id, key), request.host_url.rstrip("/"))
        with self._sandbox.lock:
            stored = self._keys.begin(key, fingerprint(request.method, request.path, raw))
            # A stored response is final: no later failure replaces it.
            fault = self._sandbox.faults.take(operation.name, without={"error_after", "error_stored"} if stored else ())
        try:
            self._pause(fault)
            _fail_before(fault)
            response = stored or self._execute(incoming, fault)
        finally:
            # A fault or a refusal before execution must not leave the key in use for ever.
            with self._sandbox.lock:
                self._keys.release(key)
        if fault is not None:
            fault.drop_response("after")
        return response

    def _pause(self, fault: Fault | None) -> None:
        time.sleep(self._sandbox.settings.latency_seconds)
        if fault is not None:
            fault.delay()

    def _execute(self, incoming: IncomingRequest, fault: Fault | None) -> StoredResponse:
        operation, cause = incoming.operation, incoming.cause
        parameters = params.read(operation.fields, incoming.raw, required=operation.required)
        operation.check(parameters)
        with self._sandbox.lock:
            self._sandbox.scheduler.run_due()
            if fault is not None and fault.fault == "error_stored":
                return self._store_failure(cause)
            try:
                body = operation.run(self.account, Call(incoming.ids, parameters, cause, incoming.base_url))
                body = expand_ids(body, parameters.get("expand", []), self.account.find)
                response = StoredResponse(200, json.dumps(body).encode(), str(cause.request_id))
            except StripeError as refusal:
                if not refusal.is_stored:
                    raise
                response = _refusal_response(refusal, str(cause.request_id))
            if fault is not None and fault.fault == "error_after":
                return self._store_failure(cause)
            self._keys.finish(cause.idempotency_key, response)
        return response

    def _store_failure(self, cause: Cause) -> StoredResponse:
        response = _refusal_response(server_error(), str(cause.request_id))
        self._keys.finish(cause.idempotency_key, response)
        return response


def _fail_before(fault: Fault | None) -> None:
    if fault is None:
        return
    fault.drop_response("before")
    if fault.fault == "rate_limit":
        raise rate_limited()
    if fault.fault == "error_before":
        raise server_error()


def _raw_parameters() -> dict[str, Any]:
    encoded = request.query_string.decode() if request.method == "GET" else request.get_data(as_text=True)
    return params.decode(encoded)


def _authenticate(header: str) -> None:
    scheme, _, credentials = header.partition(" ")
    key = _basic_user(credentials) if scheme.lower() == "basic" else credentials.strip()
    if not key:
        raise unauthenticated(
            "You did not provide an API key. You need to provide your API key in the Authorization "
            "header, using Bearer auth (e.g. 'Authorization: Bearer YOUR_SECRET_KEY')."
        )
    if not key.startswith(TEST_KEY_PREFIXES) or key in TEST_KEY_PREFIXES:
        raise unauthenticated("Invalid API Key provided.")


def _basic_user(credentials: str) -> str:
    try:
        return base64.b64decode(credentials, validate=True).decode().partition(":")[0]
    except (binascii.Error, UnicodeDecodeError):
        return ""


def _refusal_response(refusal: StripeError, request_id: str) -> StoredResponse:
    return StoredResponse(
        refusal.status, json.dumps(refusal.body()).encode(), request_id, tuple(refusal.headers.items())
    )


def _response(stored: StoredResponse, request_id: str) -> Response:
    response = Response(stored.body, stored.status, content_type="application/json")
    response.headers["Request-Id"] = request_id
    response.headers["Stripe-Version"] = request.headers.get("Stripe-Version", API_VERSION)
    key = request.headers.get("Idempotency-Key")
    if key is not None and request.method == "POST":
        response.headers["Idempotency-Key"] = key
    if stored.original != request_id:
        response.headers["Original-Request"] = stored.original
        response.headers["Idempotent-Replayed"] = "true"
    response.headers.extend(stored.headers)
    return response
