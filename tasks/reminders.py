"""Reminds customers of cards that expire: finds what is due, and writes the mails. Sends none itself."""

from __future__ import annotations

from celery import shared_task

from models.card_reminders import BATCH, remind
from models.task_messages import REMIND
from tasks.payment_task import ACTOR, PaymentTask


@shared_task(bind=True, base=PaymentTask, name=REMIND)
def remind_of_expiry(self: PaymentTask) -> None:
    """Write the reminders that are due. Any number of these tasks may run at once; without mails nothing is done."""
    runtime = self.runtime
    is_full = runtime.policy.mail.is_on
    while is_full:
        found, messages = runtime.change(ACTOR, remind)
        runtime.publish(messages)
        is_full = found == BATCH
