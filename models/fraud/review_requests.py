"""What operators ask of reviews: the list, who has which in hand, a decision, a label; and the end of what nobody
decides."""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import partial
from typing import Any

from sqlalchemy import Connection, Row, func, select

from domain.allowed_operations import require_reviewable
from domain.commands import ReviewDecided
from domain.errors import NotFound
from domain.fraud.labels import LabelSource
from domain.money import decimal_text
from domain.payment import State, Verb
from domain.review import EXPIRED
from models.attempts import has_attempt_in_flight
from models.change import Change
from models.fraud.assessments import assessment_view
from models.fraud.labels import label_payment, labels_of
from models.fraud.requests import ApproveReview, ClaimReview, LabelPayment, RejectReview
from models.fraud.reviews import claim_review, find_due_review, find_open_review, postpone_review, release_review
from models.idempotency import ApiResponse, Caller
from models.operations import Messages, decide_review, respond_once
from models.tables import attempts, fraud_assessments, fraud_reviews, payments
from models.transition_locks import lock_payment

# How long a review that is due waits for a void, which may wait for its provider.
_VOID_PAUSE = timedelta(minutes=10)
_SHOWN = ("application", "invoice_id", "user_id", "amount", "currency", "method", "provider")
_reviews = (
    select(fraud_reviews, *(payments.c[name] for name in _SHOWN))
    .join(payments, payments.c.id == fraud_reviews.c.payment_id)
    .where(fraud_reviews.c.closed_at.is_(None))
)


def list_reviews(
    connection: Connection, now: datetime, *, after: str | None = None, limit: int
) -> list[dict[str, Any]]:
    """Return up to `limit` payments that wait for a review, after the review `after`, oldest first."""
    query = _reviews.order_by(fraud_reviews.c.id).limit(limit)
    rows = connection.execute(query if after is None else query.where(fraud_reviews.c.id > after)).all()
    scores = _newest_scores(connection, [row.payment_id for row in rows])
    return [_view(row, scores.get(row.payment_id), now) for row in rows]


def show_review(connection: Connection, payment_id: str, now: datetime) -> dict[str, Any]:
    """Return the review for which a payment waits. Raises NotFound."""
    row = connection.execute(_reviews.where(payments.c.id == payment_id)).one_or_none()
    if row is None:
        raise NotFound("this payment waits for no review; the list of reviews shows those that do")
    return _view(row, _newest_scores(connection, [payment_id]).get(payment_id), now)


def request_claim(change: Change, payment_id: str, request: ClaimReview) -> dict[str, Any]:
    """Take a review in hand for a while, or give it back; return it. Raises NotFound, Conflict."""
    locked = lock_payment(change.connection, payment_id)
    if find_open_review(change.connection, payment_id) is None:
        require_reviewable(State(locked.state))
    (release_review if request.release else claim_review)(change, payment_id)
    return show_review(change.connection, payment_id, change.now)


def request_approval(
    change: Change, payment_id: str, request: ApproveReview, caller: Caller, key: str | None
) -> ApiResponse:
    """Let a payment that waits for a review be charged."""
    decided = ReviewDecided(True, request.reason)
    return respond_once(change, f"approve {payment_id}", payment_id, request, caller, key, partial(_decide, decided))


def request_rejection(
    change: Change, payment_id: str, request: RejectReview, caller: Caller, key: str | None
) -> ApiResponse:
    """End a payment that waits for a review uncharged."""
    decided = ReviewDecided(False, request.reason)
    return respond_once(change, f"reject {payment_id}", payment_id, request, caller, key, partial(_decide, decided))


def request_label(change: Change, payment_id: str, request: LabelPayment) -> dict[str, Any]:
    """Store an operator's label of a payment; return all its labels. Raises NotFound."""
    label_payment(change, payment_id, LabelSource.OPERATOR, is_fraud=request.is_fraud, note=request.note)
    return {"payment_id": payment_id, "labels": labels_of(change.connection, payment_id)}


def expire_review(change: Change, review_id: str) -> None:
    """Reject a payment whose review nobody has decided in time, if that is due. A void that is under way ends it by
    itself, and it is looked at again in case that fails."""
    review = find_due_review(change, review_id)
    if review is None:
        return
    if has_attempt_in_flight(change.connection, review.payment_id, attempts.c.verb == Verb.VOID):
        postpone_review(change.connection, review, change.now + _VOID_PAUSE)
    else:
        decide_review(change, lock_payment(change.connection, review.payment_id), ReviewDecided(False, EXPIRED))


def _decide(decided: ReviewDecided, change: Change, row: Row[Any], request: ApproveReview | RejectReview) -> Messages:
    messages = decide_review(change, row, decided)
    if isinstance(request, RejectReview) and request.is_fraud is not None:
        label_payment(change, row.id, LabelSource.REVIEW, is_fraud=request.is_fraud, note=request.reason)
    return messages


def _newest_scores(connection: Connection, payment_ids: list[str]) -> dict[str, Row[Any]]:
    scores = fraud_assessments.alias()
    newest = select(func.max(scores.c.number)).where(scores.c.payment_id == fraud_assessments.c.payment_id)
    query = select(fraud_assessments).where(
        fraud_assessments.c.payment_id.in_(payment_ids), fraud_assessments.c.number == newest.scalar_subquery()
    )
    return {row.payment_id: row for row in connection.execute(query)}


def _view(row: Row[Any], score: Row[Any] | None, now: datetime) -> dict[str, Any]:
    is_claimed = row.claimed_until is not None and row.claimed_until > now
    return {
        "id": row.id,
        "payment_id": row.payment_id,
        "application": row.application,
        "invoice_id": row.invoice_id,
        "user_id": row.user_id,
        "amount": decimal_text(row.amount, row.currency),
        "currency": row.currency,
        "payment_method": row.method,
        "provider": row.provider,
        "fraud": assessment_view(score),
        "since": _text(row.opened_at),
        "age_minutes": int((now - row.opened_at).total_seconds() // 60),
        "expires_at": _text(row.due_at),
        "claimed_by": row.claimed_by if is_claimed else None,
        "claimed_until": _text(row.claimed_until) if is_claimed else None,
    }


def _text(instant: datetime | None) -> str | None:
    return None if instant is None else instant.isoformat(timespec="milliseconds").replace("+00:00", "Z")
