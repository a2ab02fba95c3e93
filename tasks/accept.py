"""Accepts payments from applications that speak Celery: the same fields and idempotency as `POST /process`."""

from __future__ import annotations

from typing import Any

from celery import shared_task
from sqlalchemy.exc import DBAPIError, TimeoutError

from models.accept_payment import accept_payment
from models.idempotency import Caller
from models.request_bodies import ProcessPayment
from models.session import transact
from models.task_messages import PROCESS
from tasks.payment_task import PaymentTask

_DATABASE_PAUSE_SECONDS = 10


@shared_task(bind=True, base=PaymentTask, name=PROCESS)
def process(
    self: PaymentTask, *, idempotency_key: str | None = None, application: str | None = None, **fields: Any
) -> str:
    """Accept a payment and return its id.

    `application` names the owner of a new invoice; an existing invoice keeps its own. Without `idempotency_key` the
    message's id is the key, so that a redelivery stores nothing twice."""
    runtime = self.runtime
    request = ProcessPayment.parse(fields)
    key = idempotency_key or self.request.id
    caller = Caller(application, f"celery:{application or 'task'}")
    try:
        now, choices = runtime.clock.now(), runtime.router(request.routing_request)
        response = transact(runtime.engine, accept_payment, request, caller, key, now, choices)
    except (DBAPIError, TimeoutError) as error:
        # Only this message knows of the payment, so it waits until the database is back.
        raise self.retry(exc=error, countdown=_DATABASE_PAUSE_SECONDS, max_retries=None) from None
    runtime.publish(response.messages)
    return str(response.payment_id)
