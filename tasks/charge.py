"""The one charge path: screen for fraud, claim, create, remember, confirm, record. Retries of dunning too."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any

from celery import shared_task
from sqlalchemy import Connection, Row, bindparam, case, func, or_, select, update
from sqlalchemy.exc import DBAPIError, TimeoutError

from domain.commands import Blocked, CancelRequested, InvoicePaidOtherwise, ReviewRequired
from domain.fraud import RULE_SET, FraudDecision, Signals, assess
from domain.money import Money
from domain.payment import State
from models import transition
from models.history import assessments
from models.idempotency import Caller
from models.intake import accept_payment
from models.payments import attempts, payments
from models.queries import invoice_position, is_subscription_canceled
from models.requests import ProcessPayment
from models.session import insert_new, transact
from models.task_messages import CHARGE, PROCESS
from tasks.base import ACTOR, PaymentTask, Runtime
from tasks.dunning import OTHER_COLLECTION_PAUSE
from tasks.execute import execute_attempt

_DATABASE_PAUSE_SECONDS = 10


@shared_task(bind=True, base=PaymentTask, name=PROCESS)
def process(
    self: PaymentTask, *, idempotency_key: str | None = None, application: str | None = None, **fields: Any
) -> str:
    """Accept a payment from an application that speaks Celery: the intake of POST /process, the same fields.

    `application` names the owner of a new invoice; a known invoice keeps its own."""
    runtime = self.runtime
    command = ProcessPayment.parse(fields)
    key = idempotency_key or self.request.id
    caller = Caller(application, f"celery:{application or 'task'}")
    try:
        now, choices = runtime.clock.now(), runtime.router(command.routing_request)
        response = transact(
            runtime.engine, lambda connection: accept_payment(connection, command, caller, key, now, choices)
        )
    except (DBAPIError, TimeoutError) as error:
        # Nothing else knows of this payment yet: the message is all there is until the database is back.
        raise self.retry(exc=error, countdown=_DATABASE_PAUSE_SECONDS, max_retries=None) from None
    runtime.publish(response.messages)
    return str(response.payment_id)


@shared_task(bind=True, base=PaymentTask, name=CHARGE)
def charge(self: PaymentTask, attempt_id: str) -> None:
    """Charge or authorize one due attempt."""
    runtime = self.runtime
    now = runtime.clock.now()
    execute_attempt(
        runtime,
        attempt_id,
        "charge",
        lambda gateway, attempt, save_reference: gateway.charge(attempt, save_reference),
        lambda connection, row: _screen(connection, runtime, row, now),
    )


def _screen(connection: Connection, runtime: Runtime, row: Row[Any], now: datetime) -> FraudDecision | None:
    """Return what the fraud rules say, once for every payment; None when this attempt must not be made now."""
    if row.state == State.PAST_DUE:
        return FraudDecision.APPROVE if _is_still_owed(connection, runtime, row, now) else None
    is_first_look = not (row.attempt_claims or row.attempt_retries or row.attempt_provider_reference)
    return (_assess if is_first_look else _known_decision)(connection, runtime, row, now)


def _known_decision(connection: Connection, runtime: Runtime, row: Row[Any], now: datetime) -> FraudDecision:
    stored = select(assessments.c.decision).where(assessments.c.payment_id == row.id)
    return FraudDecision(connection.scalar(stored) or FraudDecision.APPROVE)


def _is_still_owed(connection: Connection, runtime: Runtime, row: Row[Any], now: datetime) -> bool:
    position = invoice_position(connection, row.invoice_id)
    if position.live is not None:
        later = now + OTHER_COLLECTION_PAUSE
        connection.execute(update(attempts).where(attempts.c.id == row.attempt_id).values(due_at=later))
        return False
    cause: InvoicePaidOtherwise | CancelRequested
    if position.outstanding < row.amount:
        cause = InvoicePaidOtherwise()
    elif is_subscription_canceled(connection, row.subscription_id):
        cause = CancelRequested()
    else:
        return True
    transition.apply_to_payment(connection, row.id, cause, now=now, policy=runtime.policy, actor=ACTOR)
    return False


def _assess(connection: Connection, runtime: Runtime, row: Row[Any], now: datetime) -> FraudDecision | None:
    assessment = assess(_signals(connection, row, now))
    stored = {
        "payment_id": row.id,
        "score": assessment.score,
        "decision": assessment.decision,
        "reasons": [asdict(reason) for reason in assessment.reasons],
        "rule_set": RULE_SET,
        "at": now,
    }
    if not insert_new(connection, assessments, stored):
        return FraudDecision.APPROVE  # a person has let it pass
    if assessment.decision not in (FraudDecision.BLOCK, FraudDecision.REVIEW):
        return assessment.decision
    transition.apply(
        connection,
        row,
        Blocked() if assessment.decision is FraudDecision.BLOCK else ReviewRequired(),
        now=now,
        policy=runtime.policy,
        actor=ACTOR,
        data={"score": assessment.score, "reasons": [reason.rule for reason in assessment.reasons]},
    )
    return None


# Built once: to build a statement costs more than to run it. Not IN, whose text is written anew each time.
_is_in_hour = payments.c.created_at > bindparam("hour_ago")
_is_declined = or_(payments.c.state == State.DECLINED, payments.c.state == State.BLOCKED)
_velocity = select(
    func.count().label("day"),
    func.coalesce(func.sum(case((_is_in_hour, 1), else_=0)), 0).label("hour"),
    func.coalesce(func.sum(case((_is_in_hour & _is_declined, 1), else_=0)), 0).label("declines"),
).where(
    payments.c.application == bindparam("application"),
    payments.c.user_id == bindparam("user_id"),
    payments.c.created_at > bindparam("day_ago"),
    payments.c.id != bindparam("payment_id"),
)


def _signals(connection: Connection, row: Row[Any], now: datetime) -> Signals:
    known = {
        "application": row.application,
        "user_id": row.user_id,
        "payment_id": row.id,
        "hour_ago": now - timedelta(hours=1),
        "day_ago": now - timedelta(days=1),
    }
    counts = connection.execute(_velocity, known).one()
    return Signals(
        money=Money(row.amount, row.currency),
        payments_hour=counts.hour,
        payments_day=counts.day,
        declines_hour=counts.declines,
    )
