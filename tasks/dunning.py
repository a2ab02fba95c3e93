"""Moves a dunning case on when it is due: opens the next retry, or ends the grace period. Never charges."""

from __future__ import annotations

from datetime import timedelta

from celery import shared_task

from domain.dunning import CaseState
from domain.invoice import due_of_case
from models import transition
from models.attempts import has_operation_in_flight
from models.change import Change
from models.dunning_cases import find_case_row, postpone_case
from models.failpoints import reach
from models.queries import invoice_position
from models.subscriptions import is_subscription_canceled
from models.task_messages import DUNNING, is_due
from tasks.failing_rows import counting_failures
from tasks.payment_task import PaymentTask

_ACTOR = "dunning"
# How long a retry or the end of grace waits while another payment is collecting the invoice.
OTHER_COLLECTION_PAUSE = timedelta(minutes=1)


@shared_task(bind=True, base=PaymentTask, name=DUNNING)
def dunning(self: PaymentTask, payment_id: str) -> None:
    """Do what is due on the dunning case of a payment, once."""
    reach("dunning.swept")
    with counting_failures(self.runtime, DUNNING, payment_id):
        applied = self.runtime.change(_ACTOR, _advance, payment_id)
    reach("dunning.advanced")
    if applied is not None:
        self.runtime.publish(applied.messages)


def _advance(change: Change, payment_id: str) -> transition.Applied | None:
    # The payment is locked first, as everywhere; the case is then read as the last holder of the lock left it.
    payment = transition.lock_payment(change.connection, payment_id)
    case = find_case_row(change.connection, payment_id)
    if case is None or not is_due(case.due_at, case.published_at, change.now):
        return None
    position = invoice_position(change.connection, payment.invoice_id, payment.application)
    if position.live_payment is not None or has_operation_in_flight(change.connection, payment_id):
        # Another payment is collecting this debt, or a void is under way: its end decides what is due here.
        postpone_case(change.connection, payment_id, change.now + OTHER_COLLECTION_PAUSE)
        return None
    is_canceled = is_subscription_canceled(change.connection, payment)
    due = due_of_case(CaseState(case.state), position, payment.amount, is_subscription_canceled=is_canceled)
    return transition.apply_to_payment(change, payment_id, due)
