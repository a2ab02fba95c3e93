"""Applies stored webhooks: each is a hint that an object changed, and the provider is asked how it stands now."""

from __future__ import annotations

import logging
from datetime import datetime, timedelta
from typing import Any

from celery import shared_task
from sqlalchemy import Column, ColumnElement, Connection, Row, false, or_, select, update

from domain.errors import IllegalTransition, LeaseLost
from domain.outcome import Approved, InDoubt
from domain.payment import IN_FLIGHT, AttemptStatus, Verb
from gateways.base import SideEvent, WebhookEvent
from gateways.failures import MalformedResponse
from models import transition
from models.audit import record_event
from models.effects import open_attempt
from models.failpoint import reach
from models.history import webhook_events
from models.payments import attempts, payments
from models.session import transact
from models.task_messages import WEBHOOK
from tasks.base import PaymentTask, Runtime
from tasks.execute import attempt_request

# A worker is talking to the provider about this very payment: its own answer will be in by then.
_BUSY_PAUSE = timedelta(seconds=1)
# The provider could not be asked: again after 2, 4, 8 ... seconds, at most every five minutes.
_MOST_PAUSE = timedelta(minutes=5)
_MOST_TRIES = 10

_log = logging.getLogger(__name__)


@shared_task(bind=True, base=PaymentTask, name=WEBHOOK)
def webhook(self: PaymentTask, event_row_id: str) -> None:
    """Apply one stored event, once."""
    runtime = self.runtime
    now = runtime.clock.now()
    examined = transact(runtime.engine, lambda connection: _examine(connection, runtime, event_row_id, now))
    if examined is None:
        reach("webhook.applied")
        return
    row, attempt = examined
    outcome = runtime.gateways[row.attempt_provider].retrieve(attempt)
    reach("webhook.looked_up")
    now = runtime.clock.now()
    applied = transact(
        runtime.engine,
        lambda connection: _apply(connection, runtime, event_row_id, row, outcome, now),
    )
    if applied is not None:
        runtime.publish(applied.messages)
    reach("webhook.applied")


def _examine(connection: Connection, runtime: Runtime, event_row_id: str, now: datetime) -> tuple[Row[Any], Any] | None:
    """Settle the event if it is no news; otherwise return the attempt that has to be looked up."""
    event = _lock_event(connection, event_row_id)
    if event is None:
        return None
    if event.provider not in runtime.gateways:
        _log.error("webhook %s waits: %s is not configured in this worker", event.id, event.provider)
        return None
    try:
        notification = runtime.gateways[event.provider].read_webhook(event.payload)
    except (AttributeError, LookupError, MalformedResponse, TypeError, ValueError) as error:
        # Signed by the provider, and yet not what its documents say: kept for a person to read.
        _log.error("webhook %s cannot be read: %s", event.id, type(error).__name__)
        _close(connection, event, "unreadable", None, now)
        return None
    if notification is None:
        _close(connection, event, "ignored", None, now)
        return None
    attempt_id = _find_attempt(connection, runtime, event, notification, now)
    if notification.side_event is not None:
        payment_id = event.payment_id or _record(
            connection, event, notification, notification.side_event, attempt_id, now
        )
        if attempt_id is None or not notification.is_news:
            _close(connection, event, "applied", payment_id, now)
            return None
    if attempt_id is None:
        _close(connection, event, "ignored", None, now)
        return None
    row = transition.lock_attempt(connection, attempt_id)
    if row.attempt_status == AttemptStatus.OPEN and row.attempt_due_at > now:
        _postpone(connection, event, now, _BUSY_PAUSE)
        return None
    try:
        is_news = notification.outcome is None or transition.changes_anything(
            connection, row, notification.outcome, now, runtime.policy
        )
    except IllegalTransition as error:
        _contradict(connection, event, error, now)
        return None
    if not is_news:
        _close(connection, event, "applied", row.id, now)
        return None
    return row, attempt_request(connection, row)


def _apply(
    connection: Connection, runtime: Runtime, event_row_id: str, examined: Row[Any], outcome: Any, now: datetime
) -> transition.Applied | None:
    event = _lock_event(connection, event_row_id)
    if event is None:
        return None
    if isinstance(outcome, InDoubt):
        _postpone(connection, event, now, _pause(event))
        return None
    try:
        applied = transition.apply(
            connection,
            examined.attempt_id,
            outcome,
            now=now,
            policy=runtime.policy,
            actor=f"webhook:{event.provider}",
            fencing_token=examined.attempt_fencing_token,
            data={"event": event.event_id, "type": event.type},
        )
    except LeaseLost:
        # Somebody else wrote while the provider was asked: the answer may be older than what they knew.
        _postpone(connection, event, now, _BUSY_PAUSE)
        return None
    except IllegalTransition as error:
        _contradict(connection, event, error, now)
        return None
    _close(connection, event, "applied", applied.payment.id, now)
    return applied


def _lock_event(connection: Connection, event_row_id: str) -> Row[Any] | None:
    return connection.execute(
        select(webhook_events)
        .where(webhook_events.c.id == event_row_id, webhook_events.c.status == "stored")
        .with_for_update()
    ).one_or_none()


def _find_attempt(
    connection: Connection, runtime: Runtime, event: Row[Any], notification: WebhookEvent, now: datetime
) -> str | None:
    """Return the attempt that the notice is about: the operation in flight on that money, or the charge itself."""
    is_named = _is_any(
        (attempts.c.provider_reference, notification.reference), (attempts.c.id, notification.attempt_id)
    )
    named = connection.execute(
        select(attempts.c.id, attempts.c.payment_id, attempts.c.verb)
        .where(is_named, attempts.c.provider == event.provider)
        .order_by(attempts.c.number)
    ).first()
    if named is None:
        return _adopt_refund(connection, event, notification, now)
    if named.verb == Verb.REFUND:
        return str(named.id)
    operation: str | None = connection.scalar(
        select(attempts.c.id).where(
            attempts.c.payment_id == named.payment_id,
            attempts.c.verb.in_([Verb.CAPTURE, Verb.VOID]),
            attempts.c.status.in_(sorted(IN_FLIGHT)),
        )
    )
    return operation or str(named.id)


def _record(
    connection: Connection,
    event: Row[Any],
    notification: WebhookEvent,
    side_event: SideEvent,
    attempt_id: str | None,
    now: datetime,
) -> str | None:
    """Write what no payment's state shows into the history of the payment, or of none; return which.

    The event then names the payment: where it is looked at again, nothing is written twice."""
    named_payment = None if attempt_id is not None else notification.payment_id
    is_named = _is_any((attempts.c.id, attempt_id), (attempts.c.payment_id, named_payment))
    is_ours = is_named & (attempts.c.provider == event.provider)
    payment_id: str | None = connection.scalar(select(attempts.c.payment_id).where(is_ours).limit(1))
    actor = f"webhook:{event.provider}"
    record_event(connection, payment_id, side_event.name, None, None, actor, now, side_event.data, attempt_id)
    is_it = webhook_events.c.id == event.id
    connection.execute(update(webhook_events).where(is_it).values(payment_id=payment_id))
    return payment_id


def _is_any(*names: tuple[Column[Any], str | None]) -> ColumnElement[bool]:
    """Return whether a row has one of the names; what is not named is nobody's."""
    return or_(false(), *(column == name for column, name in names if name))


def _adopt_refund(connection: Connection, event: Row[Any], notification: WebhookEvent, now: datetime) -> str | None:
    """Take a refund into the books that was made in the provider's dashboard."""
    if notification.charge_reference is None or not isinstance(notification.outcome, Approved):
        return None
    # Some name a part of the charge that we do not store, and repeat what we called the payment.
    is_charge = _is_any(
        (attempts.c.provider_reference, notification.charge_reference), (attempts.c.payment_id, notification.payment_id)
    )
    is_ours = is_charge & (attempts.c.provider == event.provider)
    found = select(attempts.c.payment_id).where(is_ours).limit(1).scalar_subquery()
    is_named = attempts.c.provider_reference == notification.reference
    payment = connection.execute(select(payments).where(payments.c.id == found).with_for_update()).one_or_none()
    if payment is None:
        return None
    known: str | None = connection.scalar(select(attempts.c.id).where(attempts.c.payment_id == payment.id, is_named))
    if known is not None:
        return known  # the same refund's other event was faster
    publish = open_attempt(
        connection,
        payment,
        Verb.REFUND,
        notification.outcome.refunded,
        now=now,
        actor=f"webhook:{event.provider}",
        provider_reference=notification.reference,
        status=AttemptStatus.IN_DOUBT,
    )
    return publish.row_id


def _contradict(connection: Connection, event: Row[Any], error: IllegalTransition, now: datetime) -> None:
    """An event may come before what it follows on is in our books; one that never fits is kept for a person."""
    if event.tries < _MOST_TRIES:
        return _postpone(connection, event, now, _pause(event))
    _log.error("webhook %s contradicts our books: %s", event.id, error)
    return _close(connection, event, "contradicting", None, now)


def _pause(event: Row[Any]) -> timedelta:
    return min(timedelta(seconds=2 ** min(event.tries, 9)), _MOST_PAUSE)


def _close(connection: Connection, event: Row[Any], status: str, payment_id: str | None, now: datetime) -> None:
    values = {"status": status, "due_at": None, "payment_id": payment_id, "finished_at": now}
    connection.execute(update(webhook_events).where(webhook_events.c.id == event.id).values(values))


def _postpone(connection: Connection, event: Row[Any], now: datetime, pause: timedelta) -> None:
    values = {"due_at": now + pause, "tries": event.tries + 1}
    connection.execute(update(webhook_events).where(webhook_events.c.id == event.id).values(values))
