"""Subscriptions: what a user pays for again and again, how that stands, and how it ends."""

from __future__ import annotations

from flask import Blueprint, Response

from domain.errors import InvalidRequest
from models.api_keys import Role
from models.request_bodies import EndSubscription, UpsertSubscription
from models.subscription_requests import end_subscription, preview_end, upsert_subscription
from models.subscription_view import Reader, show_subscription
from webhooks.auth import allow, caller, caller_of_names
from webhooks.context import runtime
from webhooks.requests import idempotency_key, json_body, require_name
from webhooks.responses import json_response

blueprint = Blueprint("subscriptions", __name__)


@blueprint.put("/subscriptions/<subscription_id>")
@allow(Role.APP)
def put_subscription(subscription_id: str) -> Response:
    """Create or change a subscription."""
    subscription = UpsertSubscription.parse(json_body())
    require_name(subscription_id, "subscription_id")
    if subscription.provider is not None and subscription.provider not in runtime().gateways:
        raise InvalidRequest(f"{subscription.provider} is not configured here, so that none of its events would come")
    sender = caller_of_names()
    response = runtime().change(sender.actor, upsert_subscription, subscription_id, subscription, sender, _reader())
    return json_response(response.status, response.body)


@blueprint.get("/subscriptions/<subscription_id>")
@allow(Role.APP, Role.OPERATOR)
def get_subscription(subscription_id: str) -> Response:
    """Show how the payment of a subscription stands, and whether its customer has access."""
    shown = runtime().read(show_subscription, subscription_id, caller_of_names().application, _reader())
    return json_response(200, shown)


@blueprint.get("/subscriptions/<subscription_id>/cancel-preview")
@allow(Role.APP, Role.OPERATOR)
def preview(subscription_id: str) -> Response:
    """Show what the end of a subscription would do now; nothing changes."""
    shown = runtime().read(preview_end, subscription_id, caller_of_names().application, _reader())
    return json_response(200, shown)


@blueprint.post("/subscriptions/<subscription_id>/cancel")
@allow(Role.APP, Role.OPERATOR)
def cancel(subscription_id: str) -> Response:
    """End a subscription and stop its collections at once."""
    request, sender = EndSubscription.parse(json_body()), caller_of_names()
    response = runtime().change(caller().actor, end_subscription, subscription_id, request, sender, idempotency_key())
    runtime().publish(response.messages)
    shown = json_response(response.status, response.body)
    if response.is_replay:
        shown.headers["Idempotent-Replayed"] = "true"
    return shown


def _reader() -> Reader:
    """Return for whom a subscription is shown. A link is for the customer, whom only the application reaches."""
    now, policy, links = runtime().clock.now(), runtime().policy, runtime().pay_links
    if links is None or caller().application is None:
        return Reader(now, policy)
    return Reader(now, policy, lambda application, invoice_id: links.make(application, invoice_id, now)[0])
