"""Settles doubt, and looks after what waits: asks the provider how an attempt stands and records the answer."""

from __future__ import annotations

import logging
from datetime import datetime

from celery import shared_task
from sqlalchemy import Connection

from domain.outcome import WORKER_LOST, InDoubt, NotSent
from domain.payment import AttemptStatus
from gateways.base import AttemptRequest
from models import transition
from models.failpoint import reach
from models.session import transact
from models.task_messages import RECONCILE, is_due, message_for_attempt
from tasks.base import ACTOR, PaymentTask, Runtime
from tasks.execute import attempt_request, record

_log = logging.getLogger(__name__)


@shared_task(bind=True, base=PaymentTask, name=RECONCILE)
def reconcile(self: PaymentTask, attempt_id: str) -> None:
    """Look an attempt up whose lease has ended, whose outcome is in doubt, or that waits for bank or customer."""
    runtime = self.runtime
    now = runtime.clock.now()
    claimed = transact(runtime.engine, lambda connection: _claim(connection, runtime, attempt_id, now))
    if claimed is None:
        return
    attempt, fencing_token, provider = claimed
    reach("reconcile.claimed")
    with runtime.leases.hold(attempt_id, fencing_token):
        outcome = runtime.gateways[provider].retrieve(attempt)
        reach("reconcile.asked")
        applied = record(runtime, attempt_id, fencing_token, outcome)
    reach("reconcile.settled")
    if applied and isinstance(outcome, NotSent) and attempt.retries == 0 and _is_due_again(applied):
        # Proven not executed, for the first time: no reason to wait for the sweep.
        runtime.publish([message_for_attempt(attempt_id, attempt.verb)])


def _claim(
    connection: Connection, runtime: Runtime, attempt_id: str, now: datetime
) -> tuple[AttemptRequest, int, str] | None:
    row = transition.lock_attempt(connection, attempt_id)
    if row.attempt_status == AttemptStatus.DUE or not is_due(row.attempt_due_at, row.attempt_published_at, now):
        return None
    if row.attempt_provider not in runtime.gateways:
        _log.error("attempt %s waits: %s is not configured in this worker", attempt_id, row.attempt_provider)
        return None
    if row.attempt_status == AttemptStatus.OPEN:
        lost = InDoubt(WORKER_LOST)
        transition.apply(connection, row, lost, now=now, policy=runtime.policy, actor=ACTOR)
        row = transition.lock_attempt(connection, attempt_id)
    return attempt_request(connection, row), transition.take_lease(connection, row, now), row.attempt_provider


def _is_due_again(applied: transition.Applied) -> bool:
    return applied.decision is not None and applied.decision.attempt.get("status") is AttemptStatus.DUE
