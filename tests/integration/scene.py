"""The HTTP edge and the tasks in this process, on PostgreSQL and a sandbox in a thread: every step of an interleaving
is a call, made in the order that the test says.

No transaction is open while the provider is called, so what happens meanwhile is simply called meanwhile."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

import requests
from sqlalchemy import Row, Table, select
from werkzeug.test import TestResponse

from domain.routing import Router
from domain.state_machine import Policy
from gateways.base import Gateway
from gateways.stripe.gateway import StripeGateway
from models.api_keys import Role, create_key
from models.clock import Clock
from models.session import make_engine, read, transact
from models.tables import attempts, dunning_cases, events, payments, subscriptions, webhook_events
from models.task_messages import SWEEP, TaskMessage
from runtime import Runtime
from runtime.leases import LeaseKeeper
from sandbox.server import RunningSandbox
from sandbox.state import Settings
from sandbox.stripe.api import Stripe
from sandbox.stripe.events import signature
from tests.acceptance.harness import HTTP_SECONDS
from tests.patience import patient
from webhooks.app import PREFIX, create_app
from webhooks.context import WebContext
from worker.celery import app

SECRET_KEY = "sk_test_sandbox_scene"
WEBHOOK_SECRET = "whsec_scene"
POOR = "pm_card_visa_chargeDeclinedInsufficientFunds"
LOST = "pm_card_visa_chargeDeclinedLostCard"
READ_SECONDS = patient(1)
# What `order` asks for, in minor units.
WHOLE = 1230
# Banks answer when a test says so, whatever the clock shows.
BANKS_ARE_SILENT = Settings(async_settle_seconds=1e9)
Json = dict[str, Any]


class Scene:
    """One system. What is rung waits in `rings` until the test lets somebody hear it."""

    def __init__(self, database_url: str, sandbox: RunningSandbox) -> None:
        self.engine = make_engine(database_url)
        self.sandbox = sandbox
        self.messages: list[TaskMessage] = []
        self.offset = timedelta()
        self.clock = Clock(self.engine, lambda: self.offset)
        self.gateway = make_gateway(sandbox.url)
        gateways: dict[str, Gateway] = {"stripe": self.gateway}
        self.runtime = Runtime(
            engine=self.engine,
            clock=self.clock,
            gateways=gateways,
            router=Router(gateways),
            policy=Policy(),
            leases=LeaseKeeper(self.engine, self.clock),
            publish=self.messages.extend,
        )
        self.keys = {name: self._key(name) for name in ("shop", "other")}
        self._client = create_app(WebContext(self.runtime, check_broker=lambda: None)).test_client()

    def _key(self, name: str) -> str:
        now = self.clock.now()
        return transact(self.engine, create_key, Role.APP, name, "test", now)

    # --- the merchant -----------------------------------------------------------------------------------

    def call(self, method: str, path: str, body: Json, caller: str = "shop", key: str | None = None) -> TestResponse:
        """Send a request to the HTTP edge."""
        headers = {"Authorization": f"Bearer {self.keys[caller]}"} | ({"Idempotency-Key": key} if key else {})
        return self._client.open(PREFIX + path, method=method, json=body, headers=headers)

    def post(self, path: str, body: Json | None = None, key: str | None = None) -> Json:
        """Send a POST that has to be accepted."""
        response = self.call("POST", path, body or {}, key=key)
        assert response.status_code in (201, 202), response.text
        found: Json = response.json
        return found

    def pay(self, invoice: str = "inv", card: str = "pm_card_visa", **changes: Any) -> str:
        """Ask for a payment of 12.30 EUR, on a card unless said otherwise; return its id."""
        return str(self.post("/process", order(invoice, card) | changes)["id"])

    def subscribe(self, invoice: str, card: str, **changes: Any) -> str:
        """Ask for a payment of a subscription; return its id once nothing more happens by itself."""
        payment_id = self.pay(invoice, card, **{"subscription_id": "sub"} | changes)
        self.rest()
        return payment_id

    # --- the workers ------------------------------------------------------------------------------------

    def run(self, task: str, row_id: str) -> None:
        """Carry out a task about a row, as a worker does."""
        app.tasks[task](row_id)

    def work(self) -> None:
        """Carry out what is rung by now, and nothing that this rings."""
        messages, self.messages[:] = list(self.messages), []
        for publish in messages:
            self.run(*publish)

    def rest(self) -> None:
        """Work until nothing is rung any more."""
        while self.messages:
            self.work()

    def sweep(self) -> None:
        """Ring for what is overdue."""
        app.tasks[SWEEP]()

    def pass_time(self, **by: float) -> None:
        """Move our clock and the provider's, then let beat and workers do what has become due."""
        self.move_clock(**by)
        self.sweep()
        self.rest()

    def move_clock(self, **by: float) -> None:
        """Move our clock and the provider's."""
        self.offset += timedelta(**by)
        self.sandbox.state.advance(timedelta(**by).total_seconds())

    def meanwhile(self, verb: str, do: Callable[[], None], *, after_answer: bool = False) -> None:
        """Let something happen during the next call of the gateway: before the provider is asked, or after."""
        call = getattr(self.gateway, verb)

        def interrupted(*given: Any) -> Any:
            setattr(self.gateway, verb, call)
            if not after_answer:
                do()
            response = call(*given)
            if after_answer:
                do()
            return response

        setattr(self.gateway, verb, interrupted)

    # --- the provider -----------------------------------------------------------------------------------

    def fail(self, operation: str, fault: Any, times: int | None = 1, **how: Any) -> None:
        """Let the next calls of an operation of the provider go wrong."""
        self.sandbox.state.faults.add(operation, fault, times=times, **how)

    def heal(self) -> None:
        """End all faults."""
        self.sandbox.state.faults.clear()

    def provider(self, method: str, path: str, data: Json | None = None) -> Json:
        """Call the provider's API beside us: its dashboard, or the customer's browser."""
        url = self.sandbox.url + path
        return _answer(requests.request(method, url, data=data, auth=(SECRET_KEY, ""), timeout=HTTP_SECONDS))

    def bank_says(self, reference: str, result: str) -> None:
        """End a debit or a refund that is pending at the bank: success or failure."""
        kind = "refunds" if reference.startswith("re_") else "intents"
        url = f"{self.sandbox.url}/_sandbox/{kind}/{reference}/settle"
        _answer(requests.post(url, json={"result": result}, timeout=HTTP_SECONDS))

    def scripted_card(self, *script: str) -> str:
        """Issue a card that answers its charges as scripted; return its token."""
        url = f"{self.sandbox.url}/_sandbox/cards"
        response = requests.post(url, json={"script": list(script)}, timeout=HTTP_SECONDS)
        return str(_answer(response)["id"])

    def bank_account(self) -> str:
        """Store a bank account; return its token."""
        owner = {"billing_details[name]": "Jo", "billing_details[email]": "jo@example.org"}
        iban = {"type": "sepa_debit", "sepa_debit[iban]": "DE89370400440532013000"}
        return str(self.provider("POST", "/v1/payment_methods", iban | owner)["id"])

    def saved_bank_account(self) -> Json:
        """Return the fields of a request that debits a customer's bank account, any number of times."""
        card, customer = self.bank_account(), str(self.provider("POST", "/v1/customers")["id"])
        self.provider("POST", f"/v1/payment_methods/{card}/attach", {"customer": customer})
        return {"card": card, "customer_token": customer, "payment_method": "sepa_debit"}

    def told(self, event_type: str, reference: str) -> Json:
        """Return the newest event of a type about an object, as the provider would deliver it."""
        found = self.provider("GET", f"/v1/events?limit=100&type={event_type}")["data"]
        return next(event for event in found if event["data"]["object"]["id"] == reference)

    def deliver(self, event: Json) -> str:
        """Deliver an event; return the id of its row. It is rung like everything else."""
        body = json.dumps(event).encode()
        headers = {"Stripe-Signature": signature(body, WEBHOOK_SECRET, int(self.clock.now().timestamp()))}
        return self.receive("/webhooks/stripe", body, headers)

    def receive(self, path: str, body: bytes, headers: Mapping[str, str]) -> str:
        """Take a webhook in as it was sent; return the id of its row."""
        gateway = self.runtime.gateways[path.split("/")[2]]
        url = f"http://localhost{PREFIX}{path}"
        named = gateway.verify_webhook(body, dict(headers), self.clock.now(), url)
        response = self._client.post(PREFIX + path, data=body, headers=dict(headers))
        assert response.status_code == 200, response.text
        is_it = (webhook_events.c.provider == gateway.provider) & (webhook_events.c.event_id == named.event_id)
        return self.rows(webhook_events, is_it)[0].id

    def deliver_and_rest(self, event: Json) -> Row[Any]:
        """Deliver an event and work until nothing is rung; return its row."""
        row_id = self.deliver(event)
        self.rest()
        return self.hook(row_id)

    def moved(self) -> list[tuple[str, int]]:
        """Return every movement of money in the provider's books, in order."""
        return [(movement.kind, movement.amount) for movement in self.sandbox.state.ledger.movements]

    def intent_status(self, payment_id: str) -> str:
        """Return how the provider shows the newest intent of a payment."""
        intents = self.sandbox.state.provider_of(Stripe).account.intents.values()
        return [intent.body["status"] for intent in intents if intent.body["metadata"]["payment_id"] == payment_id][-1]

    # --- our books --------------------------------------------------------------------------------------

    def rows(self, table: Table, *where: Any) -> list[Row[Any]]:
        """Return rows of a table in the order of its key."""
        query = select(table).where(*where).order_by(*table.primary_key.columns)
        return list(read(self.engine, lambda connection: connection.execute(query).all()))

    def payment(self, payment_id: str) -> Row[Any]:
        """Return a payment's row."""
        return self.rows(payments, payments.c.id == payment_id)[0]

    def state(self, payment_id: str) -> str:
        """Return a payment's state."""
        return str(self.payment(payment_id).state)

    def attempts(self, payment_id: str) -> list[Row[Any]]:
        """Return a payment's attempts, oldest first."""
        return sorted(self.rows(attempts, attempts.c.payment_id == payment_id), key=lambda row: row.number)

    def event_names(self, payment_id: str) -> list[str]:
        """Return what happened to a payment, in order."""
        return [row.name for row in self.rows(events, events.c.payment_id == payment_id)]

    def hook(self, row_id: str) -> Row[Any]:
        """Return a stored webhook."""
        return self.rows(webhook_events, webhook_events.c.id == row_id)[0]

    def case(self, payment_id: str) -> Row[Any]:
        """Return a payment's dunning case."""
        return self.rows(dunning_cases, dunning_cases.c.payment_id == payment_id)[0]

    def subscription(self) -> str:
        """Return the status of the one subscription that there is."""
        [row] = self.rows(subscriptions)
        return str(row.status)

    def now(self) -> datetime:
        """Return the time of this system."""
        return self.clock.now()


@contextmanager
def opened(database_url: str) -> Iterator[Scene]:
    """Open a scene on a migrated, empty database, with a sandbox of its own."""
    with RunningSandbox(BANKS_ARE_SILENT) as sandbox:
        scene = Scene(database_url, sandbox)
        yield scene
        scene.engine.dispose()


def make_gateway(base: str) -> StripeGateway:
    """Return a gateway that talks to this address."""
    return StripeGateway(SECRET_KEY, (WEBHOOK_SECRET,), base, READ_SECONDS)


def order(invoice: str, card: str) -> Json:
    """Return the body of a request for 12.30 EUR."""
    return {
        "invoice_id": invoice,
        "user_id": "user",
        "amount": "12.30",
        "currency": "EUR",
        "payment_method": "credit_card",
        "payment_method_token": card,
    }


def _answer(response: requests.Response) -> Json:
    assert response.ok, response.text
    found: Json = response.json()
    return found
