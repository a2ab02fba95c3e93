"""One whole system in this process: the HTTP edge and the tasks on one database, and a sandbox in a thread as provider.

Every step is a call, made in the order that the test says. A message that is published waits in `messages` until the
test runs it. No transaction is open while the provider is called, so what happens during a call is simply called then.
"""

from __future__ import annotations

import importlib
import json
import secrets
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Row, Table, func, literal, select, union_all
from werkzeug.test import TestResponse

from domain.fraud.policy import FraudPolicy
from domain.payment_methods import PaymentMethod
from domain.routing import Router
from domain.state_machine import Policy
from gateways.base import Gateway
from gateways.manual.gateway import ManualGateway
from gateways.stripe.gateway import StripeGateway
from models.api_keys import Role, create_key
from models.clock import Clock
from models.session import make_engine, read, transact
from models.tables import attempts, dunning_cases, events, metadata, payments, subscriptions, webhook_events
from models.task_messages import SWEEP, TaskMessage
from runtime import Runtime
from runtime.leases import LeaseKeeper
from runtime.pay_links import PayLinks
from sandbox.server import RunningSandbox
from sandbox.state import Settings
from sandbox.stripe.events import signature
from tests.patience import patient
from tests.provider import SECRET_KEY, Json, Provider
from webhooks.app import PREFIX, create_app
from webhooks.context import WebContext
from worker.celery import app

# As a worker does when it starts: the tasks register.
app.loader.import_default_modules()

# The current secret, and the one before it, which still verifies.
WEBHOOK_SECRETS = ("whsec_canary_new", "whsec_canary_old")
PUBLISHABLE_KEY = "pk_test_shown"
ROLES = {"shop": Role.APP, "other": Role.APP, "operator": Role.OPERATOR, "admin": Role.ADMIN}
READ_SECONDS = patient(2)
# The links to the pay page: their secrets, the newest first; the address of the test client; how long they work.
LINK_SECRETS = ("link_canary_new_" * 2, "link_canary_old_" * 2)
OWN_URL = "http://localhost"
LINKS_WORK_FOR = timedelta(days=30)
# The public address that gateways give to providers.
API_URL = f"https://pay.example{PREFIX}"
INSUFFICIENT_FUNDS = "pm_card_visa_chargeDeclinedInsufficientFunds"
LOST_CARD = "pm_card_visa_chargeDeclinedLostCard"
# The amount of `payment_request`, in minor units.
AMOUNT = 1230
# One user of the tests pays more often than a person would, and all have the same few cards: only amounts are scored.
# A busy machine reads a history as slowly as it likes.
_TIME_BUDGET = timedelta(seconds=patient(10))
UNLIMITED = FraudPolicy(is_velocity_checked=False, time_budget=_TIME_BUDGET)
# Banks decide when a test says so, whatever the clock shows.
SILENT_BANKS = Settings(async_settle_seconds=1e9)


class System:
    """A system on a migrated database. Callers of its API are named as in ROLES.

    The tasks find it once `tasks_run_in` is called. `is_worker_up`: a message runs as soon as it is published."""

    def __init__(self, database_url: str, sandbox: RunningSandbox) -> None:
        self.engine = make_engine(database_url)
        self.sandbox = sandbox
        self.provider = Provider(sandbox)
        self.messages: list[TaskMessage] = []
        self.is_worker_up = False
        self.broker_error: Exception | None = None
        self.offset = timedelta()
        self.clock = Clock(self.engine, lambda: self.offset)
        self.gateway = stripe_gateway(sandbox.url)
        gateways: dict[str, Gateway] = {"stripe": self.gateway, "manual": ManualGateway()}
        self.runtime = Runtime(
            engine=self.engine,
            clock=self.clock,
            gateways=gateways,
            router=Router(gateways),
            policy=Policy(fraud=UNLIMITED),
            leases=LeaseKeeper(self.engine, self.clock),
            publish=self._publish,
            pay_links=PayLinks(LINK_SECRETS, OWN_URL, LINKS_WORK_FOR),
        )
        front_end = f"{sandbox.url}/_sandbox/front_end"
        context = WebContext(
            self.runtime, self._check_broker, publishable_key=PUBLISHABLE_KEY, test_front_end=front_end
        )
        self.client = create_app(context).test_client()
        self.keys = {name: self.create_key(name, role) for name, role in ROLES.items()}

    def create_key(self, name: str, role: Role) -> str:
        """Create an API key; return it."""
        now = self.now()
        return transact(self.engine, create_key, role, name, "test", now)

    def close(self) -> None:
        """Close the connections to the database."""
        self.engine.dispose()

    def add_provider(self, provider: str) -> tuple[Any, Any]:
        """Let the system have one more provider; return its bench of the contract suite and its gateway."""
        bench = importlib.import_module(f"tests.contract.benches.{provider}").ProviderBench(self.sandbox)
        gateway = bench.gateway()
        self.runtime.gateways[provider] = gateway
        return bench, gateway

    def switch_off(self, monkeypatch: Any, method: PaymentMethod) -> None:
        """Let the operator switch a method off, until the test ends."""
        self._change_runtime(monkeypatch, router=Router(self.runtime.gateways, switched_off=frozenset({method})))

    def change_fraud_policy(self, monkeypatch: Any, **changes: Any) -> None:
        """Let payments be screened so, until the test ends."""
        policy = self.runtime.policy
        self._change_runtime(monkeypatch, policy=replace(policy, fraud=replace(policy.fraud, **changes)))

    def _change_runtime(self, monkeypatch: Any, **changes: Any) -> None:
        monkeypatch.setattr(self, "runtime", replace(self.runtime, **changes))
        extensions = self.client.application.extensions
        monkeypatch.setitem(extensions, "celeriac", replace(extensions["celeriac"], runtime=self.runtime))

    def screen_by(self, **changes: Any) -> None:
        """Let the operator configure fraud detection: the default policy, but for these changes."""
        policy = replace(self.runtime.policy, fraud=FraudPolicy(**{"time_budget": _TIME_BUDGET} | changes))
        self.runtime = replace(self.runtime, policy=policy)
        extensions = self.client.application.extensions
        extensions["celeriac"] = replace(extensions["celeriac"], runtime=self.runtime)

    # --- the API ----------------------------------------------------------------------------------------

    def call(
        self, method: str, path: str, body: Any = None, *, caller: str | None = "shop", **headers: str
    ) -> TestResponse:
        """Send a request; `body` is JSON unless it is text or bytes already. Header names with underscores.

        A path that begins with `//` is outside the payments API."""
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

    def request(self, path: str, body: Json | None = None, **how: Any) -> Json:
        """Send a POST that has to be accepted; return the body of its response."""
        response = self.post(path, body or {}, **how)
        assert response.status_code in (201, 202), response.text
        accepted: Json = response.json
        return accepted

    def pay(self, invoice: str = "inv", card: str = "pm_card_visa", **changes: Any) -> str:
        """Request a payment of 12.30 EUR, on a card unless said otherwise; return its id."""
        return str(self.accept(payment_request(invoice, card) | changes)["id"])

    def accept(self, body: Json) -> Json:
        """Request a payment under a key of its own; return it as it was accepted."""
        return self.request("/process", body, Idempotency_Key=secrets.token_hex(6))

    def subscribe(self, invoice: str, card: str, **changes: Any) -> str:
        """Request a payment of a subscription; return its id once nothing more happens by itself."""
        payment_id = self.pay(invoice, card, **{"subscription_id": "sub"} | changes)
        self.run_until_idle()
        return payment_id

    def pay_twice(self) -> str:
        """Return a payment whose debt was collected twice: by a retry, and by its first charge after all."""
        payment_id = self.subscribe("inv", self.provider.scripted_card("insufficient_funds", "success"))
        self.advance(days=3, minutes=1)
        first = self.reference(payment_id)
        self.provider.call("POST", f"/v1/payment_intents/{first}/confirm", {"payment_method": "pm_card_visa"})
        self.deliver_and_run(self.provider.event("payment_intent.succeeded", first))
        assert self.payment(payment_id).duplicated == AMOUNT
        return payment_id

    # --- the workers ------------------------------------------------------------------------------------

    def tasks_run_in(self, monkeypatch: Any) -> None:
        """Let the app's tasks work in this system until the test ends."""
        monkeypatch.setattr(app, "runtime", lambda: self.runtime)

    def run(self, task: str, *row_ids: str) -> None:
        """Run a task, about a row if it has one, as a worker does."""
        app.tasks[task](*row_ids)

    def run_published(self) -> None:
        """Run what is published by now, and nothing that this publishes."""
        messages, self.messages[:] = list(self.messages), []
        for message in messages:
            self.run(*message)

    def run_until_idle(self) -> None:
        """Run messages until none is published any more."""
        while self.messages:
            self.run_published()

    def sweep(self) -> None:
        """Publish what is overdue."""
        app.tasks[SWEEP]()

    def advance(self, **by: float) -> None:
        """Move our clock and the provider's, then let beat and workers do what has become due."""
        self.move_clock(**by)
        self.sweep()
        self.run_until_idle()

    def move_clock(self, **by: float) -> None:
        """Move our clock and the provider's."""
        self.offset += timedelta(**by)
        self.sandbox.state.advance(timedelta(**by).total_seconds())

    def now(self) -> datetime:
        """Return the time of this system."""
        return self.clock.now()

    def during_next(self, verb: str, act: Callable[[], None], *, after_response: bool = False) -> None:
        """Let something happen during the gateway's next call: before the provider is called, or after its response."""
        call = getattr(self.gateway, verb)

        def interrupted(*given: Any) -> Any:
            setattr(self.gateway, verb, call)
            if not after_response:
                act()
            outcome = call(*given)
            if after_response:
                act()
            return outcome

        setattr(self.gateway, verb, interrupted)

    def _publish(self, messages: Iterable[TaskMessage]) -> None:
        for message in messages:
            if self.is_worker_up:
                self.run(*message)
            else:
                self.messages.append(message)

    def _check_broker(self) -> None:
        if self.broker_error is not None:
            raise self.broker_error

    # --- webhooks ---------------------------------------------------------------------------------------

    def deliver(self, event: Json) -> str:
        """Deliver an event of Stripe; return the id of its row. Its message is published like all others."""
        body = json.dumps(event).encode()
        return self.receive("/webhooks/stripe", body, self.stripe_signature(body))

    def deliver_and_run(self, event: Json) -> Row[Any]:
        """Deliver an event of Stripe and run messages until none is left; return its row."""
        row_id = self.deliver(event)
        self.run_until_idle()
        return self.webhook(row_id)

    def stripe_signature(self, body: bytes) -> dict[str, str]:
        """Return the header with which Stripe signs a body now."""
        return {"Stripe-Signature": signature(body, WEBHOOK_SECRETS[0], int(self.now().timestamp()))}

    def receive(self, path: str, body: bytes, headers: Mapping[str, str]) -> str:
        """Receive a webhook as it was sent; return the id of its row."""
        gateway = self.runtime.gateways[path.split("/")[2]]
        url = f"http://localhost{PREFIX}{path}"
        verified = gateway.verify_webhook(body, dict(headers), self.now(), url)
        self.send_webhook(path, body, headers)
        is_it = (webhook_events.c.provider == gateway.provider) & (webhook_events.c.event_id == verified.event_id)
        return str(self.rows(webhook_events, is_it)[0].id)

    def send_webhook(self, path: str, body: bytes, headers: Mapping[str, str]) -> None:
        """Send a webhook that has to be accepted."""
        response = self.client.post(PREFIX + path, data=body, headers=dict(headers))
        assert response.status_code == 200, response.text

    # --- the database -----------------------------------------------------------------------------------

    def query(self, query: Any) -> list[Row[Any]]:
        """Return the rows of a query."""
        return read(self.engine, lambda connection: list(connection.execute(query)))

    def rows(self, table: Table, *where: Any) -> list[Row[Any]]:
        """Return rows of a table in the order of its key."""
        return self.query(select(table).where(*where).order_by(*table.primary_key.columns))

    def row_counts(self) -> dict[str, int]:
        """Return how many rows each table has."""
        counts = [select(literal(table.name), func.count()).select_from(table) for table in metadata.sorted_tables]
        return {row[0]: row[1] for row in self.query(union_all(*counts))}

    def dump(self) -> str:
        """Return everything that is stored, as text."""
        return "\n".join(str(tuple(row)) for table in metadata.sorted_tables for row in self.query(select(table)))

    def payment(self, payment_id: str) -> Row[Any]:
        """Return a payment's row."""
        return self.rows(payments, payments.c.id == payment_id)[0]

    def state(self, payment_id: str) -> str:
        """Return a payment's state."""
        return str(self.payment(payment_id).state)

    def attempts(self, payment_id: str) -> list[Row[Any]]:
        """Return a payment's attempts, oldest first."""
        return sorted(self.rows(attempts, attempts.c.payment_id == payment_id), key=lambda row: row.number)

    def reference(self, payment_id: str) -> str:
        """Return the provider's id of a payment's first attempt."""
        return str(self.attempts(payment_id)[0].provider_reference)

    def event_names(self, payment_id: str) -> list[str]:
        """Return what happened to a payment, in order."""
        return [row.name for row in self.rows(events, events.c.payment_id == payment_id)]

    def webhook(self, row_id: str) -> Row[Any]:
        """Return a stored webhook event."""
        return self.rows(webhook_events, webhook_events.c.id == row_id)[0]

    def dunning_case(self, payment_id: str) -> Row[Any]:
        """Return a payment's dunning case."""
        return self.rows(dunning_cases, dunning_cases.c.payment_id == payment_id)[0]

    def subscription_status(self) -> str:
        """Return the status of the one subscription that there is."""
        [row] = self.rows(subscriptions)
        return str(row.status)


@contextmanager
def running_system(database_url: str) -> Iterator[System]:
    """Open a system on a migrated, empty database, with a sandbox of its own."""
    with RunningSandbox(SILENT_BANKS) as sandbox:
        system = System(database_url, sandbox)
        yield system
        system.close()


def stripe_gateway(base: str) -> StripeGateway:
    """Return a gateway that calls this address."""
    return StripeGateway(SECRET_KEY, WEBHOOK_SECRETS, base, READ_SECONDS, api_url=API_URL)


def payment_request(invoice: str, card: str) -> Json:
    """Return the body of a request for 12.30 EUR."""
    return {
        "invoice_id": invoice,
        "user_id": "user",
        "amount": "12.30",
        "currency": "EUR",
        "payment_method": "credit_card",
        "payment_method_token": card,
    }
