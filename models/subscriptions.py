"""Every write of a subscription."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, select, true, update

from domain.dunning.case import SubscriptionStatus, has_ended, needs_no_other_case, require_not_canceled
from domain.dunning.provider_subscription import ProviderSubscription, status_told
from domain.errors import Conflict, InvoiceMismatch, NotFound
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
    row = connection.execute(select(subscriptions).where(_is_named(subscription_id, application))).one()
    if row.user_id != user_id:
        raise InvoiceMismatch("the subscription belongs to another user_id; send the one it was made with")
    require_not_canceled(SubscriptionStatus(row.status))


def mark_subscription(change: Change, payment: Row[Any], status: SubscriptionStatus) -> None:
    """Set the status of the payment's subscription. A canceled one stays canceled, and a subscription with another
    open dunning case stays past due."""
    changed = change.connection.execute(
        update(subscriptions)
        .where(
            _is_named(payment.subscription_id, payment.application),
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


def is_subscription_canceled(connection: Connection, payment: Row[Any]) -> bool:
    """Tell whether the payment's subscription has ended; a payment without one has none that could."""
    status = select(subscriptions.c.status).where(_is_named(payment.subscription_id, payment.application))
    stored = connection.scalar(status)
    return stored is not None and has_ended(SubscriptionStatus(stored))


def bind_to_provider(
    change: Change, application: str, subscription_id: str, provider: str, provider_reference: str
) -> None:
    """Store which provider's subscription drives the status of this one from now on; a repeat changes nothing.

    Raises NotFound, and Conflict where the provider's subscription drives another one."""
    is_bound = _is_bound(provider, provider_reference)
    named = change.connection.execute(select(subscriptions.c.id, subscriptions.c.application).where(is_bound)).first()
    if named is not None:
        if tuple(named) != (subscription_id, application):
            raise Conflict("this subscription of the provider belongs to another one here; send its own reference")
        return
    bound = {"provider": provider, "provider_reference": provider_reference, "provider_told_at": None}
    is_it = _is_named(subscription_id, application)
    changed = change.connection.execute(update(subscriptions).where(is_it).values(**bound, updated_at=change.now))
    if not changed.rowcount:
        raise NotFound("no such subscription; check the id and the API key")


def follow_provider(change: Change, provider: str, told: ProviderSubscription) -> bool:
    """Give the subscription that a provider bills by itself the status that an event tells; return whether there is
    such a subscription. Older events than the newest that was applied change nothing."""
    is_bound = _is_bound(provider, told.reference)
    row = change.connection.execute(select(subscriptions).where(is_bound).with_for_update()).one_or_none()
    if row is None:
        return False
    known = SubscriptionStatus(row.status)
    status = status_told(known, row.provider_told_at, told)
    if status is None:
        return True
    values = {"status": status, "provider_told_at": told.at}
    change.connection.execute(update(subscriptions).where(is_bound).values(**values, updated_at=change.now))
    if status is not known:
        data = {"subscription_id": row.id, "reference": told.reference}
        record_event(change.connection, f"subscription_{status}", actor=change.actor, now=change.now, data=data)
    return True


def _is_bound(provider: str, provider_reference: str) -> ColumnElement[bool]:
    return (subscriptions.c.provider_reference == provider_reference) & (subscriptions.c.provider == provider)


def _is_named(subscription_id: str | None, application: str) -> ColumnElement[bool]:
    return (subscriptions.c.id == subscription_id) & (subscriptions.c.application == application)
