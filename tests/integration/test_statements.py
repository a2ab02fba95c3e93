"""What one successful card payment costs the database, from accept to rest, its webhook included.

The numbers are exact: whoever adds a statement or a commit to the hot path has to come here and justify it.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
import requests
from sqlalchemy import Connection, Engine, event

from domain.routing import Router
from domain.state_machine import Policy
from gateways.stripe.gateway import StripeGateway
from models.api_keys import Role, create_key
from models.clock import Clock
from models.session import make_engine, transact
from models.task_messages import CHARGE, WEBHOOK, TaskMessage
from runtime import Runtime
from runtime.leases import LeaseKeeper
from sandbox.server import RunningSandbox
from sandbox.stripe.events import signature
from tests.acceptance.harness import HTTP_SECONDS
from webhooks.app import PREFIX, create_app
from webhooks.context import WebContext
from worker.celery import app

pytestmark = pytest.mark.postgres
SECRET_KEY = "sk_test_sandbox_statements"
WEBHOOK_SECRET = "whsec_statements"
BODY = {
    "invoice_id": "inv_1",
    "user_id": "user_1",
    "amount": "12.30",
    "currency": "EUR",
    "payment_method": "credit_card",
    "payment_method_token": "pm_card_visa",
}


@dataclass
class Stage:
    """What the database was asked for meanwhile."""

    statements: list[tuple[str, Any]] = field(default_factory=list)
    commits: int = 0

    @property
    def summary(self) -> list[str]:
        """The statements in short, such as `UPDATE attempts`."""
        return [_shorten(statement) for statement, _ in self.statements]


class Counter:
    """Listens to an engine; every statement belongs to the stage that runs at the time."""

    def __init__(self, engine: Engine) -> None:
        self._stage = Stage()
        event.listen(engine, "before_cursor_execute", self._on_statement)
        event.listen(engine, "commit", self._on_commit)

    @contextmanager
    def stage(self) -> Iterator[Stage]:
        """Count what happens inside."""
        self._stage = Stage()
        yield self._stage
        self._stage = Stage()

    def _on_statement(
        self, _connection: Connection, _cursor: Any, statement: str, parameters: Any, _context: Any, _many: bool
    ) -> None:
        self._stage.statements.append((statement, parameters))

    def _on_commit(self, _connection: Connection) -> None:
        self._stage.commits += 1


@dataclass
class House:
    """The HTTP edge and the tasks in this process, on PostgreSQL and a sandbox in a thread."""

    engine: Engine
    sandbox: RunningSandbox
    runtime: Runtime
    messages: list[TaskMessage]
    api_key: str

    def __post_init__(self) -> None:
        context = WebContext(self.runtime, check_broker=lambda: None)
        self.client = create_app(context).test_client()

    def process(self) -> None:
        """Send the payment."""
        headers = {"Authorization": f"Bearer {self.api_key}", "Idempotency-Key": "order-1"}
        response = self.client.post(f"{PREFIX}/process", json=BODY, headers=headers)
        assert response.status_code == 202, response.text

    def work(self, task: str) -> None:
        """Carry out the one message that was published."""
        [message] = self.messages
        self.messages.clear()
        assert message.task == task
        app.tasks[task](message.row_id)

    def sent_event(self, event_type: str) -> bytes:
        """Return the body of the one event of a type that the provider has written."""
        params = {"type": event_type}
        url = f"{self.sandbox.url}/v1/events"
        response = requests.get(url, params=params, auth=(SECRET_KEY, ""), timeout=HTTP_SECONDS)
        [found] = response.json()["data"]
        return json.dumps(found).encode()

    def deliver(self, body: bytes) -> None:
        """Deliver a webhook."""
        headers = {"Stripe-Signature": signature(body, WEBHOOK_SECRET, int(time.time()))}
        response = self.client.post(f"{PREFIX}/webhooks/stripe", data=body, headers=headers)
        assert response.status_code == 200, response.text


@pytest.fixture
def house(postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[House]:
    engine = make_engine(postgres_url)
    with RunningSandbox() as sandbox:
        messages: list[TaskMessage] = []
        clock = Clock(engine)
        runtime = Runtime(
            engine=engine,
            clock=clock,
            gateways=(gateways := {"stripe": StripeGateway(SECRET_KEY, (WEBHOOK_SECRET,), sandbox.url)}),
            router=Router(gateways),
            policy=Policy(),
            leases=LeaseKeeper(engine, clock),
            publish=messages.extend,
        )
        monkeypatch.setattr(app, "runtime", lambda: runtime)
        now = clock.now()
        api_key = transact(engine, create_key, Role.APP, "shop", "test", now)
        yield House(engine, sandbox, runtime, messages, api_key)
    engine.dispose()


# The key's look-up reads outside of the transaction; the guard against repetition comes first inside it.
ACCEPT = [
    "SELECT api_keys",
    "INSERT idempotency_keys",
    "INSERT invoices",
    "INSERT payments",
    "INSERT attempts",
    "INSERT events",
]
# Score and claim in the first commit, the provider's id in the second, the settlement in the third.
CHARGED = [
    "SELECT attempts FOR UPDATE",
    "SELECT payments",
    "INSERT assessments",
    "UPDATE attempts",
    "UPDATE payments",
    "INSERT events",
    "UPDATE attempts",
    "SELECT attempts FOR UPDATE",
    "UPDATE attempts",
    "UPDATE payments",
    "INSERT events",
]
RECEIVED = ["INSERT webhook_events"]
# It tells nothing new: the attempt is found by its reference, a capture or void of it is looked for, both locked.
APPLIED = [
    "SELECT webhook_events FOR UPDATE",
    "SELECT attempts",
    "SELECT attempts",
    "SELECT attempts FOR UPDATE",
    "UPDATE webhook_events",
]


def test_every_statement_and_commit_of_a_card_payment_is_counted(house: House) -> None:
    stages = _carry_out(house)

    assert [stage.summary for stage in stages] == [ACCEPT, CHARGED, RECEIVED, APPLIED]
    assert [stage.commits for stage in stages] == [1, 3, 1, 1]


def test_an_index_serves_every_query_of_the_hot_path(house: House) -> None:
    for stage in _carry_out(house):
        for statement, parameters in stage.statements:
            _assert_served_by_an_index(house.engine, statement, parameters)


def _carry_out(house: House) -> list[Stage]:
    """Carry out one payment; return accept, charge, receipt of its webhook, and its application."""
    counter = Counter(house.engine)
    with counter.stage() as accept:
        house.process()
    with counter.stage() as charge:
        house.work(CHARGE)
    body = house.sent_event("payment_intent.succeeded")
    with counter.stage() as receive:
        house.deliver(body)
    with counter.stage() as apply:
        house.work(WEBHOOK)
    return [accept, charge, receive, apply]


def _shorten(statement: str) -> str:
    words = statement.split()
    match words[0]:
        case "SELECT":
            lock = " FOR UPDATE" if "FOR UPDATE" in statement else ""
            return f"SELECT {words[words.index('FROM') + 1]}{lock}"
        case "INSERT":
            return f"INSERT {words[2]}"
        case verb:
            return f"{verb} {words[1]}"


def _assert_served_by_an_index(engine: Engine, statement: str, parameters: Any) -> None:
    with engine.connect() as connection:
        # The tables are nearly empty: without this PostgreSQL would rightly read them whole.
        connection.exec_driver_sql("SET LOCAL enable_seqscan = off")
        explained = connection.exec_driver_sql(f"EXPLAIN (FORMAT JSON) {statement}", parameters)
        for node in _nodes(explained.scalar_one()[0]["Plan"]):
            is_scan = node["Node Type"].endswith("Scan") and node["Node Type"] != "Bitmap Heap Scan"
            assert not is_scan or "Index Cond" in node, f"{node['Node Type']} in {statement}"


def _nodes(plan: dict[str, Any]) -> Iterable[dict[str, Any]]:
    yield plan
    for child in plan.get("Plans", ()):
        yield from _nodes(child)
