"""Capture, void and refund: what happens to money after it was authorized or captured."""

from __future__ import annotations

from celery import shared_task

from domain.outcome import Outcome
from domain.payment import Verb
from gateways.base import Gateway, Order, Remember
from models.task_messages import SETTLE
from tasks.base import PaymentTask
from tasks.execute import carry_out


@shared_task(bind=True, base=PaymentTask, name=SETTLE)
def settle(self: PaymentTask, attempt_id: str) -> None:
    """Carry out one due capture, void or refund."""
    carry_out(self.runtime, attempt_id, "operation", _call)


def _call(gateway: Gateway, order: Order, remember: Remember) -> Outcome:
    match order.verb:
        case Verb.CAPTURE:
            return gateway.capture(order)
        case Verb.VOID:
            return gateway.void(order)
        case Verb.REFUND:
            return gateway.refund(order)
    raise AssertionError(f"bug: {order.verb} is not settled here")
