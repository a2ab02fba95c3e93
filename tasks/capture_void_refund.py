"""Captures, voids and refunds: what happens to money after it was authorized or captured."""

from __future__ import annotations

from celery import shared_task

from domain.allowed_operations import ACCEPTED
from domain.outcome import Outcome
from domain.payment import Verb
from gateways.base import AttemptRequest, Gateway, SaveReference
from gateways.capabilities import AcceptingGateway
from gateways.shown_refunds import watch_for_refunds
from models.task_messages import CAPTURE_VOID_REFUND
from tasks.at_rest import compare_if_refused, take_in_shown
from tasks.execute import execute_attempt
from tasks.failing_rows import counting_failures
from tasks.payment_task import PaymentTask


@shared_task(bind=True, base=PaymentTask, name=CAPTURE_VOID_REFUND)
def capture_void_refund(self: PaymentTask, attempt_id: str) -> None:
    """Carry out one due capture, void or refund."""
    with counting_failures(self.runtime, CAPTURE_VOID_REFUND, attempt_id), watch_for_refunds() as refunds:
        executed = execute_attempt(self.runtime, attempt_id, "operation", _call)
    if executed is not None and refunds:
        take_in_shown(self.runtime, executed.provider, refunds)
    if executed is not None:
        compare_if_refused(self.runtime, *executed)


def _call(gateway: Gateway, attempt: AttemptRequest, save_reference: SaveReference) -> Outcome:
    match attempt.verb:
        case Verb.CAPTURE if attempt.reason == ACCEPTED:
            # The money is taken. A capture could take more.
            return gateway.accept(attempt) if isinstance(gateway, AcceptingGateway) else gateway.retrieve(attempt)
        case Verb.CAPTURE:
            return gateway.capture(attempt)
        case Verb.VOID:
            return gateway.void(attempt)
        case Verb.REFUND:
            return gateway.refund(attempt)
    raise AssertionError(f"bug: {attempt.verb} is not an operation")
