"""Which money at rest is compared next with its provider, and what the comparison books."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Connection, or_, select, update

from domain.comparison import LONGEST_WINDOW, STEPS, ShownRefund, is_refund_news
from domain.movement import MovementKind
from domain.payment import AttemptStatus
from models import transition
from models.change import Change
from models.session import insert_new
from models.tables import attempts, comparisons, movements
from models.task_messages import TaskMessage
from models.webhook_matching import adopt_refund, match_refund

_TAKEN = (MovementKind.CHARGE, MovementKind.CAPTURE, MovementKind.DUPLICATE)


class Window(NamedTuple):
    """A span of time, without its beginning and with its end."""

    after: datetime
    until: datetime


class Charge(NamedTuple):
    """An attempt that took money, and the provider's object of it."""

    attempt_id: str
    reference: str


def next_window(connection: Connection, provider: str, now: datetime) -> Window:
    """Return the time that the next comparison covers. The first one begins now."""
    insert_new(connection, comparisons, {"provider": provider, "position": now})
    position: datetime = connection.scalars(
        select(comparisons.c.position).where(comparisons.c.provider == provider)
    ).one()
    return Window(position, min(now, position + LONGEST_WINDOW))


def move_position(connection: Connection, provider: str, position: datetime) -> None:
    """Store how far the comparison has come. It never goes back."""
    row = comparisons.c.provider == provider
    connection.execute(update(comparisons).where(row, comparisons.c.position < position).values(position=position))


def charges_due(connection: Connection, provider: str, window: Window) -> list[Charge]:
    """Return the charges that a step of the schedule reaches within a window."""
    booked = movements.c.booked_at
    spans = [(booked > window.after - step) & (booked <= window.until - step) for step in STEPS]
    return _charges(connection, provider, or_(*spans))


def charges_since(connection: Connection, provider: str, since: datetime) -> list[Charge]:
    """Return the charges whose money was booked since then."""
    return _charges(connection, provider, movements.c.booked_at >= since)


def _charges(connection: Connection, provider: str, is_meant: Any) -> list[Charge]:
    is_charge = (attempts.c.payment_id == movements.c.payment_id) & (
        attempts.c.provider_reference == movements.c.provider_id
    )
    query = (
        select(attempts.c.id, attempts.c.provider_reference)
        .join(movements, is_charge)
        .where(movements.c.provider == provider, movements.c.kind.in_(_TAKEN), is_meant)
        .order_by(movements.c.booked_at)
    )
    return [Charge(*row) for row in connection.execute(query)]


def unknown_refunds(change: Change, provider: str, shown: Iterable[ShownRefund]) -> list[ShownRefund]:
    """Return the shown refunds that the books do not have, or have as given although they came back."""
    return [refund for refund in shown if _is_news(change, provider, refund)]


def take_in(change: Change, provider: str, charge: Charge, shown: Iterable[ShownRefund]) -> tuple[TaskMessage, ...]:
    """Book what the provider shows and the books do not have; return what to publish after the commit.

    A refund that somebody else made becomes an attempt in doubt, which its look-up decides."""
    messages: list[TaskMessage] = []
    for refund in unknown_refunds(change, provider, shown):
        known = match_refund(change, provider, refund.reference, refund.attempt_id)
        if known is not None:
            messages += transition.apply(change, known, refund.outcome).messages
            continue
        adopted = adopt_refund(change, provider, refund.reference, refund.outcome, charge.reference, None)
        messages += [adopted] if adopted else []
    return tuple(messages)


def _is_news(change: Change, provider: str, refund: ShownRefund) -> bool:
    known = match_refund(change, provider, refund.reference, refund.attempt_id)
    status = change.connection.scalar(select(attempts.c.status).where(attempts.c.id == known)) if known else None
    return is_refund_news(AttemptStatus(status) if status else None, refund.outcome)
