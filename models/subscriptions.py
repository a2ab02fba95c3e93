"""Every write of a subscription."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, select, update

from domain.dunning.case import (
    RetriedBy,
    SubscriptionStatus,
    has_ended,
    may_become,
    needs_no_other_case,
    require_not_canceled,
    status_beside_debt,
)
from domain.dunning.policy import ResumeAnchor
from domain.dunning.provider_subscription import ProviderSubscription, status_told
from domain.dunning.subscription import ResumedAnchor, is_pause, resumed_anchor
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
    if insert_new(connection, subscriptions, _new(subscription_id, application, user_id, now)):
        return
    row = connection.execute(select(subscriptions).where(_is_named(subscription_id, application))).one()
    if row.user_id != user_id:
        raise InvoiceMismatch("the subscription belongs to another user_id; send the one it was made with")
    require_not_canceled(SubscriptionStatus(row.status))


def insert_subscription(
    change: Change, subscription_id: str, application: str, user_id: str, values: dict[str, Any]
) -> bool:
    """Create a subscription that is incomplete until it is paid; return whether there was none."""
    created = _new(subscription_id, application, user_id, change.now) | values
    if not insert_new(change.connection, subscriptions, created):
        return False
    _record(change, "subscription_created", subscription_id, application, values)
    return True


def change_subscription(change: Change, row: Row[Any], values: dict[str, Any]) -> None:
    """Change a locked subscription, and record what is new."""
    changed = {name: value for name, value in values.items() if row._mapping[name] != value}
    if not changed:
        return
    is_it = _is_named(row.id, row.application)
    change.connection.execute(update(subscriptions).where(is_it).values(changed | {"updated_at": change.now}))
    _record(change, "subscription_changed", row.id, row.application, changed)


def _new(subscription_id: str, application: str, user_id: str, now: datetime) -> dict[str, Any]:
    return {
        "id": subscription_id,
        "application": application,
        "user_id": user_id,
        "status": SubscriptionStatus.INCOMPLETE,
        "retried_by": RetriedBy.CELERIAC,
        "anchor_at": now,
        "created_at": now,
        "updated_at": now,
    }


def _record(change: Change, name: str, subscription_id: str, application: str, values: dict[str, Any]) -> None:
    data = {"subscription_id": subscription_id, "application": application, **values}
    record_event(change.connection, name, actor=change.actor, now=change.now, data=data)


def mark_subscription(change: Change, payment: Row[Any], status: SubscriptionStatus, anchor: ResumeAnchor) -> None:
    """Set the status of the payment's subscription as far as the one that it has allows. A subscription with another
    open dunning case stays past due. `anchor`: what becomes of the billing anchor of a paused one."""
    row = _lock(change.connection, payment.subscription_id, payment.application)
    before = SubscriptionStatus(row.status)
    if not may_become(before, status):
        return
    if needs_no_other_case(status) and change.connection.scalar(select(has_other_open_case(payment))):
        beside_debt = status_beside_debt(before)
        if beside_debt is not None:
            set_status(change, row, beside_debt, payment_id=payment.id)
        return
    resumed = resumed_anchor(before, row.anchor_at or row.created_at, row.paused_at, change.now, anchor)
    set_status(change, row, status, payment_id=payment.id, resumed=resumed)


def set_status(
    change: Change,
    row: Row[Any],
    status: SubscriptionStatus,
    *,
    payment_id: str | None = None,
    resumed: ResumedAnchor | None = None,
    data: dict[str, Any] | None = None,
) -> None:
    """Set the status of a locked subscription and record it. `resumed`: it was paused, and what its anchor is now."""
    moved: dict[str, Any] = {"anchor_at": resumed.anchor_at} if resumed else {}
    paused = {"paused_at": change.now} if is_pause(status) else {}
    is_it = _is_named(row.id, row.application)
    values = {"status": status, "updated_at": change.now, **moved, **paused}
    change.connection.execute(update(subscriptions).where(is_it).values(values))
    about: dict[str, Any] = {
        "subscription_id": row.id,
        "application": row.application,
        "from": row.status,
        **(data or {}),
    }
    if resumed:
        about |= {"anchor": resumed.choice, "anchor_at": _text(resumed.anchor_at), "paused_at": _text(row.paused_at)}
    record_event(
        change.connection,
        f"subscription_{status}",
        actor=change.actor,
        now=change.now,
        payment_id=payment_id,
        data=about,
    )


def lock_subscription(connection: Connection, subscription_id: str, application: str) -> Row[Any]:
    """Lock a subscription of the application. Raises NotFound."""
    row = _lock(connection, subscription_id, application)
    if row is None:
        raise NotFound("no such subscription; check the id and the API key")
    return row


def _lock(connection: Connection, subscription_id: str | None, application: str) -> Row[Any]:
    query = select(subscriptions).where(_is_named(subscription_id, application)).with_for_update()
    row: Any = connection.execute(query).one_or_none()
    return row


def _text(instant: datetime | None) -> str | None:
    return None if instant is None else instant.isoformat(timespec="milliseconds").replace("+00:00", "Z")


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
    about = {"provider": provider, "reference": provider_reference}
    _record(change, "subscription_bound", subscription_id, application, about)


def release_from_provider(change: Change, application: str, subscription_id: str) -> None:
    """Let no provider's subscription drive the status of this one any more."""
    is_driven = _is_named(subscription_id, application) & subscriptions.c.provider_reference.is_not(None)
    free = {"provider": None, "provider_reference": None, "provider_told_at": None, "updated_at": change.now}
    if change.connection.execute(update(subscriptions).where(is_driven).values(free)).rowcount:
        _record(change, "subscription_released", subscription_id, application, {})


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
    told_at = {"provider_told_at": told.at, "updated_at": change.now}
    change.connection.execute(update(subscriptions).where(is_bound).values(told_at))
    if status is not known:
        set_status(change, row, status, data={"reference": told.reference})
    return True


def _is_bound(provider: str, provider_reference: str) -> ColumnElement[bool]:
    return (subscriptions.c.provider_reference == provider_reference) & (subscriptions.c.provider == provider)


def _is_named(subscription_id: str | None, application: str) -> ColumnElement[bool]:
    return (subscriptions.c.id == subscription_id) & (subscriptions.c.application == application)
