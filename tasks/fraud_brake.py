"""Takes brakes off whose application is calm again, and deletes the slots of tries that no limit counts any more."""

from __future__ import annotations

from datetime import timedelta

from celery import shared_task

from models.fraud.brakes import release_calm_brakes
from models.fraud.reservations import delete_slots
from models.task_messages import FRAUD_BRAKE
from tasks.payment_task import ACTOR, PaymentTask

# A day longer than the longest window, for clocks that disagree.
_KEPT_FOR = timedelta(days=2)


@shared_task(bind=True, base=PaymentTask, name=FRAUD_BRAKE)
def fraud_brake(self: PaymentTask) -> None:
    """Look at the brakes that are on. Any number of these tasks may run at once."""
    runtime = self.runtime
    runtime.change(ACTOR, release_calm_brakes)
    runtime.change(ACTOR, delete_slots, runtime.clock.now() - _KEPT_FOR)
