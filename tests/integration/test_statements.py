"""What one successful card payment costs the database, from its acceptance to its last webhook; and what it costs to
read what a subscription entitles to.

The numbers are exact: a change that adds a statement or a commit to the hot path has to justify it here.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, event, func, select, text

from models.session import make_engine, read
from models.tables import payments
from models.task_messages import CHARGE, WEBHOOK
from tests.system import INSUFFICIENT_FUNDS, System, payment_request

pytestmark = pytest.mark.postgres


@dataclass
class Stage:
    """The statements and commits of one stage."""

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

    def _on_commit(self, connection: Connection) -> None:
        # What only reads writes nothing when it commits.
        self._stage.commits += not connection.get_execution_options().get("is_reading", False)


# The key's look-up reads outside of the transaction; the guard against repetition comes first inside it.
ACCEPT = [
    "SELECT api_keys",
    "INSERT idempotency_keys",
    "INSERT invoices",
    "INSERT payments",
    "INSERT attempts",
    "INSERT events",
]
# What is known of the payment is read before anything is locked. Score, slots, try and claim in the first commit, the
# provider's id in the second, the settlement in the third.
CHARGED = [
    "SELECT payments",
    "SET LOCAL",
    "SELECT fraud_lists",
    "SELECT fraud_entities",
    "SELECT attempts FOR UPDATE",
    "SELECT fraud_brakes",
    "INSERT fraud_limits",
    "SELECT fraud_reservations",
    "INSERT fraud_reservations",
    "INSERT fraud_assessments",
    "INSERT fraud_signals",
    "INSERT fraud_entities, fraud_links, fraud_counters",
    "UPDATE attempts",
    "UPDATE payments",
    "INSERT events",
    "UPDATE attempts",
    "SELECT attempts FOR UPDATE",
    "UPDATE attempts",
    "UPDATE payments",
    "INSERT events",
    "INSERT movements",
    "UPDATE fraud_reservations",
]
RECEIVED = ["INSERT webhook_events"]
# It is no news: the attempt is found by its reference, a capture or void of it is searched for, and both are locked.
APPLIED = [
    "SELECT webhook_events FOR UPDATE",
    "SELECT attempts",
    "SELECT attempts",
    "SELECT attempts FOR UPDATE",
    "UPDATE webhook_events",
]


def test_every_statement_and_commit_of_a_card_payment_is_counted(system: System) -> None:
    system.screen_by()
    stages = _carry_out(system)

    assert [stage.summary for stage in stages] == [ACCEPT, CHARGED, RECEIVED, APPLIED]
    assert [stage.commits for stage in stages] == [1, 3, 1, 1]


def test_an_index_serves_every_query_of_the_hot_path(system: System) -> None:
    for stage in _carry_out(system):
        for statement, parameters in stage.statements:
            _assert_served_by_an_index(system.engine, statement, parameters)


@pytest.fixture(autouse=True)
def rule_sets_are_known(system: System, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process reads the rule sets in use every few seconds, however many payments there are."""
    monkeypatch.setattr("runtime.rule_sets.READ_EVERY_SECONDS", math.inf)
    system.runtime.read(system.runtime.rule_sets.get, system.runtime.policy.fraud.rule_set)


# Their rows come from the nodes below them.
READ_OF_ANOTHER_NODE = ("Bitmap Heap Scan", "Subquery Scan")


@pytest.fixture
def engine(postgres_url: str) -> Iterator[Engine]:
    """An engine of a process that has executed nothing yet."""
    engine = make_engine(postgres_url)
    yield engine
    engine.dispose()


def test_what_is_read_often_is_planned_once(engine: Engine) -> None:
    for _ in range(10):
        read(engine, Connection.scalar, select(func.count()).select_from(payments))
    prepared = "SELECT count(*) FROM pg_prepared_statements WHERE statement LIKE '%FROM payments%'"
    assert read(engine, Connection.scalar, text(prepared)) == 1


# An application may ask on each of its pages: what is paid costs one look, and debts cost no more the more there are.
PAID = ["SELECT api_keys", "SELECT subscriptions"]
OWING = [*PAID, "SELECT dunning_cases", "SELECT attempts"]


def test_reading_what_a_subscription_entitles_to_stays_cheap(system: System) -> None:
    counter = Counter(system.engine)
    system.subscribe("inv", "pm_card_visa")
    with counter.stage() as paid:
        assert system.get("/subscriptions/sub").json["reason"] == "paid"
    for invoice in ("inv-1", "inv-2", "inv-3"):
        system.subscribe(invoice, INSUFFICIENT_FUNDS)
    with counter.stage() as owing:
        assert system.get("/subscriptions/sub").json["reason"] == "past_due"
    assert [paid.summary, owing.summary] == [PAID, OWING]
    for statement, parameters in owing.statements:
        _assert_served_by_an_index(system.engine, statement, parameters)


def _carry_out(system: System) -> list[Stage]:
    """Carry out one payment; return accept, charge, receipt of its webhook, and its application."""
    system.screen_by()
    # Read every few seconds only.
    system.runtime.read(system.runtime.rule_sets.get, system.runtime.policy.fraud.rule_set)
    counter = Counter(system.engine)
    with counter.stage() as accept:
        system.request("/process", payment_request("inv_1", "pm_card_visa"), Idempotency_Key="order-1")
    with counter.stage() as charge:
        _run_published(system, CHARGE)
    [listed] = system.provider.call("GET", "/v1/events?type=payment_intent.succeeded")["data"]
    body = json.dumps(listed).encode()
    with counter.stage() as receive:
        system.send_webhook("/webhooks/stripe", body, system.stripe_signature(body))
    with counter.stage() as apply:
        _run_published(system, WEBHOOK)
    return [accept, charge, receive, apply]


def _run_published(system: System, task: str) -> None:
    """Run the one message that was published."""
    [message] = system.messages
    assert message.task == task
    system.run_published()


def _shorten(statement: str) -> str:
    words = statement.split()
    match words[0]:
        case "SELECT":
            lock = " FOR UPDATE" if "FOR UPDATE" in statement else ""
            # The first table, of whichever sub-query it is.
            tables = [after for word, after in pairwise(words) if word == "FROM" and not after.startswith("(")]
            return f"SELECT {tables[0]}{lock}"
        case "INSERT":
            return f"INSERT {words[2]}"
        case "WITH":
            return "INSERT " + ", ".join(after for word, after in pairwise(words) if word.endswith("INTO"))
        case verb:
            return f"{verb} {words[1]}"


def _assert_served_by_an_index(engine: Engine, statement: str, parameters: Any) -> None:
    if statement.startswith("SET LOCAL"):
        return
    with engine.connect() as connection:
        # The tables are nearly empty: without this PostgreSQL would rightly read them whole.
        connection.exec_driver_sql("SET LOCAL enable_seqscan = off")
        given = parameters[0] if isinstance(parameters, list) else parameters
        explained = connection.exec_driver_sql(f"EXPLAIN (FORMAT JSON) {statement}", given)
        for node in _nodes(explained.scalar_one()[0]["Plan"]):
            is_scan = node["Node Type"].endswith("Scan") and node["Node Type"] not in READ_OF_ANOTHER_NODE
            assert not is_scan or "Index Cond" in node, f"{node['Node Type']} in {statement}"


def _nodes(plan: dict[str, Any]) -> Iterable[dict[str, Any]]:
    yield plan
    for child in plan.get("Plans", ()):
        yield from _nodes(child)
