"""Owns the way of a JSON request through an imitated provider: authentication, faults, execution, answer.

A provider describes its manners by overriding the methods of `Service` and its operations by a table; what is its
own (states, idempotency, events) stays in its own package. Stripe, which speaks forms, has a way of its own.
"""

from __future__ import annotations

import json
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from flask import Flask, Response, request
from werkzeug.datastructures import Authorization

from sandbox import ledger
from sandbox.faults import Fault
from sandbox.state import Sandbox

Json = dict[str, Any]


class Refusal(Exception):
    """An answer other than success, in the provider's own shape."""

    def __init__(self, status: int, body: Any, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(str(status))
        self.status = status
        self.body = body
        self.headers = dict(headers or {})


@dataclass(frozen=True)
class Answer:
    """What an operation answers; `body` None is an empty one."""

    status: int = 200
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Call:
    """One request to an operation: the ids of its path, its JSON body, its query, its headers in Title-Case.

    `base_url`: the address under which the caller reaches this provider, for links in answers."""

    ids: Mapping[str, str]
    body: Json
    query: Mapping[str, str]
    headers: Mapping[str, str]
    base_url: str

    @property
    def credentials(self) -> tuple[str, str]:
        """User and password of Basic authentication; empty where there is none."""
        given = Authorization.from_header(self.headers.get("Authorization"))
        return (given.username or "", given.password or "") if given and given.type == "basic" else ("", "")


def is_imitated(*credentials: str) -> bool:
    """Tell whether credentials are an imitation's. They say what they are, so that real ones are never taken."""
    return all("sandbox" in part for part in credentials)


@dataclass(frozen=True)
class Operation:
    """One route below the provider's prefix. Faults know it as `<provider>.<name>`."""

    name: str
    method: str
    rule: str
    run: Callable[[Call], Answer]
    is_open: bool = False


class Service(ABC):
    """A provider that speaks JSON. `provider` is its name in the books, `prefix` the path it lives below."""

    provider = ""

    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox

    # --- what a provider says in its own way ---

    @abstractmethod
    def operations(self) -> Iterable[Operation]:
        """Return the operations, in the order of the provider's documents."""

    @abstractmethod
    def authenticate(self, call: Call) -> None:
        """Raise the refusal of a request without good credentials. Not asked for operations that are open."""

    def server_error(self) -> Refusal:
        """Return the provider's 500."""
        return Refusal(500, {"message": "internal error"})

    def rate_limited(self) -> Refusal:
        """Return the provider's 429."""
        return Refusal(429, {"message": "too many requests"})

    def malformed(self) -> Refusal:
        """Return the refusal of a body that is not a JSON object."""
        return Refusal(400, {"message": "malformed JSON"})

    def accounts(self) -> Iterable[ledger.Account]:
        """Yield every payment as the provider shows it now."""
        return ()

    def endpoints(self) -> Iterable[Json]:
        """Yield the webhook endpoints, without their secrets."""
        return ()

    # --- what is the same everywhere ---

    @property
    def prefix(self) -> str:
        """Return the path that the provider lives below."""
        return f"/{self.provider}"

    @property
    def now(self) -> float:
        """Return the time by the sandbox's clock."""
        return self.sandbox.clock.now()

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
                return _response(self._serve(operation, ids))
            except Refusal as refusal:
                return _response(Answer(refusal.status, refusal.body, refusal.headers))

        return view

    def _serve(self, operation: Operation, ids: Mapping[str, str]) -> Answer:
        call = self._call(ids)
        if not operation.is_open:
            self.authenticate(call)
        with self.sandbox.lock:
            fault = self.sandbox.faults.draw(f"{self.provider}.{operation.name}")
        self._pause(fault)
        self._fail_before(fault)
        answer = self._execute(operation, call)
        if fault is not None:
            fault.lose_answer("after")
            if fault.fault == "error_after":
                raise self.server_error()
        return answer

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

    def _fail_before(self, fault: Fault | None) -> None:
        if fault is None:
            return
        fault.lose_answer("before")
        if fault.fault == "rate_limit":
            raise self.rate_limited()
        if fault.fault == "error_before":
            raise self.server_error()

    def _execute(self, operation: Operation, call: Call) -> Answer:
        with self.sandbox.lock:
            self.sandbox.agenda.run_due()
            try:
                answer = operation.run(call)
            except Refusal as refusal:
                answer = Answer(refusal.status, refusal.body, refusal.headers)
            # Rendered under the lock: another request may change the object in the next moment.
            return Answer(answer.status, json.loads(json.dumps(answer.body)), answer.headers)


def _response(answer: Answer) -> Response:
    body = b"" if answer.body is None else json.dumps(answer.body).encode()
    response = Response(body, answer.status, content_type="application/json" if body else None)
    for name, value in answer.headers.items():
        response.headers[name] = value
    return response
