"""Moves a dunning case on when its day has come: opens the next retry, or ends the grace. Never charges."""

from __future__ import annotations

from datetime import datetime

from celery import shared_task
from sqlalchemy import Connection, select

from domain.causes import DebtSettledOtherwise, GraceEnded, RetryDue
from domain.dunning import CaseState
from models import transition
from models.debts import dunning_cases
from models.failpoint import reach
from models.payments import payments
from models.queries import invoice_position
from models.rings import DUNNING, is_due
from models.session import transact
from tasks.base import PaymentTask, Runtime

_ACTOR = "dunning"


@shared_task(bind=True, base=PaymentTask, name=DUNNING)
def dunning(self: PaymentTask, payment_id: str) -> None:
    """Do what is due on the dunning case of a payment, once."""
    runtime = self.runtime
    now = runtime.clock.now()
    reach("dunning.swept")
    applied = transact(runtime.engine, lambda connection: _advance(connection, runtime, payment_id, now))
    reach("dunning.advanced")
    if applied is not None:
        runtime.ring(applied.rings)


def _advance(connection: Connection, runtime: Runtime, payment_id: str, now: datetime) -> transition.Applied | None:
    # The payment first, as everywhere; the case is then read as the last holder of the lock left it.
    payment = connection.execute(
        select(payments.c.invoice_id, payments.c.amount).where(payments.c.id == payment_id).with_for_update()
    ).one()
    case = connection.execute(select(dunning_cases).where(dunning_cases.c.payment_id == payment_id)).one_or_none()
    if case is None or not is_due(case.due_at, case.rung_at, now):
        return None
    if invoice_position(connection, payment.invoice_id).rest < payment.amount:
        cause: DebtSettledOtherwise | RetryDue | GraceEnded = DebtSettledOtherwise()
    else:
        cause = RetryDue() if case.state == CaseState.RETRYING else GraceEnded()
    return transition.apply_to_payment(connection, payment_id, cause, now=now, policy=runtime.policy, actor=_ACTOR)
