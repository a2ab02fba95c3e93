"""Reminders that a saved card expires: which are due, and for whose card that matters."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, Row, exists, select

from domain.card_expiry import shown_end, step_due
from domain.dunning.case import SubscriptionStatus, TryCause, has_ended
from domain.saved_method import MethodStatus, reason_not_to_charge, token_hash
from models.change import Change
from models.outbox import write_card_reminder
from models.saved_methods import lock_reminders, schedule_reminder
from models.tables import attempts, payments, subscriptions
from models.task_messages import TaskMessage

# Small enough for one short transaction.
BATCH = 100
_ENDED = sorted(status for status in SubscriptionStatus if has_ended(status))
# The newest payments of a user that tell what their subscriptions use.
_MOST_PAYMENTS = 100


def remind(change: Change) -> tuple[int, list[TaskMessage]]:
    """Write the reminders of a batch of cards that are due, and plan the next ones; return how many cards that were,
    and what to publish."""
    rows = lock_reminders(change, BATCH)
    messages = [message for row in rows if (message := _remind(change, row)) is not None]
    return len(rows), messages


def _remind(change: Change, row: Row[Any]) -> TaskMessage | None:
    step = step_due(row.expires, row.remind_at, change.now)
    schedule_reminder(change, row)
    is_gone = reason_not_to_charge(MethodStatus(row.status), is_off_session=True) is not None
    if step is None or is_gone or row.user_id is None or not _is_used(change.connection, row):
        return None
    shown = {"expires": shown_end(row.expires), "days": step, "card": _card(row)}
    about = {"provider": row.provider, "method": row.token_hash, "end": row.expires}
    return write_card_reminder(change, row.application, row.user_id, row.token_hash, shown | about)


def _card(row: Row[Any]) -> str | None:
    return None if row.last4 is None else f"•••• {row.last4}"


def _is_used(connection: Connection, row: Row[Any]) -> bool:
    """Tell whether a saved method is its user's default, or what one of their subscriptions was charged to last."""
    if row.is_default:
        return True
    last = {each.subscription_id: each for each in reversed(_newest(connection, row))}
    used = {(each.provider, token_hash(each.method_token)) for each in last.values() if each.method_token is not None}
    return (row.provider, row.token_hash) in used


def _newest(connection: Connection, row: Row[Any]) -> list[Row[Any]]:
    """Return what the newest payments of the subscriptions of a method's user were charged to, newest first."""
    newest = (
        select(payments.c.subscription_id, payments.c.provider, payments.c.method_token)
        .join(
            subscriptions,
            (subscriptions.c.id == payments.c.subscription_id)
            & (subscriptions.c.application == payments.c.application),
        )
        .where(
            payments.c.user_id == row.user_id,
            payments.c.application == row.application,
            subscriptions.c.status.not_in(_ENDED),
            # Chosen is what a backup method has stood in for.
            ~exists().where(attempts.c.payment_id == payments.c.id, attempts.c.cause == TryCause.BACKUP_METHOD),
        )
        .order_by(payments.c.created_at.desc(), payments.c.id.desc())
        .limit(_MOST_PAYMENTS)
    )
    found: Any = connection.execute(newest).all()
    return list(found)
