"""Takes brakes off whose application is calm again."""

from __future__ import annotations

from celery import shared_task

from models.fraud.brakes import release_calm_brakes
from models.task_messages import FRAUD_BRAKE
from tasks.payment_task import ACTOR, PaymentTask


@shared_task(bind=True, base=PaymentTask, name=FRAUD_BRAKE)
def fraud_brake(self: PaymentTask) -> None:
    """Look at the brakes that are on. Any number of these tasks may run at once."""
    self.runtime.change(ACTOR, release_calm_brakes)
