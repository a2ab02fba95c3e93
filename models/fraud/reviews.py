"""Every write of a review: it is opened and closed with its payment's state, and taken in hand by one operator.

What is written here is written under the payment's lock."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, select, update

from domain.effects import ReviewOutcome
from domain.review import CLAIM, require_claimable
from models.audit import record_event
from models.change import Change
from models.session import insert_new
from models.tables import fraud_reviews, payments
from models.tables.base import new_id
from models.task_messages import EXPIRE_REVIEW, TaskMessage, is_due

_is_open = fraud_reviews.c.closed_at.is_(None)


def open_review(change: Change, payment_id: str, due_at: datetime) -> None:
    """Let a locked payment wait for a person, until a date at the latest."""
    values = {
        "id": new_id("rev", change.now),
        "payment_id": payment_id,
        "opened_at": change.now,
        "due_at": due_at,
        "failures": 0,
    }
    insert_new(change.connection, fraud_reviews, values)


def close_review(change: Change, payment_id: str, outcome: ReviewOutcome, reason: str | None) -> None:
    """End the review of a locked payment."""
    values = {
        "closed_at": change.now,
        "closed_by": change.actor,
        "outcome": outcome,
        "reason": reason,
        "due_at": None,
    }
    change.connection.execute(update(fraud_reviews).where(_is_of(payment_id)).values(values))


def claim_review(change: Change, payment_id: str) -> None:
    """Take the review of a locked payment in hand, or keep it there. Raises Conflict if another operator has it."""
    require_in_hand(change, payment_id)
    _write_claim(change, payment_id, change.actor, change.now + CLAIM)
    _record(change, "review_claimed", payment_id)


def release_review(change: Change, payment_id: str) -> None:
    """Give the review of a locked payment back. Raises Conflict if another operator has it in hand."""
    require_in_hand(change, payment_id)
    _write_claim(change, payment_id, None, None)
    _record(change, "review_released", payment_id)


def require_in_hand(change: Change, payment_id: str) -> None:
    """Refuse what the actor does about the review of a locked payment that another operator has. Raises Conflict."""
    row = find_open_review(change.connection, payment_id)
    if row is not None:
        require_claimable(change.actor, row.claimed_by, row.claimed_until, change.now)


def find_open_review(connection: Connection, payment_id: str) -> Row[Any] | None:
    """Return the review for which a payment waits."""
    return connection.execute(select(fraud_reviews).where(_is_of(payment_id))).one_or_none()


def find_due_review(change: Change, review_id: str) -> Row[Any] | None:
    """Lock a review and its payment; None if it is not due any more."""
    review = lock_review(change.connection, review_id)
    if review is None or not is_due(review.due_at, review.published_at, change.now):
        return None
    return review


def lock_review(connection: Connection, review_id: str) -> Row[Any] | None:
    """Lock the payment of a review; return the review, None if it is closed."""
    is_it = (fraud_reviews.c.id == review_id) & _is_open
    payment_id = connection.scalar(select(fraud_reviews.c.payment_id).where(is_it))
    connection.execute(select(payments.c.id).where(payments.c.id == payment_id).with_for_update())
    return connection.execute(select(fraud_reviews).where(is_it)).one_or_none()


def count_review_failure(connection: Connection, review: Row[Any], failures: int, due_at: datetime) -> None:
    """Store how often the task of a locked review has failed, and when it is due again."""
    values = {"failures": failures, "due_at": due_at}
    connection.execute(update(fraud_reviews).where(fraud_reviews.c.id == review.id).values(values))


def postpone_review(connection: Connection, review: Row[Any], due_at: datetime) -> None:
    """Let a locked review be due again later."""
    count_review_failure(connection, review, review.failures, due_at)


def expire_again(change: Change, review_id: str) -> TaskMessage | None:
    """Make a review that waited because its task had failed due now; return its message."""
    review = lock_review(change.connection, review_id)
    if review is None:
        return None
    postpone_review(change.connection, review, change.now)
    return TaskMessage(EXPIRE_REVIEW, review_id)


def _write_claim(change: Change, payment_id: str, by: str | None, until: datetime | None) -> None:
    values = {"claimed_by": by, "claimed_until": until}
    change.connection.execute(update(fraud_reviews).where(_is_of(payment_id)).values(values))


def _is_of(payment_id: str) -> Any:
    return (fraud_reviews.c.payment_id == payment_id) & _is_open


def _record(change: Change, name: str, payment_id: str) -> None:
    record_event(change.connection, name, actor=change.actor, now=change.now, payment_id=payment_id)
