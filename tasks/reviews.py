"""Ends reviews that nobody has decided in time."""

from __future__ import annotations

from celery import shared_task

from models.fraud.review_requests import expire_review
from models.task_messages import EXPIRE_REVIEW
from tasks.failing_rows import counting_failures
from tasks.payment_task import PaymentTask

# It is no operator who rejects, but what they have configured.
_ACTOR = "policy"


@shared_task(bind=True, base=PaymentTask, name=EXPIRE_REVIEW)
def expire(self: PaymentTask, review_id: str) -> None:
    """Reject the payment of a due review, once."""
    with counting_failures(self.runtime, EXPIRE_REVIEW, review_id):
        self.runtime.change(_ACTOR, expire_review, review_id)
