"""Task messages: which Celery task looks at which row. A message carries the row's id and nothing else.

The task names are wire format: `tasks` registers under them, and messages of an older release may still wait."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

from domain.claiming import may_look_up
from domain.payment import AttemptStatus, Verb

PROCESS = "payments.process"
CHARGE = "payments.charge"
CAPTURE_VOID_REFUND = "payments.settle"
RECONCILE = "payments.reconcile"
WEBHOOK = "payments.webhook"
DUNNING = "payments.dunning"
CASH_BALANCE = "payments.cash_balance"
NOTIFY = "payments.notify"
MAKE_DEFAULT = "payments.make_default"
SWEEP = "payments.sweep"
COMPARE = "payments.compare"
REMIND = "payments.remind"
SCORE = "fraud.score"
FORGET_SIGNALS = "fraud.forget"
BACKTEST = "fraud.backtest"
EXPIRE_REVIEW = "payments.expire_review"
FRAUD_BRAKE = "payments.fraud_brake"

# One queue for each kind of work, so that a flood of one does not hold up another.
QUEUE_OF_TASK = {
    PROCESS: "charges",
    CHARGE: "charges",
    CAPTURE_VOID_REFUND: "charges",
    WEBHOOK: "webhooks",
    DUNNING: "dunning",
    # A mail server that is slow holds up nothing but mail.
    NOTIFY: "mail",
    # Nobody waits for it, and nobody's charge waits behind it.
    SCORE: "fraud",
    BACKTEST: "fraud",
    FORGET_SIGNALS: "upkeep",
    RECONCILE: "upkeep",
    CASH_BALANCE: "upkeep",
    MAKE_DEFAULT: "upkeep",
    REMIND: "upkeep",
    EXPIRE_REVIEW: "upkeep",
    FRAUD_BRAKE: "upkeep",
    SWEEP: "upkeep",
    COMPARE: "upkeep",
}
DEFAULT_QUEUE = "upkeep"
# The destinations of the outbox: a customer's mailbox, and a provider that is told of a customer's choice.
MAIL, PROVIDER = "mail", "provider"
_COLLECTING = frozenset(verb for verb in Verb if verb.is_collecting)


class TaskMessage(NamedTuple):
    """A message to publish: the task, and the id of the row that it looks at."""

    task: str
    row_id: str


def message_for_attempt(attempt_id: str, verb: str, status: str = AttemptStatus.DUE) -> TaskMessage:
    """Return the message for an attempt: a due one is sent to the provider, any other is looked up there.

    Never raises, because one row must not stop a sweep: a word that nobody knows fails in the task of its own row."""
    if may_look_up(status):
        return TaskMessage(RECONCILE, attempt_id)
    return TaskMessage(CHARGE if verb in _COLLECTING else CAPTURE_VOID_REFUND, attempt_id)


def message_for_outbox(row_id: str, destination: str) -> TaskMessage:
    """Return the message for a row of the outbox, by where it is sent."""
    return TaskMessage(MAKE_DEFAULT if destination == PROVIDER else NOTIFY, row_id)


def is_due(due_at: datetime | None, published_at: datetime | None, now: datetime) -> bool:
    """Tell whether a row is due by this process's clock, or by the clock of the sweep that published it.

    The clocks of two hosts differ by milliseconds; a message must not be dropped because of that."""
    return due_at is not None and (due_at <= now or (published_at is not None and published_at >= due_at))
