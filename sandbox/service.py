"""The path of a JSON request through a simulated provider: authentication, faults, execution, response.

A provider overrides the methods of `Service` and lists its operations in a table. Its states, idempotency and events
stay in its own package. Stripe takes forms instead of JSON and has its own request path in `sandbox.stripe.api`.
"""

from __future__ import annotations

import json
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from flask import Flask, Response, request
from werkzeug.datastructures import Authorization

from sandbox import ledger
from sandbox.faults import Fault
from sandbox.state import Sandbox

Json = dict[str, Any]


# Klarna keeps a key for 24 hours and Afterpay for a day [docs]; whether a kept response may be a failure is unverified.
STORED_FAILURE_SECONDS = 24 * 3600.0


class Refusal(Exception):
    """A response other than success, in the provider's own format."""

    def __init__(self, status: int, body: Any, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(str(status))
        self.status = status
        self.body = body
        self.headers = dict(headers or {})


@dataclass(frozen=True)
class ApiResponse:
    """The successful response of an operation; a `body` of None is sent as an empty body."""

    status: int = 200
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Call:
    """One request to an operation: the ids of its path, its JSON body, its query, its headers in Title-Case.

    `base_url`: the URL under which the caller reaches this provider, for the links in responses.
    """

    ids: Mapping[str, str]
    body: Json
    query: Mapping[str, str]
    headers: Mapping[str, str]
    base_url: str

    @property
    def credentials(self) -> tuple[str, str]:
        """Return the user and the password of Basic authentication, both empty without it."""
        header = Authorization.from_header(self.headers.get("Authorization"))
        return (header.username or "", header.password or "") if header and header.type == "basic" else ("", "")


def are_sandbox_credentials(*credentials: str) -> bool:
    """Tell whether all credentials contain "sandbox". Real ones do not, so the sandbox never accepts them."""
    return all("sandbox" in part for part in credentials)


@dataclass(frozen=True)
class Operation:
    """One route below the provider's prefix. Faults name it `<provider>.<name>`. A public one needs no credentials."""

    name: str
    method: str
    rule: str
    run: Callable[[Call], ApiResponse]
    is_public: bool = False


class Service(ABC):
    """A provider with a JSON API. `provider` is its name in the ledger."""

    provider = ""

    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox
        # The keys under which a failure is stored, and until when.
        self._stored_failures: dict[Hashable, float] = {}

    # --- what each provider defines ---

    @abstractmethod
    def operations(self) -> Iterable[Operation]:
        """Return the operations, in the order of the provider's documents."""

    @abstractmethod
    def authenticate(self, call: Call) -> None:
        """Raise a Refusal unless the credentials are valid. Public operations skip this check."""

    def server_error(self) -> Refusal:
        """Return the provider's 500."""
        return Refusal(500, {"message": "internal error"})

    def rate_limited(self) -> Refusal:
        """Return the provider's 429."""
        return Refusal(429, {"message": "too many requests"})

    def malformed(self) -> Refusal:
        """Return the refusal for a body that is not a JSON object."""
        return Refusal(400, {"message": "malformed JSON"})

    def idempotency_key(self, call: Call) -> Hashable | None:
        """Return the key under which the provider may store the response of a call; None if it stores none."""
        return None

    def accounts(self) -> Iterable[ledger.Account]:
        """Yield every payment with its present status."""
        return ()

    def endpoints(self) -> Iterable[Json]:
        """Yield the webhook endpoints, without their secrets."""
        return ()

    def dashboard(self) -> Mapping[str, Callable[[str, int | None], str | None]]:
        """Return what a person does on the provider's website; see `sandbox.dashboard`."""
        return {}

    # --- what all providers share ---

    @property
    def prefix(self) -> str:
        """Return the path below which the provider's API lies."""
        return f"/{self.provider}"

    @property
    def now(self) -> float:
        """Return the time by the sandbox's clock."""
        return self.sandbox.clock.now()

    def operation_names(self) -> Iterator[str]:
        """Yield the names by which faults address the operations."""
        return (f"{self.provider}.{operation.name}" for operation in self.operations())

    def register(self, app: Flask) -> None:
        """Add the provider's routes."""
        for operation in self.operations():
            app.add_url_rule(
                self.prefix + operation.rule,
                f"{self.provider}.{operation.name}",
                self._view(operation),
                methods=[operation.method],
            )

    def _view(self, operation: Operation) -> Callable[..., Response]:
        def view(**ids: str) -> Response:
            try:
                return _flask_response(self._serve(operation, ids))
            except Refusal as refusal:
                return _flask_response(ApiResponse(refusal.status, refusal.body, refusal.headers))

        return view

    def _serve(self, operation: Operation, ids: Mapping[str, str]) -> ApiResponse:
        call = self._call(ids)
        if not operation.is_public:
            self.authenticate(call)
        with self.sandbox.lock:
            fault = self.sandbox.faults.take(f"{self.provider}.{operation.name}")
        self._pause(fault)
        self._fail_before(fault, (operation.name, self.idempotency_key(call)))
        response = self._execute(operation, call)
        if fault is not None:
            fault.drop_response("after")
            if fault.fault == "error_after":
                raise self.server_error()
        return response

    def _call(self, ids: Mapping[str, str]) -> Call:
        body = request.get_json(silent=True, force=True) if request.get_data() else {}
        if not isinstance(body, dict):
            if request.mimetype == "application/x-www-form-urlencoded":
                body = request.form.to_dict()
            else:
                raise self.malformed()
        base_url = request.host_url.rstrip("/") + self.prefix
        return Call(ids, body, request.args.to_dict(), dict(request.headers), base_url)

    def _pause(self, fault: Fault | None) -> None:
        time.sleep(self.sandbox.settings.latency_seconds)
        if fault is not None:
            fault.delay()

    def _fail_before(self, fault: Fault | None, key: tuple[str, Hashable | None]) -> None:
        if self.now < self._stored_failures.get(key, 0.0):
            raise self.server_error()
        if fault is None:
            return
        fault.drop_response("before")
        if fault.fault == "rate_limit":
            raise self.rate_limited()
        if fault.fault == "error_stored" and key[1] is not None:
            self._stored_failures[key] = self.now + STORED_FAILURE_SECONDS
        if fault.fault in ("error_before", "error_stored"):
            raise self.server_error()

    def _execute(self, operation: Operation, call: Call) -> ApiResponse:
        with self.sandbox.lock:
            self.sandbox.scheduler.run_due()
            try:
                response = operation.run(call)
            except Refusal as refusal:
                response = ApiResponse(refusal.status, refusal.body, refusal.headers)
            # Copied under the lock: another request may change the object before the response is written.
            return ApiResponse(response.status, json.loads(json.dumps(response.body)), response.headers)


def _flask_response(result: ApiResponse) -> Response:
    body = b"" if result.body is None else json.dumps(result.body).encode()
    response = Response(body, result.status, content_type="application/json" if body else None)
    for name, value in result.headers.items():
        response.headers[name] = value
    return response
