"""The floor: a minimal Celery app that does only what no payment system can leave out, as cheaply as Python can.

Celery settings, pool and broker are Celeriac's own. The rest is plain psycopg, and http.client on connections that are
kept alive. There is no SQLAlchemy, SDK, domain, event, fraud score or lease, and no handling of errors.
"""

from __future__ import annotations

import http.client
import json
import os
import queue
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlencode

import psycopg
from celery import Celery

ONE_CALL = "floor.one_call"
THREE_STEPS = "floor.create_store_confirm"
SCHEMA = "CREATE TABLE IF NOT EXISTS floor_payments (id text PRIMARY KEY, status text NOT NULL, reference text)"
UNFINISHED = "SELECT count(*) FROM floor_payments WHERE status <> 'captured'"

app = Celery("floor")
app.config_from_object("celeryconfig")
app.conf.worker_send_task_events = app.conf.task_send_sent_event = "FLOOR_WITHOUT_EVENTS" not in os.environ

# As many commits as one process can run at the same time; all threads share these connections.
_POOL_SIZE = 8
_pool: queue.LifoQueue[psycopg.Connection | None] = queue.LifoQueue()
for _ in range(_POOL_SIZE):
    _pool.put(None)
_thread = threading.local()


@app.task(name=ONE_CALL)
def one_call(row_id: str) -> None:
    """Claim and commit, create and confirm in one call, finish and commit."""
    _write("UPDATE floor_payments SET status = 'open' WHERE id = %s AND status = 'due'", row_id)
    intent = _post("/v1/payment_intents", row_id, {**_params(row_id), "confirm": "true"})
    _finish(row_id, intent["id"])


@app.task(name=THREE_STEPS)
def create_store_confirm(row_id: str) -> None:
    """Claim and commit, create, store the reference and commit, confirm, finish and commit."""
    _write("UPDATE floor_payments SET status = 'open' WHERE id = %s AND status = 'due'", row_id)
    intent = _post("/v1/payment_intents", row_id, _params(row_id))
    _write("UPDATE floor_payments SET reference = %s WHERE id = %s", intent["id"], row_id)
    intent = _post(f"/v1/payment_intents/{intent['id']}/confirm", row_id, {})
    _finish(row_id, intent["id"])


def _finish(row_id: str, reference: str) -> None:
    _write("UPDATE floor_payments SET status = 'captured', reference = %s WHERE id = %s", reference, row_id)


def _params(row_id: str) -> dict[str, str | int]:
    return {"amount": 1000, "currency": "eur", "payment_method": "pm_card_visa", "metadata[payment_id]": row_id}


def _write(statement: str, *values: str) -> None:
    with _connection() as connection:
        connection.execute(statement.encode(), values)
        connection.commit()


@contextmanager
def _connection() -> Iterator[psycopg.Connection]:
    connection = _pool.get() or psycopg.connect(os.environ["DATABASE_URL"])
    try:
        yield connection
    finally:
        _pool.put(connection)


def _post(path: str, key: str, params: dict[str, str | int]) -> dict[str, str]:
    host: http.client.HTTPConnection | None = getattr(_thread, "host", None)
    if host is None:
        host = _thread.host = http.client.HTTPConnection(os.environ["STRIPE_API_BASE"].removeprefix("http://"))
    headers = {
        "Authorization": f"Bearer {os.environ['STRIPE_SECRET_KEY']}",
        "Content-Type": "application/x-www-form-urlencoded",
        "Idempotency-Key": f"{key}-{path}",
    }
    host.request("POST", path, urlencode(params), headers)
    response: dict[str, str] = json.loads(host.getresponse().read())
    return response
