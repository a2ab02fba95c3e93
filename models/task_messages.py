"""Which bell announces which row. The names are wire format: `tasks` registers under them."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

from domain.payment import AttemptStatus, Verb

CHARGE = "payments.charge"
CAPTURE_VOID_REFUND = "payments.settle"
RECONCILE = "payments.reconcile"
WEBHOOK = "payments.webhook"
DUNNING = "payments.dunning"
PROCESS = "payments.process"
SWEEP = "payments.sweep"


class TaskMessage(NamedTuple):
    """A message to be: the task and the id of the row that it should look at."""

    task: str
    row_id: str


def is_due(due_at: datetime | None, published_at: datetime | None, now: datetime) -> bool:
    """Tell whether a row is due: by this process's clock, or by that of the sweep that rang for it.

    Clocks of two hosts differ by milliseconds; a ring must not be lost on that."""
    return due_at is not None and (due_at <= now or (published_at is not None and published_at >= due_at))


def message_for_attempt(attempt_id: str, verb: str, status: str = AttemptStatus.DUE) -> TaskMessage:
    """Return the ring for an attempt: due ones are carried out, all others looked up at the provider."""
    if status != AttemptStatus.DUE:
        return TaskMessage(RECONCILE, attempt_id)
    return TaskMessage(CHARGE if Verb(verb).is_collecting else CAPTURE_VOID_REFUND, attempt_id)
