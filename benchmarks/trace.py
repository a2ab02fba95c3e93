"""`dev.py bench trace`: the files that card payments use. They run in this process, on SQLite and the sandbox.

A file counts for a step if one of its functions runs in the step. Files that docs/architecture.md lists once for every
road are counted apart: who reads a second road knows them. Prints the figures of the source as well.
"""

from __future__ import annotations

import importlib
import json
import os
import pkgutil
import tempfile
from collections.abc import Iterator
from contextlib import chdir, contextmanager
from itertools import groupby
from pathlib import Path
from typing import Any

import requests
from celery import Celery, signals
from werkzeug.test import Client, TestResponse

from benchmarks.file_trace import ROOMS, SHARED_FILES, files_on_the_map, line_count, traced_files
from benchmarks.source_figures import source_figures
from models.api_keys import Role, create_key
from models.migrate import upgrade
from models.session import make_engine, transact
from models.task_messages import SWEEP
from runtime import Runtime
from sandbox.server import RunningSandbox
from sandbox.stripe.events import signature
from stack.credentials import sandbox_credentials
from stack.process import interrupt_on_signals, wait_until

Json = dict[str, Any]
API = "/api/v1/payments"
WEBHOOK_SECRET = "whsec_trace"
READ_TIMEOUT_SECONDS = 1
CLOCK_SECONDS = 10
# The steps that together are one charge.
CHARGE_STEPS = ("POST /process", "charge until captured")


def main() -> None:
    """Run the payments; print the files of each step, then the figures of the source."""
    interrupt_on_signals()
    with tempfile.TemporaryDirectory(prefix="celeriac-trace-") as directory, running_system(Path(directory)) as system:
        system.run_payments()
        steps = system.steps
    print_step("one charge, from the request until captured", set().union(*(steps[name] for name in CHARGE_STEPS)))
    for name, files in steps.items():
        print_step(name, files)
    for name, figure in source_figures().items():
        print(f"{name:<55}{figure}")


def print_step(name: str, files: set[Path]) -> None:
    """Print the number of files and lines of a step, and their names by room: the road's own, then the shared ones."""
    shared = files & files_on_the_map(SHARED_FILES)
    print(f"{name}: {len(files)} files; {len(files - shared)} of its own, {len(shared)} that every road shares")
    print_files("of its own", files - shared)
    print_files("shared", shared)
    print()


def print_files(title: str, files: set[Path]) -> None:
    """Print the number of lines of these files, and their names by room."""
    print(f"  {title}: {sum(line_count(file) for file in files)} lines")
    for room, members in groupby(sorted(files), key=lambda file: file.parts[0]):
        print(f"    {room:<10}{' '.join(str(file.relative_to(room).with_suffix('')) for file in members)}")


@contextmanager
def running_system(directory: Path) -> Iterator[System]:
    """Run a sandbox in a thread, and yield the system that uses it, on a new SQLite database."""
    with RunningSandbox() as sandbox, chdir(directory):
        settings = sandbox_credentials(sandbox.url, "http://localhost", WEBHOOK_SECRET) | {
            "DATABASE_URL": f"sqlite:///{directory}/celeriac.db",
            "PROVIDER_READ_TIMEOUT_SECONDS": str(READ_TIMEOUT_SECONDS),
        }
        os.environ.update(settings)
        engine = make_engine(settings["DATABASE_URL"])
        upgrade(engine)
        engine.dispose()
        # The application reads its settings when it is imported.
        web, worker = importlib.import_module("worker.wsgi"), importlib.import_module("worker.celery")
        import_all_modules()
        yield System(sandbox, worker.app, web.app.test_client())


def import_all_modules() -> None:
    """Import the whole product, so that no import happens in a step."""
    for room in ROOMS:
        for module in pkgutil.walk_packages(importlib.import_module(room).__path__, f"{room}."):
            if ".migrations" not in module.name:
                importlib.import_module(module.name)


class System:
    """The HTTP edge and the tasks in this process. Published messages wait in a list, and `work` runs their tasks."""

    def __init__(self, sandbox: RunningSandbox, app: Celery, client: Client) -> None:
        self.steps: dict[str, set[Path]] = {}
        self._sandbox = sandbox
        self._app = app
        self._client = client
        self._messages: list[tuple[str, str]] = []
        app.loader.import_default_modules()
        # The real publisher publishes, to a broker in this process.
        app.conf.update(broker_url="memory://localhost/")
        signals.after_task_publish.connect(self._keep_message, weak=False)
        self._runtime: Runtime = app.runtime()  # type: ignore[attr-defined]
        key = transact(self._runtime.engine, create_key, Role.APP, "trace", "trace", self._runtime.clock.now())
        self._headers = {"Authorization": f"Bearer {key}"}

    def _keep_message(self, sender: str, body: Any, **_: Any) -> None:
        self._messages.append((sender, body[0][0]))

    def run_payments(self) -> None:
        """Run all steps, each on the payment of the step before it or on a new one."""
        self._charge_and_refund()
        self._webhook()
        self._dunning()
        self._doubt()

    def _charge_and_refund(self) -> None:
        with self._step("POST /process"):
            payment = self._pay("charge", "pm_card_visa")
        with self._step("charge until captured"):
            self._work()
        self._expect(payment, "captured")
        with self._step("refund"):
            self._post(f"/{payment}/refunds", {"amount": "5.00"}, {"Idempotency-Key": "refund"})
            self._work()
        self._expect(payment, "partially_refunded")

    def _webhook(self) -> None:
        payment = self._pay("webhook", "pm_card_authenticationRequired")
        self._work()
        attempt = self._expect(payment, "requires_action")["attempts"][0]
        path = f"/_sandbox/intents/{attempt['provider_reference']}/authenticate"
        self._call_sandbox("POST", path, json={"result": "success"})
        [event] = self._call_sandbox("GET", "/v1/events?type=payment_intent.succeeded&limit=1")["data"]
        body = json.dumps(event).encode()
        signed = signature(body, WEBHOOK_SECRET, int(self._runtime.clock.now().timestamp()))
        with self._step("webhook with news"):
            response = self._client.post(f"{API}/webhooks/stripe", data=body, headers={"Stripe-Signature": signed})
            self._work()
        assert response.status_code == 200, response.text
        self._expect(payment, "captured")

    def _dunning(self) -> None:
        script = {"script": ["insufficient_funds", "success"]}
        card = self._call_sandbox("POST", "/_sandbox/cards", json=script)["id"]
        payment = self._pay("dunning", card, subscription_id="subscription")
        self._work()
        self._expect(payment, "past_due")
        self._advance(days=3)
        with self._step("sweep and dunning retry"):
            self._sweep()
        self._expect(payment, "captured")

    def _doubt(self) -> None:
        seconds = 2.0 * READ_TIMEOUT_SECONDS
        self._sandbox.state.faults.add("payment_intents.confirm", "timeout_after", times=1, seconds=seconds)
        payment = self._pay("doubt", "pm_card_visa")
        with self._step("doubt and look-up"):
            self._work()
        self._expect(payment, "in_doubt")
        self._advance(minutes=1)
        with self._step("doubt and look-up"):
            self._sweep()
        self._expect(payment, "captured")

    @contextmanager
    def _step(self, name: str) -> Iterator[None]:
        """Add the files that run in the context to a step."""
        with traced_files() as files:
            yield
        self.steps.setdefault(name, set()).update(files)

    def _work(self) -> None:
        """Run the tasks of the published messages, until there is none."""
        while self._messages:
            task, row_id = self._messages.pop(0)
            self._app.tasks[task](row_id)

    def _sweep(self) -> None:
        self._app.tasks[SWEEP]()
        self._work()

    def _advance(self, days: int = 0, minutes: int = 0) -> None:
        """Advance the sandbox's clock, and wait until the application follows."""
        seconds = days * 86_400 + minutes * 60
        before = self._runtime.clock.now()
        self._sandbox.state.advance(seconds)
        is_ahead = wait_until(lambda: (self._runtime.clock.now() - before).total_seconds() > seconds, CLOCK_SECONDS)
        assert is_ahead, "the application does not follow the clock of the sandbox"

    def _pay(self, invoice: str, card: str, **more: str) -> str:
        body = {"invoice_id": invoice, "user_id": f"user-{invoice}", "amount": "24.90", "currency": "EUR"}
        body |= {"payment_method": "credit_card", "payment_method_token": card}
        return str(self._post("/process", body | more, {"Idempotency-Key": invoice})["id"])

    def _post(self, path: str, body: Json, headers: dict[str, str] | None = None) -> Json:
        return _accepted(self._client.post(API + path, json=body, headers=self._headers | (headers or {})))

    def _get(self, payment_id: str) -> Json:
        return _accepted(self._client.get(f"{API}/{payment_id}", headers=self._headers))

    def _expect(self, payment_id: str, status: str) -> Json:
        payment = self._get(payment_id)
        assert payment["status"] == status, f"{payment['invoice_id']} is {payment['status']} instead of {status}"
        return payment

    def _call_sandbox(self, method: str, path: str, **options: Any) -> Json:
        auth = (os.environ["STRIPE_SECRET_KEY"], "")
        response = requests.request(method, self._sandbox.url + path, auth=auth, timeout=10, **options)
        assert response.ok, response.text
        result: Json = response.json()
        return result


def _accepted(response: TestResponse) -> Json:
    assert response.status_code < 300, response.text
    result: Json = response.get_json()
    return result


if __name__ == "__main__":
    main()
