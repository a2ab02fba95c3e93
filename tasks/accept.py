"""Accepts payments from applications that speak Celery: the same fields and idempotency as `POST /process`."""

from __future__ import annotations

import logging
from typing import Any

from celery import shared_task
from sqlalchemy.exc import DBAPIError, TimeoutError

from domain.errors import CeleriacError, InvalidRequest
from models.accept_payment import accept_payment, routing_request
from models.idempotency import Caller
from models.request_bodies import ProcessPayment, application_name
from models.session import transact
from models.task_messages import PROCESS
from tasks.payment_task import PaymentTask

_log = logging.getLogger(__name__)
_DATABASE_PAUSE_SECONDS = 10


@shared_task(bind=True, base=PaymentTask, name=PROCESS)
def process(
    self: PaymentTask,
    *unnamed: Any,
    idempotency_key: str | None = None,
    application: str | None = None,
    **fields: Any,
) -> str:
    """Accept a payment and return its id. A refused message leaves one line in the worker's log.

    `application` names whose invoice is meant. Without it, it is that of the one application that has the invoice, or a
    new one of the application `default`; if several have it, the message is refused. Without `idempotency_key` the
    message's id is the key, so that a redelivery stores nothing twice."""
    runtime = self.runtime
    key = idempotency_key or self.request.id
    try:
        if unnamed:
            raise InvalidRequest("send the fields as keyword arguments")
        caller = Caller(application_name(application) if application else None, f"celery:{application or 'task'}")
        request = ProcessPayment.parse(fields)
        routed = runtime.read(routing_request, request, caller)
        now, choices = runtime.clock.now(), runtime.router.choices_or_refusal(routed)
        response = transact(runtime.engine, accept_payment, request, caller, key, now, choices)
    except CeleriacError as error:
        # Celery logs a refusal at INFO, which production does not show. The sentence names fields, never values.
        _log.warning("payments.process %s refused (%s): %s", self.request.id, error.type, error)
        raise
    except (DBAPIError, TimeoutError) as error:
        # Only this message knows of the payment, so it waits until the database is back.
        raise self.retry(exc=error, countdown=_DATABASE_PAUSE_SECONDS, max_retries=None) from None
    runtime.publish(response.messages)
    return str(response.payment_id)
