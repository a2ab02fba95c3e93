"""The application under test: requests with API keys, a worker on demand, the database's rows to compare."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Engine, func, literal, select, union_all
from werkzeug.test import TestResponse

from domain.routing import Router
from domain.state_machine import Policy
from gateways.manual.gateway import ManualGateway
from gateways.stripe.gateway import StripeGateway
from models.api_keys import Role, create_key, hash_key, revoke_key
from models.clock import Clock
from models.migrate import metadata
from models.session import make_engine, read, transact
from models.tables import api_keys
from models.task_messages import CAPTURE_VOID_REFUND, CHARGE, TaskMessage
from runtime import Runtime
from runtime.leases import LeaseKeeper
from sandbox.server import RunningSandbox
from tasks.execute import execute_attempt
from tests.patience import patient
from webhooks.app import PREFIX, create_app
from webhooks.context import WebContext

SECRET_KEY = "sk_test_sandbox_canary"
WEBHOOK_SECRETS = ("whsec_canary_new", "whsec_canary_old")
PROBLEM = "application/problem+json"
ROLES = {"shop": Role.APP, "other": Role.APP, "operator": Role.OPERATOR, "admin": Role.ADMIN}


@dataclass
class Edge:
    """One application on one database. Callers are named `shop`, `other`, `operator`, `admin`, `revoked`."""

    engine: Engine
    sandbox: RunningSandbox
    messages: list[TaskMessage] = field(default_factory=list)
    keys: dict[str, str] = field(default_factory=dict)
    is_worker_up: bool = False
    broker_error: Exception | None = None

    def __post_init__(self) -> None:
        gateway = StripeGateway(SECRET_KEY, WEBHOOK_SECRETS, self.sandbox.url, read_seconds=patient(1))
        self.clock = Clock(self.engine)
        self.runtime = Runtime(
            engine=self.engine,
            clock=self.clock,
            gateways=(gateways := {"stripe": gateway, "manual": ManualGateway()}),
            router=Router(gateways),
            policy=Policy(),
            leases=LeaseKeeper(self.engine, self.clock),
            publish=self._publish,
        )
        context = WebContext(self.runtime, self._check_broker, publishable_key="pk_test_shown")
        self.client = create_app(context).test_client()

    @classmethod
    def on(cls, url: str, sandbox: RunningSandbox) -> Edge:
        """Return an application on a migrated database, with a key for each caller."""
        edge = cls(make_engine(url), sandbox)
        now = edge.now()
        for name, role in (ROLES | {"revoked": Role.APP}).items():
            edge.keys[name] = transact(
                edge.engine, lambda connection, role=role, name=name: create_key(connection, role, name, "test", now)
            )
        edge.revoke("revoked")
        return edge

    def now(self) -> datetime:
        """Return the application's time."""
        return self.clock.now()

    def revoke(self, name: str) -> None:
        """End a caller's key."""
        its_id = select(api_keys.c.id).where(api_keys.c.hash == hash_key(self.keys[name]))
        now = self.now()
        transact(self.engine, lambda connection: revoke_key(connection, connection.scalar(its_id), "test", now))

    def call(
        self, method: str, path: str, body: Any = None, *, caller: str | None = "shop", **headers: str
    ) -> TestResponse:
        """Send a request; `body` is JSON unless it is text or bytes already. Header names with underscores."""
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if caller is not None:
            sent["Authorization"] = f"Bearer {self.keys[caller]}"
        data = body if body is None or isinstance(body, str | bytes) else json.dumps(body)
        url = path if path.startswith("//") else PREFIX + path
        return self.client.open(url.replace("//", "/"), method=method, data=data, headers=sent)

    def post(self, path: str, body: Any = None, **how: Any) -> TestResponse:
        """Send a POST."""
        return self.call("POST", path, body, **how)

    def get(self, path: str, **how: Any) -> TestResponse:
        """Send a GET."""
        return self.call("GET", path, **how)

    def pay(self, **changes: Any) -> TestResponse:
        """Ask for a payment; what is not a field of the body is a header or the caller."""
        how = {name: changes.pop(name) for name in ("caller", "Idempotency_Key", "Prefer") if name in changes}
        return self.post("/process", payment(**changes), **how)

    def paid(self, **changes: Any) -> dict[str, Any]:
        """Return a payment that a worker has brought to rest."""
        response = self.pay(**changes)
        assert response.status_code == 202, response.text
        self.work()
        return self.shown(response.json["id"])

    def shown(self, payment_id: str) -> dict[str, Any]:
        """Return a payment as an operator sees it."""
        response = self.get(f"/{payment_id}", caller="operator")
        assert response.status_code == 200, response.text
        return response.json

    def work(self) -> None:
        """Be the worker: carry out what was rung, and nothing else."""
        messages, self.messages[:] = list(self.messages), []
        for publish in messages:
            self._carry_out(publish)

    def rows(self) -> dict[str, int]:
        """Return how many rows each table has."""
        counts = [select(literal(table.name), func.count()).select_from(table) for table in metadata.sorted_tables]
        return dict(self.found(union_all(*counts)))

    def dump(self) -> str:
        """Return everything that is stored, as text."""
        return "\n".join(str(tuple(row)) for table in metadata.sorted_tables for row in self.found(select(table)))

    def found(self, query: Any) -> list[Any]:
        """Return the rows of a query."""
        return read(self.engine, lambda connection: list(connection.execute(query)))

    def _publish(self, messages: Iterable[TaskMessage]) -> None:
        for publish in messages:
            if self.is_worker_up:
                self._carry_out(publish)
            else:
                self.messages.append(publish)

    def _carry_out(self, publish: TaskMessage) -> None:
        if publish.task == CHARGE:
            execute_attempt(
                self.runtime,
                publish.row_id,
                "charge",
                lambda gateway, order, save_reference: gateway.charge(order, save_reference),
            )
        elif publish.task == CAPTURE_VOID_REFUND:
            execute_attempt(
                self.runtime,
                publish.row_id,
                "operation",
                lambda gateway, order, _: getattr(gateway, order.verb)(order),
            )

    def _check_broker(self) -> None:
        if self.broker_error is not None:
            raise self.broker_error


def unique(what: str) -> str:
    """Return an id that no other test uses."""
    return f"{what}-{secrets.token_hex(6)}"


def payment(**changes: Any) -> dict[str, Any]:
    """Return a good body for /process; a change to ... leaves the field out."""
    body = {
        "invoice_id": unique("inv"),
        "user_id": unique("user"),
        "amount": "12.30",
        "currency": "EUR",
        "payment_method": "credit_card",
        "payment_method_token": "pm_card_visa",
    }
    return {name: value for name, value in (body | changes).items() if value is not ...}


def assert_problem(response: TestResponse, status: int, kind: str) -> str:
    """Check that the answer is a problem of that status and type; return its sentence."""
    assert (response.status_code, response.content_type) == (status, PROBLEM), response.text
    body = response.json
    assert (body["status"], body["type"]) == (status, kind), body
    assert body["title"]
    assert len(body["detail"].split()) > 1, body
    return body["detail"]
