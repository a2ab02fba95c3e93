"""Charges: a due charge or authorization is screened for fraud and sent to the provider. Dunning retries too."""

from __future__ import annotations

from celery import shared_task

from domain.outcome import Outcome
from gateways.base import AttemptRequest, Gateway, SaveReference
from gateways.shown_refunds import watch_for_refunds
from models.task_messages import CHARGE
from tasks.at_rest import take_in_shown
from tasks.execute import execute_attempt
from tasks.failing_rows import counting_failures
from tasks.payment_task import PaymentTask
from tasks.screening import screener


@shared_task(bind=True, base=PaymentTask, name=CHARGE)
def charge(self: PaymentTask, attempt_id: str) -> None:
    """Charge or authorize one due attempt."""
    with counting_failures(self.runtime, CHARGE, attempt_id), watch_for_refunds() as refunds:
        executed = execute_attempt(self.runtime, attempt_id, "charge", _call, screener)
    if executed is not None and refunds:
        take_in_shown(self.runtime, executed.provider, refunds)


def _call(gateway: Gateway, attempt: AttemptRequest, save_reference: SaveReference) -> Outcome:
    return gateway.charge(attempt, save_reference)
