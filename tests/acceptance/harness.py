"""A whole system on real servers, for tests that watch it from outside: processes, merchant and provider.

It uses the public surface only. What is true is what the sandbox's ledger says. Nothing here sleeps for its
own sake: every wait is for a condition and has a deadline.
"""

from __future__ import annotations

import os
import secrets
import string
import sys
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

import psycopg
import requests
from celery import Celery
from kombu import Queue
from psycopg.rows import dict_row
from requests.adapters import HTTPAdapter
from sqlalchemy import make_url

from sandbox.server import RunningSandbox
from sandbox.state import Settings
from stack.client import decision_form
from stack.credentials import sandbox_credentials
from stack.process import Process, free_port, wait_until
from stack.reconciliation import our_totals, provider_totals
from tests.patience import patient

Json = dict[str, Any]
T = TypeVar("T")
API = "/api/v1/payments"
APPLICATION = "acceptance"
WEBHOOK_SECRET = "whsec_acceptance"
PUBLISHABLE_KEY = "pk_test_acceptance"
SECRET_KEY = "sk_test_sandbox_acceptance"
# What takes longer than this on a normal machine is broken; every wait stretches it by `patient`.
REST_SECONDS = 60.0
READY_SECONDS = 120.0
POLL_SECONDS = 0.2
HTTP_SECONDS = patient(45.0)
# How long a worker waits for a provider: long enough for a loaded machine, short enough to wait for in a test.
READ_SECONDS = patient(2.0)
# How long a provider holds a call whose caller is to give up.
LOST_SECONDS = 1.5 * READ_SECONDS
MOST_AT_ONCE = 64
DAY_SECONDS = 86_400
MOVING = ("accepted", "processing", "in_doubt")


def eventually(condition: Callable[[], bool], what: str, seconds: float = REST_SECONDS) -> None:
    """Wait until `condition` holds; fail, saying what never became true, after `seconds` of a normal machine."""
    seconds = patient(seconds)
    assert wait_until(condition, seconds, POLL_SECONDS), f"not within {seconds:g} seconds: {what}"


class Provider:
    """The sandbox as its own back office sees it: ledger, faults, clock, webhooks."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._session = requests.Session()
        self._session.auth = (SECRET_KEY, "")

    def call(self, method: str, path: str, **options: Any) -> Json:
        """Call any path of the sandbox, the provider's API included."""
        response = self._session.request(method, self.url + path, timeout=HTTP_SECONDS, **options)
        assert response.ok, f"{method} {path} answered {response.status_code}: {response.text[:300]}"
        found: Json = response.json()
        return found

    def close(self) -> None:
        """Close the connections."""
        self._session.close()

    def fault(self, operation: str, fault: str, **how: Any) -> None:
        """Order a fault: `times` (default 1, None for ever) and `seconds`."""
        self.call("POST", "/_sandbox/faults", json={"operation": operation, "fault": fault, **how})

    def fault_hits(self) -> int:
        """Return how many calls met the faults in force."""
        return sum(fault["hits"] for fault in self.call("GET", "/_sandbox/faults")["faults"])

    def disturb(self, **mischief: Any) -> None:
        """Disturb the delivery of webhooks: paused, duplicate, reorder, delay_seconds, drop_rate."""
        self.call("POST", "/_sandbox/webhooks", json=mischief)

    def behave(self) -> None:
        """End all faults and all mischief; calls that a fault delays go on."""
        self.call("DELETE", "/_sandbox/faults")
        self.disturb(paused=False, duplicate=1, reorder=False, delay_seconds=0, drop_rate=0)

    def deliveries(self) -> Json:
        """Return how many webhooks are pending, delivered and dropped."""
        return self.call("GET", "/_sandbox/webhooks")

    def advance(self, **by: float) -> None:
        """Move the clock by `days` and `seconds`."""
        seconds = by.get("days", 0) * DAY_SECONDS + by.get("seconds", 0)
        self.call("POST", "/_sandbox/clock", json={"advance_seconds": seconds})

    def now(self) -> float:
        """Return the time by the sandbox's clock, in seconds since the epoch."""
        return float(self.call("GET", "/_sandbox/clock")["now"])

    def mails(self) -> list[Json]:
        """Return the mails that customers have got, oldest first."""
        found: list[Json] = self.call("GET", "/_sandbox/mail")["mails"]
        return found

    def card(self, *script: str) -> str:
        """Issue a card that answers its charges as scripted; return its token."""
        return str(self.call("POST", "/_sandbox/cards", json={"script": list(script)})["id"])

    def bank_account(self, iban: str = "DE89370400440532013000") -> str:
        """Store a SEPA mandate as a front end would; return its token."""
        form = {
            "type": "sepa_debit",
            "sepa_debit[iban]": iban,
            "billing_details[name]": "Ada Example",
            "billing_details[email]": "ada@example.com",
        }
        return str(self.call("POST", "/v1/payment_methods", data=form)["id"])

    def settle(self, intent: str, result: str = "success") -> None:
        """Let the bank answer a debit."""
        self.call("POST", f"/_sandbox/intents/{intent}/settle", json={"result": result})

    def authenticate(self, intent: str, result: str = "success") -> None:
        """Let the customer pass or fail 3-D Secure."""
        self.call("POST", f"/_sandbox/intents/{intent}/authenticate", json={"result": result})

    def visit(self, payment: Json, decision: str) -> None:
        """Be the customer on the page that a payment sends him to: decide, and go back as far as our address."""
        way = self.decide(payment, decision)
        if "/returns/" in way:
            back = requests.get(way, allow_redirects=False, timeout=HTTP_SECONDS)
            assert back.status_code == 303, f"{way} answered {back.status_code}"

    def decide(self, payment: Json, decision: str) -> str:
        """Be the customer on that page, and go no further; return the address that follows."""
        page = payment["next_action"]["redirect_url"]
        response = requests.post(page, data=decision_form(decision), allow_redirects=False, timeout=HTTP_SECONDS)
        assert response.status_code < 400, f"{page} answered {response.status_code}: {response.text[:300]}"
        return response.headers.get("Location", "")

    def books(self) -> list[Json]:
        """Return the provider's totals, one row an intent."""
        rows: list[Json] = self.call("GET", "/_sandbox/books")["books"]
        return rows

    def movements(self, payment_id: str) -> list[str]:
        """Return what kinds of money movements a payment has seen, in order."""
        intents = {row["object"] for row in self.books() if row["metadata"].get("payment_id") == payment_id}
        rows = self.call("GET", "/_sandbox/ledger")["movements"]
        return [row["kind"] for row in rows if row["parent"] in intents]

    def tries(self, payment_id: str) -> list[Json]:
        """Return every try of a payment that reached the issuer, in order."""
        rows = self.call("GET", "/_sandbox/ledger")["attempts"]
        return [row for row in rows if row["metadata"].get("payment_id") == payment_id]


class Merchant:
    """An application that uses the HTTP API."""

    def __init__(self, web_url: str, key: str) -> None:
        self.api_url = web_url + API
        self._key = key
        self._session = requests.Session()
        self._session.mount("http://", HTTPAdapter(pool_maxsize=MOST_AT_ONCE))

    def close(self) -> None:
        """Close the connections."""
        self._session.close()

    def send(self, method: str, path: str, body: Any = None, **headers: str) -> requests.Response:
        """Send one request with our API key; `idempotency_key=…` becomes the header of that name."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        named["Authorization"] = f"Bearer {self._key}"
        return self._session.request(method, self.api_url + path, json=body, headers=named, timeout=HTTP_SECONDS)

    def process(self, body: Json, **headers: str) -> Json:
        """Enqueue a payment, under a key of its own unless one is given; the answer must be 202."""
        return self._accepted(self.send("POST", "/process", body, **{"idempotency_key": unique("key"), **headers}))

    def process_all(self, bodies: list[Json]) -> list[str]:
        """Enqueue payments, several at once; return their ids."""
        with ThreadPoolExecutor(8) as pool:
            return [accepted["id"] for accepted in pool.map(self.process, bodies)]

    def pay(self, body: Json, *statuses: str, seconds: float = REST_SECONDS) -> Json:
        """Enqueue a payment and wait until it has one of the statuses (default captured)."""
        return self.wait(self.process(body)["id"], *statuses or ("captured",), seconds=seconds)

    def operate(self, payment_id: str, operation: str, body: Json | None = None, key: str | None = None) -> Json:
        """Ask for `capture`, `cancel` or `refunds`; the answer must be 202."""
        path = f"/{payment_id}/{operation}"
        return self._accepted(self.send("POST", path, body or {}, idempotency_key=key or unique("key")))

    def payment(self, payment_id: str) -> Json:
        """Read a payment."""
        return self.get(f"/{payment_id}")

    def subscription_status(self, subscription_id: str) -> str:
        """Read how the payment of a subscription stands."""
        return str(self.get(f"/subscriptions/{subscription_id}")["status"])

    def payments_of(self, invoice_id: str) -> list[Json]:
        """List the payments of an invoice."""
        found: list[Json] = self.get(f"/?invoice_id={invoice_id}")["payments"]
        return found

    def get(self, path: str) -> Json:
        """Read; the answer must be 200."""
        response = self.send("GET", path)
        assert response.status_code == 200, f"GET {path} answered {response.status_code}: {response.text[:300]}"
        found: Json = response.json()
        return found

    def wait(self, payment_id: str, *statuses: str, seconds: float = REST_SECONDS) -> Json:
        """Wait until a payment has one of the statuses; return it."""
        return self.wait_for(payment_id, lambda shown: shown["status"] in statuses, " or ".join(statuses), seconds)

    def wait_for(
        self, payment_id: str, condition: Callable[[Json], bool], what: str, seconds: float = REST_SECONDS
    ) -> Json:
        """Wait until a condition holds of a payment; return it."""
        shown: Json = {}

        def holds() -> bool:
            shown.update(self.payment(payment_id))
            return condition(shown)

        seconds = patient(seconds)
        is_so = wait_until(holds, seconds, POLL_SECONDS)
        assert is_so, f"payment is {shown['status']}, not {what}, after {seconds:g} seconds: {shown['attempts']}"
        return shown

    def _accepted(self, response: requests.Response) -> Json:
        assert response.status_code == 202, f"{response.status_code}: {response.text[:300]}"
        found: Json = response.json()
        return found


class Deployment:
    """One system: a database, a broker, a sandbox, and the processes that a test starts.

    Leaving the context stops whatever runs. `env` is the environment of every process."""

    def __init__(
        self, directory: Path, database_url: str, broker_url: str, key: str, prefix: str = "", **env: str
    ) -> None:
        self.directory = directory
        self.database_url = database_url
        self.broker_url = broker_url
        self.prefix = prefix
        self._sandbox_port, self._web_port, self._mail_port = free_port(), free_port(), free_port()
        self.web_url = f"http://127.0.0.1:{self._web_port}"
        self.env = {**_inherited(), **self._settings(), **env}
        self.provider = Provider(f"http://127.0.0.1:{self._sandbox_port}")
        self.merchant = Merchant(self.web_url, key)
        self.processes: list[Process] = []
        self._open = ExitStack()

    def _settings(self) -> dict[str, str]:
        return {
            "DATABASE_URL": self.database_url,
            "CELERY_BROKER_URL": self.broker_url,
            "CELERY_QUEUE_PREFIX": self.prefix,
            **sandbox_credentials(f"http://127.0.0.1:{self._sandbox_port}", self.web_url, WEBHOOK_SECRET),
            # A few users pay with a few cards far more often than people would.
            "PAYMENT_VELOCITY_CHECK_ENABLED": "false",
            # A busy machine reads a history as slowly as it likes.
            "FRAUD_TIME_BUDGET_MS": "10000",
            "STRIPE_SECRET_KEY": SECRET_KEY,
            "STRIPE_PUBLISHABLE_KEY": PUBLISHABLE_KEY,
            "PROVIDER_READ_TIMEOUT_SECONDS": str(READ_SECONDS),
            # Threads hold database connections, of which a stock PostgreSQL has a hundred for all deployments.
            "WORKER_CONCURRENCY": "8",
            "PYTHONUNBUFFERED": "1",
            "DUNNING_EMAIL_ENABLED": "true",
            "SMTP_URL": f"smtp://127.0.0.1:{self._mail_port}",
            "MAIL_FROM": "Acceptance <billing@shop.example>",
        }

    def __enter__(self) -> Deployment:
        self.directory.mkdir(parents=True, exist_ok=True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for process in self.processes:
            process.kill()
        self._open.close()
        self.merchant.close()
        self.provider.close()

    @cached_property
    def operator(self) -> Merchant:
        """Somebody who looks after all payments and starts none."""
        key = self.command("keys", "create", "--role", "operator", "--name", "operator").split()[-1]
        operator = Merchant(self.web_url, key)
        self._open.callback(operator.close)
        return operator

    def start_sandbox(self) -> Deployment:
        """Let the provider be there."""
        webhooks = f"{self.web_url}{API}/webhooks/stripe"
        settings = Settings(webhook_url=webhooks, webhook_secret=WEBHOOK_SECRET, smtp_port=self._mail_port)
        self._open.enter_context(RunningSandbox(settings, port=self._sandbox_port))
        return self

    def web(self, name: str = "web", **env: str) -> Process:
        """Start the HTTP process and wait until it is ready."""
        command = ["-m", "gunicorn", "worker.wsgi:app", "--bind", f"127.0.0.1:{self._web_port}"]
        # An idle connection must not be closed at the moment when a test uses it again.
        command += ["--keep-alive", "75", "--workers", "1", "--threads", "32", "--log-level", "info"]
        process = self._start(name, command, env)
        process.wait_for(lambda: _answers(f"{self.web_url}/readyz"), "a 200 from /readyz", patient(READY_SECONDS))
        return process

    def worker(self, name: str = "worker", *options: str, **env: str) -> Process:
        """Start a worker; it begins with what waits as soon as it is up."""
        return self.celery_process(name, "worker", "-l", "info", "-n", f"{self.prefix}{name}@%h", *options, **env)

    def worker_with_beat(self, name: str = "worker", **env: str) -> Process:
        """Start a worker with a beat of its own inside, to save a process."""
        return self.worker(name, "-B", "-s", str(self.directory / f"{name}-schedule"), **env)

    def beat(self, name: str = "beat") -> Process:
        """Start a beat."""
        return self.celery_process(name, "beat", "-l", "info", "-s", str(self.directory / f"{name}-schedule"))

    def command(self, *arguments: str) -> str:
        """Run `celery -A worker payments …`; return what it printed."""
        process = self.celery_process(unique("command"), "payments", *arguments)
        eventually(lambda: not process.is_running(), f"the end of payments {' '.join(arguments)}")
        return process.log_text()

    def celery_process(self, name: str, *arguments: str, **env: str) -> Process:
        """Start `celery -A worker …`."""
        return self._start(name, ["-m", "celery", "-A", "worker", *arguments], env)

    def _start(self, name: str, arguments: list[str], env: Mapping[str, str]) -> Process:
        log = self.directory / f"{name}.log"
        process = Process(name, [sys.executable, *arguments], log=log, env={**self.env, **env})
        self.processes.append(process)
        return process.start()

    @contextmanager
    def celery(self) -> Iterator[Celery]:
        """Return the Celery app of a program that knows broker and task names, and imports no Celeriac."""
        app = Celery("elsewhere", broker=self.broker_url, set_as_current=False)
        # The queue is ours to declare: RabbitMQ refuses who describes it in another way.
        queue = Queue(f"{self.prefix}charges", no_declare=True)
        app.conf.update(task_ignore_result=True, task_queues=[queue], task_default_queue=queue.name)
        try:
            yield app
        finally:
            app.close()

    def rows(self, query: str, *values: Any) -> list[Json]:
        """Read rows of the database, for what no API shows."""
        url = make_url(self.database_url).set(drivername="postgresql").render_as_string(hide_password=False)
        with psycopg.connect(url, row_factory=dict_row) as connection:
            return list(connection.execute(query.encode(), values).fetchall())

    def sweeps(self) -> int:
        """Return how many sweeps the workers of this deployment have been through."""
        lines = (line for process in self.processes for line in process.log_text().splitlines())
        return sum("payments.sweep[" in line and "succeeded" in line for line in lines)

    def events(self, payment_id: str) -> list[str]:
        """Return the names of a payment's events, in order."""
        return [
            row["name"] for row in self.rows("SELECT name FROM events WHERE payment_id = %s ORDER BY id", payment_id)
        ]

    def assert_books_agree(self, payment_id: str) -> Json:
        """Assert that our amounts of a payment are the provider's; return the payment."""
        shown = self.merchant.payment(payment_id)
        ours, theirs = our_totals(shown), provider_totals(self.provider.books(), shown)
        assert ours == theirs, f"we say {ours}, the provider says {theirs}"
        return shown

    def assert_charged_once(self, payment_id: str) -> Json:
        """Assert that a payment is captured, by exactly one charge, as the provider's books say."""
        moved = self.provider.movements(payment_id)
        # Klarna holds the money when the customer agrees, and our call takes it.
        assert moved in (["charge"], ["authorization", "capture"]), f"the ledger shows {moved}"
        shown = self.assert_books_agree(payment_id)
        assert shown["status"] == "captured", f"the payment is {shown['status']}"
        return shown


def unique(what: str) -> str:
    """Return a name that nothing else has."""
    # Letters only: digits in a row might pass for a card number, which would be refused.
    return f"{what}-{''.join(secrets.choice(string.ascii_lowercase) for _ in range(12))}"


def payment_body(token: str = "pm_card_visa", amount: str = "24.90", currency: str = "EUR", **more: Any) -> Json:
    """Return the body of one `POST /process`, for an invoice and a customer of its own."""
    return {
        "invoice_id": unique("inv"),
        "user_id": unique("user"),
        "amount": amount,
        "currency": currency,
        "payment_method": "credit_card",
        "payment_method_token": token,
        **more,
    }


def subscription_body(token: str, **more: Any) -> Json:
    """Return an order of a subscription, whose customer is away."""
    return payment_body(token, "9.90", subscription_id=unique("sub"), **more)


def hosted_body(method: str, **more: Any) -> Json:
    """Return an order whose customer approves at the provider."""
    address = {"given_name": "Ada", "family_name": "Example", "line1": "1 High Street"}
    # Accounts of the sandbox: Klarna's is European, Afterpay's American.
    country, currency = ("DE", "EUR") if method == "klarna" else ("US", "USD")
    address |= {"city": "Springfield", "postal_code": "12345", "country": country}
    given = {"currency": currency, "email": "ada@example.com", "billing_address": address}
    given |= {"return_url": "https://shop.example/thanks", "payment_method": method}
    return {name: value for name, value in (payment_body() | given | more).items() if name != "payment_method_token"}


def sepa_body(provider: Provider) -> Json:
    """Return an order by bank debit, which settles later."""
    return payment_body(provider.bank_account(), payment_method="sepa_debit")


def reference(payment: Json) -> str:
    """Return the provider's id of a payment's first attempt."""
    return str(payment["attempts"][0]["provider_reference"])


def at_once(work: Callable[[int], T], times: int) -> list[T]:
    """Call `work(0)`, `work(1)` … from as many threads; return the results in order."""
    with ThreadPoolExecutor(times) as pool:
        return list(pool.map(work, range(times)))


def _inherited() -> dict[str, str]:
    ours = ("STRIPE_", "CELERY_", "CELERIAC_", "DATABASE_", "DUNNING_", "TEST_", "WORKER_")
    return {name: value for name, value in os.environ.items() if not name.startswith(ours)}


def _answers(url: str) -> bool:
    try:
        return requests.get(url, timeout=5).ok
    except requests.RequestException:
        return False
