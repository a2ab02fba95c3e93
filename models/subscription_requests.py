"""Requests on subscriptions: create or change one, and end one, previewed by the function that does it."""

from __future__ import annotations

from typing import Any, NamedTuple

from sqlalchemy import Connection, Row, select

from domain.dunning.case import RetriedBy, SubscriptionStatus, has_ended, require_not_canceled
from domain.dunning.operators import PaymentEnd, end_with_subscription
from domain.dunning.subscription import require_known_policy
from domain.errors import InvoiceMismatch, NotFound
from domain.money import Money, decimal_text
from domain.payment import IN_DUNNING, LIVE
from models.change import Change
from models.idempotency import ApiResponse, Caller, IdempotencyRecord, reserve_key, store_response
from models.names import find_application
from models.operations import cancel_with_subscription, cancellable
from models.request_bodies import EndSubscription, UpsertSubscription
from models.subscription_view import Reader, show_subscription
from models.subscriptions import (
    bind_to_provider,
    change_subscription,
    insert_subscription,
    lock_subscription,
    release_from_provider,
    set_status,
)
from models.tables import payments, subscriptions

# Owner of a new subscription whose sender belongs to no application and names none.
DEFAULT_APPLICATION = "default"
_OPEN = sorted(LIVE | IN_DUNNING)


class _Ending(NamedTuple):
    """A payment that is open when its subscription ends, and what becomes of it."""

    payment: Row[Any]
    end: PaymentEnd

    @property
    def shown(self) -> dict[str, Any]:
        row = self.payment
        return {
            "payment_id": row.id,
            "invoice_id": row.invoice_id,
            "status": row.state,
            "amount": decimal_text(row.amount, row.currency),
            "currency": row.currency,
            "becomes": self.end,
        }


def upsert_subscription(
    change: Change, subscription_id: str, request: UpsertSubscription, caller: Caller, reader: Reader
) -> ApiResponse:
    """Create or change a subscription. Its currency and user stay; a changed policy holds for new cases only.

    Raises InvalidRequest for an unknown policy, AmbiguousName, InvoiceMismatch, Conflict for a canceled one, or for a
    subscription of a provider that is another one here."""
    require_known_policy(request.policy, change.policy.dunning_names)
    money = Money.parse(request.amount, request.currency)
    connection = change.connection
    found = caller.application or find_application(connection, subscriptions, subscription_id)
    application = found or DEFAULT_APPLICATION
    values = {
        "plan": request.plan,
        "amount": money.minor,
        "currency": money.currency,
        "policy": request.policy,
        "retried_by": request.retried_by,
    }
    is_new = insert_subscription(change, subscription_id, application, request.user_id, values)
    if not is_new:
        row = lock_subscription(connection, subscription_id, application)
        require_not_canceled(SubscriptionStatus(row.status))
        if (row.user_id, row.currency or money.currency) != (request.user_id, money.currency):
            raise InvoiceMismatch("user_id and currency of a subscription cannot change; make a new subscription")
        change_subscription(change, row, values)
    if request.provider is not None and request.provider_reference is not None:
        bind_to_provider(change, application, subscription_id, request.provider, request.provider_reference)
    elif request.retried_by is RetriedBy.CELERIAC:
        release_from_provider(change, application, subscription_id)
    return ApiResponse(201 if is_new else 200, show_subscription(connection, subscription_id, application, reader))


def preview_end(
    connection: Connection, subscription_id: str, application: str | None, reader: Reader
) -> dict[str, Any]:
    """Return what the end of a subscription would do now. Raises NotFound, AmbiguousName."""
    shown = show_subscription(connection, subscription_id, application, reader)
    ending = _plan_end(connection, subscription_id, shown["application"])
    becomes = SubscriptionStatus.CANCELED
    return {"subscription": shown, "becomes": becomes, "payments": [each.shown for each in ending]}


def end_subscription(
    change: Change, subscription_id: str, request: EndSubscription, caller: Caller, key: str | None
) -> ApiResponse:
    """Cancel a subscription and stop its collections at once. A repeat changes nothing. Raises NotFound, AmbiguousName.

    Payments are locked before the subscription, as everywhere."""
    connection = change.connection
    application = caller.application or find_application(connection, subscriptions, subscription_id)
    record = IdempotencyRecord(application or caller.actor, key, f"end subscription {subscription_id}", request)
    replay = reserve_key(connection, record, change.now)
    if replay is not None:
        return replay
    if application is None:
        raise NotFound("no such subscription; check the id and the API key")
    ending = _plan_end(connection, subscription_id, application, is_locking=True)
    messages = [
        message
        for each in ending
        if each.end is not PaymentEnd.LEFT
        for message in cancel_with_subscription(change, each.payment.id)
    ]
    row = lock_subscription(connection, subscription_id, application)
    if not has_ended(SubscriptionStatus(row.status)):
        stopped = {each.payment.id: each.end for each in ending}
        data = {"reason": request.reason, "payments": stopped}
        set_status(change, row, SubscriptionStatus.CANCELED, data={name: it for name, it in data.items() if it})
    body = {
        "subscription": show_subscription(connection, subscription_id, application, Reader(change.now, change.policy)),
        "becomes": SubscriptionStatus.CANCELED,
        "payments": [each.shown for each in ending],
    }
    response = ApiResponse(200, body, messages=tuple(messages))
    store_response(connection, record, response)
    return response


def _plan_end(
    connection: Connection, subscription_id: str, application: str, *, is_locking: bool = False
) -> list[_Ending]:
    """Return what becomes of each payment that is open when the subscription ends, oldest first."""
    query = (
        select(payments)
        .where(
            payments.c.subscription_id == subscription_id,
            payments.c.application == application,
            payments.c.state.in_(_OPEN),
        )
        .order_by(payments.c.id)
    )
    found = connection.execute(query.with_for_update() if is_locking else query).all()
    return [_Ending(row, end_with_subscription(cancellable(connection, row))) for row in found]
