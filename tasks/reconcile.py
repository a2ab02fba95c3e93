"""Looks attempts up at the provider: in doubt, without a living worker, or waiting for a bank or a customer."""

from __future__ import annotations

import logging
from typing import NamedTuple

from celery import shared_task

from domain.claiming import may_look_up
from domain.outcome import NotSent
from domain.payment import AttemptStatus
from gateways.base import AttemptRequest
from gateways.http import watch_for_failure
from gateways.shown_refunds import watch_for_refunds
from models.attempts import take_lease
from models.change import Change
from models.failpoints import reach
from models.task_messages import RECONCILE, is_due, message_for_attempt
from models.transition_locks import lock_attempt
from runtime import Runtime
from runtime.credentials import watch_credentials
from tasks.at_rest import compare_if_refused, take_in_shown
from tasks.execute import as_looked_up, attempt_request, record
from tasks.failing_rows import counting_failures
from tasks.payment_task import ACTOR, PaymentTask

_log = logging.getLogger(__name__)


@shared_task(bind=True, base=PaymentTask, name=RECONCILE)
def reconcile(self: PaymentTask, attempt_id: str) -> None:
    """Look a due attempt up at its provider and record the outcome."""
    with counting_failures(self.runtime, RECONCILE, attempt_id):
        _reconcile(self.runtime, attempt_id)


def _reconcile(runtime: Runtime, attempt_id: str) -> None:
    claimed = runtime.change(ACTOR, _claim, runtime, attempt_id)
    if claimed is None:
        return
    reach("reconcile.claimed")
    with runtime.leases.hold(attempt_id, claimed.fencing_token):
        with watch_for_failure() as failure, watch_for_refunds() as refunds:
            outcome = runtime.gateways[claimed.provider].retrieve(claimed.attempt)
        reach("reconcile.looked_up")
        applied = record(runtime, attempt_id, claimed.fencing_token, outcome)
    reach("reconcile.recorded")
    watch_credentials(runtime, ACTOR, claimed.provider, failure, has_entry=claimed.has_refused_credentials)
    if applied and isinstance(outcome, NotSent) and claimed.attempt.retries == 0 and applied.is_to_be_sent:
        # Proven not executed for the first time: sending it again need not wait for the sweep.
        runtime.publish([message_for_attempt(attempt_id, claimed.attempt.verb)])
    if refunds:
        take_in_shown(runtime, claimed.provider, refunds)
    compare_if_refused(runtime, claimed.provider, claimed.attempt, outcome)


class _Claimed(NamedTuple):
    """An attempt that this worker looks up."""

    attempt: AttemptRequest
    fencing_token: int
    provider: str
    has_refused_credentials: bool


def _claim(change: Change, runtime: Runtime, attempt_id: str) -> _Claimed | None:
    row = lock_attempt(change.connection, attempt_id)
    status = AttemptStatus(row.attempt_status)
    if not may_look_up(status) or not is_due(row.attempt_due_at, row.attempt_published_at, change.now):
        return None
    if row.attempt_provider not in runtime.gateways:
        _log.error("attempt %s waits: %s is not configured in this worker", attempt_id, row.attempt_provider)
        return None
    row = as_looked_up(change, row)
    is_refused = bool(row.refused_credentials)
    return _Claimed(attempt_request(change, row), take_lease(change, row), row.attempt_provider, is_refused)
