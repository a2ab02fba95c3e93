"""Moves a dunning case on when its day has come: opens the next retry, or ends the grace. Never charges."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from celery import shared_task
from sqlalchemy import Connection, Row, select, update

from domain.commands import CancelRequested, Command, GraceEnded, InvoicePaidOtherwise, RetryDue
from domain.dunning import CaseState
from domain.payment import Verb
from models import transition
from models.billing import dunning_cases
from models.failpoint import reach
from models.operations import has_attempt_in_flight
from models.payments import attempts, payments
from models.queries import InvoicePosition, invoice_position, is_subscription_canceled
from models.session import transact
from models.task_messages import DUNNING, is_due
from tasks.base import PaymentTask, Runtime

_ACTOR = "dunning"


# How long a retry or the end of grace waits when another payment is collecting the invoice.
OTHER_COLLECTION_PAUSE = timedelta(minutes=1)


@shared_task(bind=True, base=PaymentTask, name=DUNNING)
def dunning(self: PaymentTask, payment_id: str) -> None:
    """Do what is due on the dunning case of a payment, once."""
    runtime = self.runtime
    now = runtime.clock.now()
    reach("dunning.swept")
    applied = transact(runtime.engine, lambda connection: _advance(connection, runtime, payment_id, now))
    reach("dunning.advanced")
    if applied is not None:
        runtime.publish(applied.messages)


def _advance(connection: Connection, runtime: Runtime, payment_id: str, now: datetime) -> transition.Applied | None:
    # The payment first, as everywhere; the case is then read as the last holder of the lock left it.
    payment = connection.execute(select(payments).where(payments.c.id == payment_id).with_for_update()).one()
    case = connection.execute(select(dunning_cases).where(dunning_cases.c.payment_id == payment_id)).one_or_none()
    if case is None or not is_due(case.due_at, case.published_at, now):
        return None
    position = invoice_position(connection, payment.invoice_id)
    if position.live is not None or has_attempt_in_flight(connection, payment_id, attempts.c.verb != Verb.REFUND):
        # Another payment is collecting this debt, or something is let go of: what is due here waits for how that ends.
        later = update(dunning_cases).where(dunning_cases.c.payment_id == payment_id)
        connection.execute(later.values(due_at=now + OTHER_COLLECTION_PAUSE))
        return None
    cause = _what_is_due(connection, case, payment, position)
    return transition.apply_to_payment(connection, payment_id, cause, now=now, policy=runtime.policy, actor=_ACTOR)


def _what_is_due(connection: Connection, case: Row[Any], payment: Row[Any], position: InvoicePosition) -> Command:
    if position.outstanding < payment.amount:
        return InvoicePaidOtherwise()
    if is_subscription_canceled(connection, payment.subscription_id):
        return CancelRequested()
    return RetryDue() if case.state == CaseState.RETRYING else GraceEnded()
