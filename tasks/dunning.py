"""Moves a dunning case on when it is due: opens the next retry, or ends the grace period. Never charges."""

from __future__ import annotations

from datetime import datetime, timedelta

from celery import shared_task

from domain.dunning.case import CaseState
from domain.invoice import InvoicePosition, due_of_case, gives_way_to_dunning
from domain.payment import State
from models import transition
from models.attempts import has_operation_in_flight, last_void_at
from models.change import Change
from models.dunning_cases import find_case_row, postpone_case, wait_for_other_payment
from models.failpoints import reach
from models.operations import give_way_to_dunning
from models.queries import find_payment, invoice_position
from models.subscriptions import is_subscription_canceled
from models.task_messages import DUNNING, is_due
from models.transition_locks import lock_payment
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
        in_the_way = self.runtime.change(_ACTOR, _advance, payment_id)
        if in_the_way is not None:
            # In a transaction of its own: two payments are never locked in this order.
            self.runtime.publish(self.runtime.change(_ACTOR, give_way_to_dunning, in_the_way))


def _advance(change: Change, payment_id: str) -> str | None:
    """Do what is due; return the payment that has to end before the case can go on, if one has to."""
    # The payment is locked first, as everywhere; the case is then read as the last holder of the lock left it.
    payment = lock_payment(change.connection, payment_id)
    case = find_case_row(change.connection, payment_id)
    if case is None or not is_due(case.due_at, case.published_at, change.now):
        return None
    position = invoice_position(change.connection, payment.invoice_id, payment.application)
    if position.live_payment is not None:
        # Another payment is collecting this debt: its end decides what is due here.
        wait_for_other_payment(change, payment_id, change.now + OTHER_COLLECTION_PAUSE)
        return _in_the_way(change, payment_id, position, case.paused_since)
    if has_operation_in_flight(change.connection, payment_id):
        # So does the end of a void of its own; but that takes no time from a customer who begins to pay.
        postpone_case(change.connection, payment_id, change.now + OTHER_COLLECTION_PAUSE)
        return None
    is_canceled = is_subscription_canceled(change.connection, payment)
    due = due_of_case(CaseState(case.state), position, payment.amount, is_subscription_canceled=is_canceled)
    transition.apply_to_payment(change, payment_id, due)
    return None


def _in_the_way(
    change: Change, payment_id: str, position: InvoicePosition, paused_since: datetime | None
) -> str | None:
    """Return the other payment that collects the invoice, if it gives way to dunning."""
    # A try beside the plan ends by itself.
    if position.live_payment in (None, payment_id):
        return None
    live = find_payment(change.connection, position.live_payment, None)
    action = (live.next_action or {}).get("type")
    voided_at = last_void_at(change.connection, live.id)
    return live.id if gives_way_to_dunning(State(live.state), action, paused_since, change.now, voided_at) else None
