"""Every write of a subscription."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, select, true, update

from domain.dunning import SubscriptionStatus, has_ended, needs_no_other_case, require_not_canceled
from domain.errors import InvoiceMismatch
from models.audit import record_event
from models.change import Change
from models.dunning_cases import has_other_open_case
from models.session import insert_new
from models.tables import subscriptions


def get_or_create_subscription(
    connection: Connection, subscription_id: str, application: str, user_id: str, now: datetime
) -> None:
    """Create the subscription, or check that this user's payment may belong to it.

    Raises InvoiceMismatch for another user's subscription, Conflict for a canceled one."""
    created = {
        "id": subscription_id,
        "application": application,
        "user_id": user_id,
        "status": SubscriptionStatus.ACTIVE,
        "created_at": now,
        "updated_at": now,
    }
    if insert_new(connection, subscriptions, created):
        return
    row = connection.execute(select(subscriptions).where(subscriptions.c.id == subscription_id)).one()
    if row.application != application or row.user_id != user_id:
        raise InvoiceMismatch("the subscription belongs to another user_id; send the one it was made with")
    require_not_canceled(SubscriptionStatus(row.status))


def mark_subscription(change: Change, payment: Row[Any], status: SubscriptionStatus) -> None:
    """Set the status of the payment's subscription. A canceled one stays canceled, and a subscription with another
    open dunning case stays past due."""
    changed = change.connection.execute(
        update(subscriptions)
        .where(
            subscriptions.c.id == payment.subscription_id,
            subscriptions.c.status.not_in([status, SubscriptionStatus.CANCELED]),
            ~has_other_open_case(payment) if needs_no_other_case(status) else true(),
        )
        .values(status=status, updated_at=change.now)
    )
    if changed.rowcount:
        record_event(
            change.connection,
            f"subscription_{status}",
            actor=change.actor,
            now=change.now,
            payment_id=payment.id,
            data={"subscription_id": payment.subscription_id},
        )


def is_subscription_canceled(connection: Connection, subscription_id: str) -> bool:
    """Tell whether a subscription has ended."""
    status = select(subscriptions.c.status).where(subscriptions.c.id == subscription_id)
    stored = connection.scalar(status)
    return stored is not None and has_ended(SubscriptionStatus(stored))
